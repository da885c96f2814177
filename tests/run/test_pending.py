"""Calls that wait for a person: who is asked, what may be decided, and what a decision can't do."""

import json
import logging
import threading

import anyio
import pytest

from agentrt import Agent, Answer, Approve, Deny, Limits, Registry, RunState, UsageError, tool
from agentrt.testing import FakeClock, ScriptedModel, call, calls, say
from tests.run.parts import asks_server, outputs, python


@pytest.fixture
def sent():
    return []


@pytest.fixture
def mail(sent):
    """A tool that somebody must approve."""

    @tool(approval=True)
    def mail(to: str, text: str = "hi") -> str:
        sent.append((to, text))
        return f"sent to {to}"

    return mail


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools, client=model, **options)


def twice(*first, last="done"):
    """A model that calls, and is content with whatever comes back."""
    return ScriptedModel([calls(*first), say(last)])


async def pending_of(*tools, turn=None, **options):
    turn = turn or [call(tools[0].key, to="ann")]
    agent = agent_of(twice(*turn), *tools, **options)
    result = await agent.run("go")
    assert result.status == "pending"
    return agent, result


# --- what waits


async def test_a_call_that_needs_approval_is_not_run_and_the_run_returns(mail, sent):
    _, result = await pending_of(mail)
    (pending,) = result.pending
    assert (pending.kind, pending.name, pending.agent, pending.thread) == ("tool", "mail", "agent", "main")
    assert pending.arguments == {"to": "ann", "text": "hi"}, "defaults are part of what is decided on"
    assert pending.text == "mail\n  to: ann\n  text: hi"
    assert (result.turns, sent) == (1, [])
    with pytest.raises(UsageError, match="'pending'"):
        _ = result.output


async def test_an_approved_call_runs_with_the_models_arguments(mail, sent):
    agent, result = await pending_of(mail)
    result = await agent.resume(result.state, {result.pending[0].id: Approve()})
    assert (result.status, outputs(result), sent) == ("completed", ["sent to ann"], [("ann", "hi")])


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_predicate_asks_for_some_calls_only(kind):
    def risky(arguments):
        return arguments["amount"] > 10

    async def risky_later(arguments):
        await anyio.lowlevel.checkpoint()
        return risky(arguments)

    @tool(approval=risky if kind == "sync" else risky_later)
    def pay(amount: int = 100) -> str:
        return f"paid {amount}"

    agent, result = await pending_of(pay, turn=[call("pay", amount=5), call("pay", amount=50), call("pay")])
    assert [pending.arguments for pending in result.pending] == [{"amount": 50}, {"amount": 100}]
    result = await agent.resume(result.state, {pending.id: Approve() for pending in result.pending})
    assert outputs(result) == ["paid 5", "paid 50", "paid 100"]


async def test_a_predicate_that_fails_lets_nothing_run(caplog):
    ran = []

    def broken(_):
        raise RuntimeError("no connection")

    @tool(approval=broken)
    def pay(amount: int) -> None:
        ran.append(amount)

    @tool
    def other() -> str:
        return "fine"

    with caplog.at_level(logging.CRITICAL, "agentrt"):
        result = await agent_of(twice(call("pay", amount=5), call("other")), pay, other).run("go")
    assert (result.status, ran) == ("completed", [])
    assert "could not be found out; it was not run" in outputs(result)[0]
    assert outputs(result)[1] == "fine"


async def test_nobody_is_asked_about_a_call_that_can_not_run(mail):
    result = await agent_of(twice(call("mail", text="x")), mail).run("go")
    assert result.status == "completed"
    assert "`to` is required" in outputs(result)[0]


# --- what may be decided


async def test_edited_arguments_are_used_and_the_model_is_told_so(mail, sent):
    agent, result = await pending_of(mail)
    edited = {"to": "bob", "text": "hello"}
    result = await agent.resume(result.state, {result.pending[0].id: Approve(edited=edited)})
    assert sent == [("bob", "hello")]
    (output,) = outputs(result)
    assert '{"to":"bob","text":"hello"}' in output
    assert output.endswith("sent to bob")
    assert json.loads(result.items[0].raw["arguments"]) == {"to": "ann"}, "what the model wrote stays as it was"


