"""The JSON form of a run's state, and how older versions are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from agentrt.core.limits import Limits
from agentrt.core.pending import Kind, Pending
from agentrt.core.state import MAIN, VERSIONS, History, Meter, Phase, Role, RunState, Status, Thread, Verdict
from agentrt.errors import UsageError
from agentrt.wire.items import Item, item_view
from agentrt.wire.json import is_dict, is_list
from agentrt.wire.responses import Usage

__all__ = ["state_in", "state_out"]

T = TypeVar("T")
_PLAIN = Verdict().__dict__


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "int": _whole,
    "float": lambda value: isinstance(value, float) or _whole(value),
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, Any]": is_dict,
    "Mapping[str, int]": lambda value: is_dict(value) and all(map(_whole, value.values())),
    "Kind": get_args(Kind).__contains__,
    "Role": get_args(Role).__contains__,
    "Phase": get_args(Phase).__contains__,
    "History": get_args(History).__contains__,
    "Status | None": (None, *get_args(Status)).__contains__,
}
"""What fits a field, by its annotation; what else there is, is read by a function of its own."""


def _annotated(kind: type[Any]) -> list[tuple[str, str]]:
    """Give the annotations as they are written; a NamedTuple keeps them wrapped."""
    return [(name, str(getattr(told, "__forward_arg__", told))) for name, told in kind.__annotations__.items()]


_CHECKS: Mapping[type[Any], list[tuple[str, Callable[[Any], bool]]]] = {
    kind: [(name, _FITS[text]) for name, text in _annotated(kind) if text in _FITS]
    for kind in (Meter, Pending, RunState, Thread, Verdict)
}


def state_out(state: RunState) -> dict[str, Any]:
    """Give a state as JSON values."""
    return {
        "version": max(VERSIONS),
        **state.__dict__,
        "limits": state.limits.__dict__,
        "meter": _meter_out(state.meter),
        "threads": {name: _thread_out(thread) for name, thread in state.threads.items()},
    }


def state_in(raw: dict[str, Any]) -> RunState:
    """Read a state; what is wrong with it raises ValueError, TypeError, KeyError, AttributeError or UsageError."""
    version = raw.pop("version", None)
    if version not in VERSIONS:
        raise UsageError(
            f"the state has version {version!r}, but this agentrt reads {sorted(VERSIONS)}; "
            "install the agentrt that wrote it"
        )
    read: dict[str, Any] = {
        **raw,
        "limits": Limits(**raw["limits"]),
        "meter": _meter_in(raw["meter"]),
        "threads": {name: _thread_in(thread) for name, thread in raw["threads"].items()},
        "notes": tuple(_each(raw.get("notes", []), "str")),
    }
    state = _made(RunState, read)
    if state.threads[MAIN].parent is not None:
        raise ValueError("the main thread has a parent")
    for name, thread in state.threads.items():
        _check(state, name, thread)
    return state


def _check(state: RunState, name: str, thread: Thread) -> None:
    """Refuse what no run can have come to, as a file may have been damaged."""
    if thread.parent is None and name != MAIN:
        raise ValueError("a thread has no parent")
    if thread.parent is not None:
        calls = state.threads[thread.parent].calls
        if not name.startswith(f"{thread.parent}/") or thread.limits is None:
            raise ValueError("a thread has another parent, or no limits")
        if thread.phase != "done" and thread.position not in calls:
            raise ValueError("a thread answers no call")
    if max(thread.known, thread.given) > len(thread.items):
        raise ValueError("more items are known than there are")
    known = {*thread.outputs, *thread.handed, *thread.waiting, *thread.decided, *thread.edited, *thread.replies}
    if not thread.calls.keys() >= known:
        raise ValueError("something is known of a call that isn't there")
    if any(thread.verdicts[position].ask is None for position in thread.waiting):
        raise ValueError("a call waits for nothing")


def _made(kind: type[T], read: dict[str, Any]) -> T:
    """Make one of ours of JSON values, if they are of the types that its fields have."""
    for name, fits in _CHECKS[kind]:
        if name in read and not fits(read[name]):
            raise ValueError(f"{name} of a {kind.__name__} is {read[name]!r:.50}")
    return kind(**read)


def _each(values: object, kind: str) -> list[Any]:
    if not is_list(values) or not all(map(_FITS[kind], values)):
        raise ValueError(f"{values!r:.50} is no list of {kind}")
    return values


def _meter_out(meter: Meter) -> dict[str, Any]:
    return {**meter._asdict(), "usage": meter.usage._asdict(), "by_tool": dict(meter.by_tool)}


def _meter_in(raw: dict[str, Any]) -> Meter:
    usage = Usage(**raw["usage"])
    _each(list(usage), "int")
    return _made(Meter, {**raw, "usage": usage})


def _thread_out(thread: Thread) -> dict[str, Any]:
    return {
        **thread.__dict__,
        "items": [item.raw for item in thread.items],
        "calls": _texts(thread.calls, lambda item: item.raw),
        "outputs": _texts(thread.outputs, lambda item: item.raw),
        "verdicts": _texts(thread.verdicts, _verdict_out),
        "edited": _texts(thread.edited, dict),
        "replies": _texts(thread.replies, dict),
        "handed": sorted(thread.handed),
        "waiting": sorted(thread.waiting),
        "decided": sorted(thread.decided),
        "limits": None if thread.limits is None else thread.limits.__dict__,
        "meter": _meter_out(thread.meter),
    }


def _thread_in(raw: dict[str, Any]) -> Thread:
    if isinstance(raw.get("outside"), bool):  # version 2
        raw["outside"] = raw["anchor"] if raw["outside"] else None
    if isinstance(raw.get("last"), bool):  # version 3
        raw |= {"last": "max_turns" if raw["last"] else None, "last_of_run": raw["last"]}
    calls: dict[int, Item] = _numbers(raw["calls"], item_view)
    read: dict[str, Any] = {
        **raw,
        "items": tuple(item_view(item) for item in _each(raw["items"], "Mapping[str, Any]")),
        "calls": calls,
        "outputs": _numbers(raw["outputs"], item_view),
        "verdicts": _numbers(raw.get("verdicts", {}), _verdict_in),
        "edited": _numbers(raw.get("edited", {}), _arguments_in),
        "replies": _numbers(raw.get("replies", {}), _arguments_in),
        "handed": frozenset(_each(raw.get("handed", list(calls)), "int")),  # before version 4 all were handed out
        "waiting": frozenset(_each(raw.get("waiting", []), "int")),
        "decided": frozenset(_each(raw.get("decided", []), "int")),
        "handoff": None if raw.get("handoff") is None else _handoff_in(*raw["handoff"]),
        "limits": None if raw.get("limits") is None else Limits(**raw["limits"]),
        "meter": _meter_in(raw["meter"]) if "meter" in raw else Meter(),
    }
    return _made(Thread, read)


def _handoff_in(agent: object, parallel: object) -> tuple[str, bool]:
    if not isinstance(agent, str) or not isinstance(parallel, bool):
        raise TypeError(f"a handoff goes to {agent!r:.50}")
    return agent, parallel


def _arguments_in(raw: object) -> dict[str, Any]:
    if not is_dict(raw):
        raise TypeError(f"{raw!r:.50} are no arguments")
    return raw


def _verdict_out(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict; what is as in most of them is left out."""
    told = {name: value for name, value in verdict.__dict__.items() if value != _PLAIN[name]}
    if verdict.ask is not None:
        told["ask"] = verdict.ask.__dict__
    if verdict.begin is not None:
        told["begin"] = _thread_out(verdict.begin)
    return told


def _verdict_in(raw: dict[str, Any]) -> Verdict:
    ask, begin = raw.pop("ask", None), raw.pop("begin", None)
    more = {
        "ask": None if ask is None else _made(Pending, ask),
        "begin": None if begin is None else _thread_in(begin),
    }
    return _made(Verdict, {**raw, **more})


def _texts(values: Mapping[int, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    return {str(index): write(value) for index, value in values.items()}


def _numbers(raw: Mapping[str, Any], read: Callable[[Any], Any]) -> dict[int, Any]:
    return {int(index): read(value) for index, value in raw.items()}
