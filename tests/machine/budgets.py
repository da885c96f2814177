"""What may be used: calls, requests and tokens, counted over again for the run and for each sub-agent in it."""

from collections import Counter
from dataclasses import dataclass, field

from agentrt.core.state import MAIN, Verdict

CALLS = {"function_call": "function_call_output", "mcp_approval_request": "mcp_approval_response"}
KEYS = {
    "function_call": "call_id",
    "function_call_output": "call_id",
    "mcp_approval_request": "id",
    "mcp_approval_response": "approval_request_id",
}
HOSTED = ("web_search_call", "mcp_call")


@dataclass
class Scope:
    """What one set of limits was charged."""

    limits: object
    requests: int = 0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    by_tool: Counter = field(default_factory=Counter)

    def used_up(self):
        limits = self.limits
        if limits.max_tool_calls is not None and self.calls >= limits.max_tool_calls:
            return "max_tool_calls"
        if limits.tokens is not None and self.tokens >= limits.tokens:
            return "tokens"
        return "cost" if limits.cost is not None and self.cost >= limits.cost else None

    def room(self):
        limit = self.limits.max_tool_calls
        return None if limit is None else max(0, limit - self.calls)


@dataclass
class Call:
    """One call of a reply that is owed an answer; `says` is what its output must hold, once that is settled."""

    raw: dict
    verdict: Verdict
    says: str | None = None
    waits: bool = False
    asked: bool = False
    handed: bool = False
    begun: bool = False  # a sub-agent's thread
    approved: bool = False
    edited: dict | None = None


@dataclass
class Talk:
    """One thread."""

    name: str
    parallel: bool
    scope: Scope
    parent: str | None = None
    position: int = 0
    turn: int = 0
    last: tuple | None = None  # the limit, and whether it is the run's
    calls: dict = field(default_factory=dict)
    early: dict = field(default_factory=dict)
    next_parallel: bool | None = None
    tries: int = 0
    ended: bool = False
    asking: bool = False
    ending: tuple | None = None  # the status, and what a parent must read
    after_handoff: int = 0


class Budgets:
    """The threads of a run, with the limits that bind them."""

    def __init__(self, limits, parallel):
        self.run = Scope(limits)
        self.talks = {MAIN: Talk(MAIN, parallel, self.run)}
        self.reasons = []  # limits of the run that refused or cut something

    def chain(self, talk):
        scopes = [(self.run, "")]
        while talk.parent is not None:
            scopes.append((talk.scope, talk.name))
            talk = self.talks[talk.parent]
        return scopes

    def busy(self, root, but):
        inside = [n for n in self.talks if not root or n == root or n.startswith(f"{root}/")]
        return sum(name != but and not self.talks[name].ended for name in inside)

    def charge(self, talk, **what):
        for scope, _ in self.chain(talk):
            for name, value in what.items():
                setattr(scope, name, getattr(scope, name) + value)

    def limited(self, limit, of_run):
        if of_run:
            self.reasons.append(limit)

    def fates(self, talk, raws, verdicts):
        """Tell for each call that counts what becomes of it: by budget, by twin, by status; None lets it run."""
        fates, seen = {}, {}
        for position, raw in enumerate(raws):
            if raw["type"] not in CALLS:
                continue
            key = raw.get(KEYS[raw["type"]])
            plain = {k: v for k, v in raw.items() if k not in ("id", "status")}
            if key in seen and seen[key] == plain:
                continue
            fates[position] = "used by another call" if key in seen else None
            if key not in seen and raw.get("status") == "incomplete":
                fates[position] = "came incomplete"
            seen.setdefault(key, plain)
        roles = {p: verdicts.get(p, Verdict()).role for p in fates}
        counted = [p for p in fates if roles[p] in ("tool", "agent")]
        hosted = sum(raw["type"] in HOSTED for raw in raws)
        self.over_budget(talk, fates, counted, hosted, roles, {p: verdicts.get(p, Verdict()).key for p in counted})
        self.charge(talk, calls=hosted + len(counted))
        for scope, _ in self.chain(talk):
            scope.by_tool.update(verdicts.get(p, Verdict()).key for p in counted)
        return fates

    def over_budget(self, talk, fates, counted, hosted, roles, keys):
        scopes = self.chain(talk)
        if talk.last is not None:
            limit, of_run = talk.last
            beyond = [*counted, *(p for p in fates if roles[p] in ("handoff", "mcp"))]
            inside = []
        else:
            rooms = []
            for scope, _ in scopes:
                rooms.append((scope.limits.max_calls_per_turn, "max_calls_per_turn", scope is self.run))
                if scope.room() is not None:
                    rooms.append((max(0, scope.room() - hosted), "max_tool_calls", scope is self.run))
            least = min(room for room, _, _ in rooms)
            _, limit, of_run = next(room for room in rooms if room[0] == least)
            beyond, inside = counted[least:], counted[:least]
        if beyond:
            self.limited(limit, of_run)
        for position in beyond:
            fates[position] = f"limit reached ({limit})"
        used = Counter()
        for position in inside:
            key = keys[position]
            lefts = [
                (s.limits.calls[key] - s.by_tool[key], s is not self.run) for s, _ in scopes if key in s.limits.calls
            ]
            left, not_of_run = min(lefts, default=(99, True))
            if used[key] >= left:
                fates[position] = f"limit reached (calls of {key})"
                self.limited("calls", not not_of_run)
            used[key] += 1