@pytest.mark.parametrize(
    "edited", [{"to": 5}, {"text": "x"}, {"to": "a", "cc": "b"}, {"to": object()}, [1], "to", {"to": float("nan")}]
)
async def test_edited_arguments_that_do_not_fit_lose_nothing(mail, sent, edited):
    agent, result = await pending_of(mail)
    text, key = result.state.to_json(), result.pending[0].id
    with pytest.raises(UsageError, match=r"edited|JSON"):
        await agent.resume(result.state, {key: Approve(edited=edited)})
    assert (sent, result.state.to_json()) == ([], text)
    result = await agent.resume(text, {key: Approve()})
    assert result.status == "completed"


@pytest.mark.parametrize(
    ("decision", "output"),
    [
        (Deny(), "Error: this call was denied"),
        (Deny("not to Ann"), "Error: this call was denied: not to Ann"),
        (Answer("she knows"), "she knows"),
        (Answer({"a": [1, None]}), '{"a":[1,null]}'),
        ({"type": "deny", "reason": "no"}, "Error: this call was denied: no"),
        ({"type": "answer", "value": 5}, "5"),
    ],
)
async def test_a_call_may_be_denied_or_answered_instead(mail, sent, decision, output):
    agent, result = await pending_of(mail)
    result = await agent.resume(result.state, {result.pending[0].id: decision})
    assert (result.status, outputs(result), sent) == ("completed", [output], [])


@pytest.mark.parametrize("decision", [True, "yes", None, {"type": "maybe"}, {}, Approve, Answer(object())])
async def test_what_is_no_decision_decides_nothing(mail, sent, decision):
    agent, result = await pending_of(mail)
    with pytest.raises(UsageError, match="decision"):
        await agent.resume(result.state, {result.pending[0].id: decision})
    assert sent == []


@pytest.mark.parametrize("decisions", [[Approve()], Approve(), "all"])
async def test_decisions_come_by_id(mail, sent, decisions):
    agent, result = await pending_of(mail)
    with pytest.raises(UsageError, match="decisions"):
        await agent.resume(result.state, decisions)
    assert sent == []


async def test_decisions_may_come_one_at_a_time(mail, sent):
    turn = [call("mail", to=name) for name in ("ann", "bob", "cyd")]
    agent, result = await pending_of(mail, turn=turn)
    first, second, third = (pending.id for pending in result.pending)
    result = await agent.resume(result.state, {second: Approve()})
    assert (result.status, [pending.id for pending in result.pending]) == ("pending", [first, third])
    assert sent == [("bob", "hi")]
    result = await agent.resume(result.state.to_json(), {third: Deny("no")})
    assert [pending.id for pending in result.pending] == [first]
    result = await agent.resume(result.state.to_json(), {first: Approve()})
    assert outputs(result) == ["sent to ann", "sent to bob", "Error: this call was denied: no"]
    assert sent == [("bob", "hi"), ("ann", "hi")]


async def test_resuming_without_a_decision_asks_again(mail, sent):
    agent, result = await pending_of(mail)
    again = await agent.resume(result.state.to_json())
    assert (again.status, again.pending, sent) == ("pending", result.pending, [])


# --- put away


FRESH = """
import json, sys
from agentrt import Agent, Approve, RunState, tool
from agentrt.testing import ScriptedModel, say
from tests.run.parts import outputs

sent = []

@tool(approval=True)
def mail(to: str, text: str = "hi") -> str:
    sent.append([to, text])
    return f"sent to {to}"

text = sys.stdin.read()
(pending,) = RunState.from_json(text).pending
model = ScriptedModel([say("done")])
result = Agent("m", tools=[mail], client=model).resume_sync(text, {pending.id: Approve()})
told = {"id": pending.id, "text": pending.text, "sent": sent, "status": result.status, "outputs": outputs(result)}
print(json.dumps(told))
"""


def test_a_run_is_decided_on_days_later_in_another_process(mail, sent):
    result = agent_of(twice(call("mail", to="ann")), mail).run_sync("go")
    told = python(FRESH, stdin=result.state.to_json())
    (pending,) = result.pending
    assert told == {
        "id": pending.id,
        "text": pending.text,
        "sent": [["ann", "hi"]],
        "status": "completed",
        "outputs": ["sent to ann"],
    }
    assert sent == []


async def test_a_decision_fits_nothing_else(mail, sent):
    agent, result = await pending_of(mail)
    _, other_run = await pending_of(mail)
    _, other_arguments = await pending_of(mail, turn=[call("mail", to="eve")])
    _, other_place = await pending_of(mail, turn=[call("nothing"), call("mail", to="ann")])
    key = result.pending[0].id
    for other in (other_run, other_arguments, other_place):
        assert other.pending[0].id != key
        with pytest.raises(UsageError, match="nothing with the id"):
            await agent.resume(other.state, {key: Approve()})
    forged = result.state.to_json().replace('{\\"to\\":\\"ann\\"}', '{\\"to\\":\\"eve\\"}')
    assert forged != result.state.to_json()
    with pytest.raises(UsageError, match="nothing with the id"):
        await agent.resume(forged, {key: Approve()})
    assert sent == []


async def test_a_decision_is_spent_once_it_was_taken(mail, sent):
    agent, result = await pending_of(mail)
    decisions = {result.pending[0].id: Approve()}
    result = await agent.resume(result.state, decisions)
    with pytest.raises(UsageError, match="nothing is pending any more"):
        await agent.resume(result.state, decisions)
    assert len(sent) == 1


async def test_a_decision_on_a_tool_that_was_changed_since_fits_nothing(mail, sent):
    _, result = await pending_of(mail)

    @tool(name="mail", approval=True)
    def changed(to: str, text: str = "hi", all_of_them: bool = False) -> str:
        """Mail to somebody, or to everybody."""
        return sent.append(to)

    with pytest.raises(UsageError, match="what it was about has changed"):
        await agent_of(ScriptedModel(), changed).resume(result.state, {result.pending[0].id: Approve()})
    assert sent == []


async def test_a_change_voids_a_decision_that_was_taken_already(mail, sent):
    @tool(approval=True, exclusive=True, effect="idempotent")
    async def slow(to: str) -> str:
        started.set()
        await anyio.sleep_forever()

    started = anyio.Event()
    agent, result = await pending_of(slow)
    async with agent.resume_stream(result.state, {result.pending[0].id: Approve()}) as run:
        async for event in run:
            if event.type == "tool.started":
                break

    @tool(name="slow", approval=True, exclusive=True, effect="idempotent")
    def changed(to: str) -> str:
        """Another one now."""
        return sent.append(to)

    same = await agent_of(ScriptedModel([say("done")]), slow_but_quick(sent)).resume(run.state)
    assert (same.status, same.notes, outputs(same)) == ("completed", (), ["quick ann"]), "it was approved"
    again = await agent_of(ScriptedModel(), changed).resume(run.state)
    assert (again.status, len(again.pending), sent) == ("pending", 1, ["ann"])
    assert "'slow' was changed" in again.notes[0]


def slow_but_quick(sent):
    """The same definition, other code."""

    @tool(approval=True, exclusive=True, effect="idempotent")
    async def slow(to: str) -> str:
        sent.append(to)
        return f"quick {to}"

    return slow


async def test_a_tool_that_is_gone_when_the_decision_comes(mail):
    _, result = await pending_of(mail)
    agent = agent_of(ScriptedModel([say("done")]))
    with pytest.raises(UsageError, match="nothing with the id"):
        await agent.resume(result.state, {result.pending[0].id: Approve()})
    result = await agent.resume(result.state)
    assert "no tool named 'mail'" in outputs(result)[0]


# --- what goes on meanwhile


async def test_siblings_run_to_their_end(mail):
    ended = []

    @tool
    async def slow(n: int) -> int:
        await anyio.sleep(0.01)
        ended.append(n)
        return n

    turn = [call("slow", n=1), call("mail", to="ann"), call("slow", n=2), call("slow", n="x")]
    agent, result = await pending_of(mail, slow, turn=turn)
    assert sorted(ended) == [1, 2]
    result = await agent.resume(result.state.to_json(), {result.pending[0].id: Approve()})
    assert sorted(ended) == [1, 2]
    assert outputs(result)[:3] == ["1", "sent to ann", "2"]


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ({"serial": True}, ["b"]),
        ({"approval_lane": "file:{name}"}, []),
        ({"approval_lane": "one"}, ["b"]),
        ({"exclusive": True}, ["b"]),
    ],
)
async def test_later_calls_wait_behind_one_that_waits(options, held):
    ran = []
    lane = {"resource": options["approval_lane"]} if "approval_lane" in options else {}

    @tool(approval=lambda arguments: arguments["name"] == "a", exclusive="exclusive" in options, **lane)
    def work(name: str) -> str:
        ran.append(name)
        return name

    turn = [call("work", name=name) for name in "0ab"]
    agent, result = await pending_of(work, turn=turn, parallel_tool_calls="serial" not in options)
    assert sorted(ran) == [name for name in "0b" if name not in held]
    result = await agent.resume(result.state, {result.pending[0].id: Approve()})
    assert outputs(result) == ["0", "a", "b"]
    if held:
        assert ran == ["0", "a", "b"]


async def test_behind_a_denied_call_the_lane_is_free_again():
    @tool(approval=lambda arguments: arguments["name"] == "a", resource="one")
    def work(name: str) -> str:
        return name

    agent, result = await pending_of(work, turn=[call("work", name=name) for name in "ab"])
    result = await agent.resume(result.state, {result.pending[0].id: Deny()})
    assert outputs(result) == ["Error: this call was denied", "b"]


# --- hosted MCP servers


@pytest.mark.parametrize(
    ("decision", "response"),
    [
        (Approve(), {"approve": True}),
        (Deny(), {"approve": False, "reason": "this call was denied"}),
        (Deny("not today"), {"approve": False, "reason": "this call was denied: not today"}),
    ],
)
async def test_a_hosted_server_that_asks_is_answered_on_the_wire(decision, response):
    model = twice(asks_server())
    agent = agent_of(model, {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.test"})
    result = await agent.run("go")
    (pending,) = result.pending
    assert (pending.kind, pending.name, pending.arguments) == ("mcp", "docs.search", {"q": "cats"})
    assert pending.text == "docs.search\n  q: cats"
    result = await agent.resume(result.state.to_json(), {pending.id: decision})
    assert result.output == "done"
    asked, answered = model.requests[1].json["input"][-2:]
    assert asked == asks_server()
    assert answered == {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", **response}


@pytest.mark.parametrize("decision", [Answer("x"), Approve(edited={"q": "dogs"})])
async def test_a_hosted_servers_call_can_only_be_approved_or_denied(decision):
    agent = agent_of(twice(asks_server()), {"type": "mcp", "server_label": "docs"})
    result = await agent.run("go")
    with pytest.raises(UsageError, match="only be approved or denied"):
        await agent.resume(result.state, {result.pending[0].id: decision})


@pytest.mark.parametrize("arguments", ['["rm", "x"]', '{"q": ', "rm x", {"q": "rm x"}, ["rm"]])
async def test_whatever_a_hosted_server_wants_is_shown(arguments):
    result = await agent_of(twice(asks_server(arguments=arguments))).run("go")
    told = arguments if isinstance(arguments, str) else "rm"
    assert "".join(told.split()) in "".join(result.pending[0].text.split())


async def test_one_approval_of_a_hosted_server_is_not_anothers():
    turn = [asks_server(number=1), asks_server("drop", number=2), asks_server(number=3, arguments="")]
    model = twice(*turn)
    agent = agent_of(model)
    result = await agent.run("go")
    first, second, third = result.pending
    assert (second.name, third.arguments) == ("docs.drop", {})
    result = await agent.resume(result.state, {second.id: Deny(), third.id: Approve()})
    assert [pending.id for pending in result.pending] == [first.id]
    await agent.resume(result.state, {first.id: Approve()})
    sent = [item for item in model.requests[1].json["input"] if item["type"] == "mcp_approval_response"]
    assert [(item["approval_request_id"], item["approve"]) for item in sent] == [
        ("mcpr_1", True),
        ("mcpr_2", False),
        ("mcpr_3", True),
    ]


# --- sub-agents


def family(mail, **options):
    child = agent_of(twice(call("mail", to="ann"), last="mailed"), mail, name="postman")
    return agent_of(twice(call("postman", task="mail ann")), child.as_tool(**options), name="boss")


async def test_what_a_sub_agent_waits_for_is_pending_at_the_top(mail, sent):
    boss = family(mail)
    result = await boss.run("go")
    (pending,) = result.pending
    assert (pending.agent, pending.name, pending.thread) == ("postman", "mail", "main/1.0")
    result = await boss.resume(result.state.to_json(), {pending.id: Approve()})
    assert (result.output, outputs(result), sent) == ("done", ["mailed"], [("ann", "hi")])


async def test_a_sub_agent_itself_may_need_approval(mail, sent):
    boss = family(mail, approval=True)
    result = await boss.run("go")
    assert [pending.name for pending in result.pending] == ["postman"]
    denied = await boss.resume(result.state, {result.pending[0].id: Deny("no mail")})
    assert outputs(denied) == ["Error: this call was denied: no mail"]


async def test_a_sub_agent_that_was_approved_asks_for_itself(mail, sent):
    boss = family(mail, approval=True)
    result = await boss.run("go")
    result = await boss.resume(result.state, {result.pending[0].id: Approve()})
    assert [pending.name for pending in result.pending] == ["mail"]


# --- somebody who is asked at once


async def test_on_pending_decides_at_once(mail, sent):
    asked = []

    async def decide(pending):
        asked.append((pending.name, pending.arguments["to"]))
        return Approve() if pending.arguments["to"] == "ann" else Deny("not him")

    turn = [call("mail", to="ann"), call("mail", to="bob")]
    result = await agent_of(twice(*turn), mail).run("go", on_pending=decide)
    assert (result.status, sent, asked) == ("completed", [("ann", "hi")], [("mail", "ann"), ("mail", "bob")])
    assert outputs(result) == ["sent to ann", "Error: this call was denied: not him"]


async def test_a_sync_on_pending_may_wait_for_a_keyboard(mail):
    here, ticks = threading.get_ident(), []
    typed = threading.Event()

    def decide(_):
        assert threading.get_ident() != here
        assert typed.wait(5)
        return Approve()

    @tool
    async def tick() -> None:
        ticks.append(1)
        typed.set()

    result = await agent_of(twice(call("mail", to="ann"), call("tick")), mail, tick).run("go", on_pending=decide)
    assert (result.status, ticks) == ("completed", [1])


async def test_a_sync_on_pending_is_asked_one_thing_at_a_time_and_async_ones_all_at_once(mail, sent):
    asked, busy, typed, together = [], threading.Lock(), threading.Event(), anyio.Event()

    def one_keyboard(pending):
        assert busy.acquire(blocking=False)
        asked.append(pending.arguments["to"])
        typed.wait(0.01)
        busy.release()
        return Approve()

    async def one_chat(pending):
        asked.append(pending.arguments["to"])
        if len(asked) == 3:
            together.set()
        await together.wait()
        return Approve()

    turn = [call("mail", to=name) for name in ("ann", "bob", "cyd")]
    for decide in (one_keyboard, one_chat):
        asked.clear()
        with anyio.fail_after(5):
            result = await agent_of(twice(*turn), mail).run("go", on_pending=decide)
        assert (result.status, asked) == ("completed", ["ann", "bob", "cyd"])


class Decider:
    async def __call__(self, pending):
        await anyio.lowlevel.checkpoint()
        return {"type": "approve", "edited": {"to": "cyd"}}


async def test_on_pending_may_be_an_object_and_may_give_json(mail, sent):
    result = await agent_of(twice(call("mail", to="ann")), mail).run("go", on_pending=Decider())
    assert (result.status, sent) == ("completed", [("cyd", "hi")])


async def test_what_on_pending_leaves_open_stays_pending(mail, sent):
    def decide(pending):
        return Approve() if pending.arguments["to"] == "bob" else None

    turn = [call("mail", to=name) for name in ("ann", "bob", "cyd")]
    agent = agent_of(twice(*turn), mail)
    with anyio.fail_after(5):
        result = await agent.run("go", on_pending=decide)
    assert [pending.arguments["to"] for pending in result.pending] == ["ann", "cyd"]
    assert sent == [("bob", "hi")]
    result = await agent.resume(result.state, on_pending=lambda _: Deny())
    assert result.status == "completed"


async def test_an_on_pending_that_fails_leaves_it_open(mail, sent, caplog):
    def decide(_):
        raise RuntimeError("the chat is down")

    with caplog.at_level(logging.CRITICAL, "agentrt"):
        result = await agent_of(twice(call("mail", to="ann")), mail).run("go", on_pending=decide)
    assert (result.status, len(result.pending), sent) == ("pending", 1, [])


@pytest.mark.parametrize("decision", ["yes", True, Approve(edited={"to": 5}), Approve(edited=[])])
async def test_an_on_pending_that_gives_nonsense_is_said_and_loses_nothing(mail, sent, decision):
    agent = agent_of(twice(call("mail", to="ann")), mail)
    with pytest.raises(UsageError, match=r"decision|edited") as caught:
        await agent.run("go", on_pending=lambda _: decision)
    (pending,) = caught.value.state.pending
    result = await agent.resume(caught.value.state, {pending.id: Approve()})
    assert (result.status, sent) == ("completed", [("ann", "hi")])


async def test_a_decision_counts_however_slowly_events_are_read(mail, sent):
    async def decide(pending):
        return Deny() if pending.arguments["to"] == "ann" else Approve()

    turn = [call("mail", to=name) for name in ("ann", "bob")]
    async with agent_of(twice(*turn), mail).stream("go", on_pending=decide) as run:
        async for _ in run:
            await anyio.sleep(0.005)
    assert (run.result.status, sent) == ("completed", [("bob", "hi")])


async def test_cancelling_while_a_person_is_asked(mail, sent):
    async def decide(_):
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with agent_of(twice(call("mail", to="ann")), mail).stream("go", on_pending=decide) as run:
            async for event in run:
                if event.type == "pending":
                    run.cancel()
    assert (run.result.status, sent) == ("cancelled", [])
    assert outputs(run.result) == ["Error: the run was cancelled before this call ran"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waiting_for_a_person_is_no_work(mail, sent, backend):
    async def decide(_):
        await anyio.sleep(3600)
        return Approve()

    async def main():
        agent = agent_of(twice(call("mail", to="ann")), mail, limits=Limits(seconds=5))
        return await agent.run("go", on_pending=decide)

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert (result.status, clock.now >= 3600) == ("completed", True)
    assert result.state.meter.seconds < 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_while_siblings_work_time_passes_although_a_person_is_asked(mail, backend):
    async def decide(_):
        await anyio.sleep(3600)

    @tool
    async def slow() -> None:
        await anyio.sleep(3600)

    async def main():
        agent = agent_of(twice(call("mail", to="ann"), call("slow")), mail, slow, limits=Limits(seconds=5))
        return await agent.run("go", on_pending=decide)

    clock = FakeClock()
    result = clock.run(main, backend=backend)
    assert (result.status, result.stopped_by, round(clock.now)) == ("limit", "seconds", 5)


# --- the decider's text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\nto: bob", "a\\u000ato: bob"),
        ("a\r\u2028\u2029b", "a\\u000d\\u2028\\u2029b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("a\u200b\u2060\ufeff\u00adb", "a\\u200b\\u2060\\ufeff\\u00adb"),
        ("\x1b[2K\x00\x7f\x9b", "\\u001b[2K\\u0000\\u007f\\u009b"),
        ("\U000e0041\ue000", "\\U000e0041\\ue000"),
        ("a\ufe0f\u034f\u3164\u115f\u2800\U000e0100b", "a\\ufe0f\\u034f\\u3164\\u115f\\u2800\\U000e0100b"),
    ],
)
async def test_nothing_in_the_text_hides_or_looks_like_something_else(mail, given, shown):
    _, result = await pending_of(mail, turn=[call("mail", to=given)])
    (pending,) = result.pending
    assert pending.text == f"mail\n  to: {shown}\n  text: hi"
    assert pending.arguments["to"] == given


async def test_the_text_shows_names_and_nested_values_as_they_are():
    @tool(approval=True)
    def store(values: dict[str, list[str]]) -> None: ...

    _, result = await pending_of(store, turn=[call("store", values={"a\n  b: x": ["\u202e"]})])
    assert result.pending[0].text == 'store\n  values: {"a\\n  b: x":["\\u202e"]}'


async def test_a_very_long_value_is_cut_and_says_so(mail):
    _, result = await pending_of(mail, turn=[call("mail", to="x" * 100_000 + "y")])
    (pending,) = result.pending
    assert len(pending.text) < 5000
    assert "100001 characters" in pending.text
    assert pending.text.splitlines()[1].endswith("characters)")
    assert len(pending.arguments["to"]) == 100_001


async def test_the_models_prose_is_no_part_of_the_text(mail):
    turn = [*say("The user has allowed this already.").output, call("mail", to="ann")]
    _, result = await pending_of(mail, turn=turn)
    assert result.pending[0].text == "mail\n  to: ann\n  text: hi"


# --- dispatch by hand


async def test_dispatch_by_hand_asks_as_ever(mail, sent):
    registry = Registry([mail])
    (output,) = await registry.dispatch([call("mail", to="ann")])
    assert "needs approval" in output["output"]
    (output,) = await registry.dispatch([call("mail", to="ann")], approve=lambda _, arguments: arguments["to"] == "ann")
    assert (output["output"], sent) == ("sent to ann", [("ann", "hi")])
    (output,) = await registry.dispatch([call("mail", to="bob")], approve=lambda *_: False)
    assert "was not approved" in output["output"]


async def test_a_pending_state_reads_back_the_same(mail):
    _, result = await pending_of(mail)
    text = result.state.to_json()
    assert RunState.from_json(text).to_json() == text
    assert RunState.from_json(text).pending == result.pending
