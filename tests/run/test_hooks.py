"""Hooks and guardrails, instructions and deps: code of yours around model calls and tool calls."""

import json

import anyio
import pytest

from agentrt import (
    Agent,
    Approve,
    Context,
    Hooks,
    Response,
    Result,
    RunRefused,
    ToolError,
    ToolRetry,
    UsageError,
    handoff,
    tool,
)
from agentrt.testing import ScriptedModel, call, calls, say


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools or [add], client=model, **options)


def outputs(result):
    return [item.raw["output"] for item in result.items if item.type == "function_call_output"]


class Noting(Hooks):
    """Notes what it is asked."""

    def __init__(self, name="", log=None):
        self.name = name
        self.log = [] if log is None else log

    async def before_model(self, context, request):
        self.log.append((self.name, "before_model", context.turn, len(request["input"])))

    async def after_model(self, context, response):
        self.log.append((self.name, "after_model", context.turn, response.text))

    async def before_tool(self, context, tool, arguments):
        self.log.append((self.name, "before_tool", tool.name, dict(arguments)))

    async def after_tool(self, context, tool, arguments, output):
        self.log.append((self.name, "after_tool", tool.name, output))


async def test_hooks_are_asked_around_each_model_call_and_each_tool_call():
    model = ScriptedModel([calls(call("add", a=1, b=2)), say("3")])
    hooks = Noting()
    result = await agent_of(model, hooks=[hooks]).run("go")
    assert hooks.log == [
        ("", "before_model", 1, 1),
        ("", "after_model", 1, ""),
        ("", "before_tool", "add", {"a": 1, "b": 2}),
        ("", "after_tool", "add", "3"),
        ("", "before_model", 2, 3),
        ("", "after_model", 2, "3"),
    ]
    assert result.text == "3"


async def test_several_hooks_are_asked_in_order_each_with_what_the_one_before_gave():
    class Plus(Hooks):
        def __init__(self, sign):
            self.sign = sign

        async def before_model(self, context, request):
            return {**request, "instructions": (request.get("instructions") or "") + self.sign}

        async def before_tool(self, context, tool, arguments):
            return {**arguments, "text": arguments["text"] + self.sign}

        async def after_tool(self, context, tool, arguments, output):
            return output + self.sign

    def echo(text: str) -> str:
        return text

    model = ScriptedModel([calls(call("echo", text="x")), say("done")])
    result = await agent_of(model, echo, hooks=[Plus("1"), Plus("2")], instructions="i").run("go")
    assert [request.json["instructions"] for request in model.requests] == ["i12", "i12"]
    assert outputs(result) == ["x1212"]
    assert json.loads(result.items[0].raw["arguments"]) == {"text": "x"}


# --- model calls


async def test_a_hook_may_change_what_is_sent_without_changing_the_history():
    class Redact(Hooks):
        async def before_model(self, context, request):
            items = [{"type": "message", "role": "user", "content": "***"}, *request["input"][1:]]
            return {**request, "input": items, "temperature": 0.5}

    model = ScriptedModel([say("ok"), say("again")])
    agent = agent_of(model, hooks=[Redact()])
    result = await agent.run("my secret")
    assert model.requests[0].json["input"][0]["content"] == "***"
    assert model.requests[0].json["temperature"] == 0.5
    assert result.state.threads["main"].items[0].raw["content"] == "my secret"


async def test_a_hook_may_give_another_reply_and_what_it_gives_is_what_counts():
    class Shout(Hooks):
        async def after_model(self, context, response):
            raw = {**response.raw, "output": list(say(response.text.upper()).output)}
            return Response(raw)

    result = await agent_of(ScriptedModel([say("quiet")]), hooks=[Shout()]).run("go")
    assert (result.text, result.usage.total_tokens) == ("QUIET", 15)


class Guard(Hooks):
    """Refuses what has a word in it, where it is told to look."""

    def __init__(self, where, word):
        self.where = where
        self.word = word

    async def before_model(self, context, request):
        if self.where == "input" and self.word in str(request["input"]):
            raise RunRefused("that is not for us")

    async def after_model(self, context, response):
        if self.where == "output" and self.word in str(response.raw["output"]):
            raise RunRefused("that must not go out")


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_guardrail_on_the_input_ends_the_run_before_anything_is_sent(streaming):
    model = ScriptedModel([])
    agent = agent_of(model, hooks=[Guard("input", "bomb")])
    if streaming:
        async with agent.stream("a bomb") as run:
            events = [event async for event in run]
        result = run.result
        assert [event.type for event in events] == ["run.started", "turn.started", "note", "run.finished"]
        assert (events[2].note, events[3].status) == ("that is not for us", "refused")
    else:
        result = await agent.run("a bomb")
    assert (result.status, result.notes, result.text) == ("refused", ("that is not for us",), "")
    assert not model.requests
    with pytest.raises(UsageError, match="'refused'"):
        _ = result.output


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_guardrail_on_the_output_keeps_the_reply_out_of_the_history_and_counts_its_tokens(streaming):
    ran = []

    def act() -> None:
        ran.append(1)

    script = [calls(*say("a bomb").output, call("act"), usage=(70, 7))]
    agent = agent_of(ScriptedModel(script), act, hooks=[Guard("output", "bomb")], prices={"m": (1_000_000, 0)})
    if streaming:
        async with agent.stream("go") as run:
            events = [event async for event in run]
        result = run.result
        assert [event.type for event in events if event.type in ("usage", "run.finished")] == ["usage", "run.finished"]
    else:
        result = await agent.run("go")
    assert (result.status, result.notes, result.items, ran) == ("refused", ("that must not go out",), [], [])
    assert (result.usage.total_tokens, result.cost, result.turns) == (77, 70, 1)


async def test_a_refusal_in_a_later_turn_keeps_what_was_done():
    model = ScriptedModel([calls(call("add", a=1, b=2)), say("a bomb")])
    result = await agent_of(model, hooks=[Guard("output", "bomb")]).run("go")
    assert (result.status, outputs(result)) == ("refused", ["3"])


async def test_a_guardrail_of_a_sub_agent_fails_its_call_and_the_run_goes_on():
    helper = agent_of(ScriptedModel([say("a bomb")]), name="helper", hooks=[Guard("output", "bomb")])
    front = ScriptedModel([calls(call("helper", task="x"), call("add", a=1, b=2)), say("Without it.")])
    result = await agent_of(front, helper.as_tool(), add).run("go")
    assert (result.status, result.text) == ("completed", "Without it.")
    assert outputs(result) == ["Error: helper ended refused (that must not go out)", "3"]
    assert result.usage.total_tokens == 45


async def test_a_guardrail_of_the_agent_that_took_over_ends_the_run():
    other = agent_of(ScriptedModel([say("a bomb")]), name="other", hooks=[Guard("output", "bomb")])
    result = await agent_of(ScriptedModel([calls(call("transfer_to_other"))]), handoff(other)).run("go")
    assert (result.status, result.agent) == ("refused", "other")


async def test_a_refused_run_can_be_gone_on_from():
    model = ScriptedModel([say("Hello.")])
    agent = agent_of(model, hooks=[Guard("input", "bomb")])
    first = await agent.run("a bomb")
    assert (await agent.resume(first.state.to_json())).status == "refused"
    second = await agent_of(model).run("Hello!", after=first)
    assert second.text == "Hello."


# --- tool calls


async def test_changed_arguments_are_what_runs_and_what_is_told_to_later_hooks():
    class Double(Hooks):
        async def before_tool(self, context, tool, arguments):
            return {**arguments, "a": arguments["a"] * 2}

    log = []
    model = ScriptedModel([calls(call("add", a=1, b=2)), say("done")])
    result = await agent_of(model, hooks=[Double(), Noting(log=log)]).run("go")
    assert outputs(result) == ["4"]
    assert ("", "before_tool", "add", {"a": 2, "b": 2}) in log


async def test_changed_arguments_are_what_is_approved():
    @tool(approval=True)
    def pay(amount: int) -> str:
        return f"paid {amount}"

    class Cap(Hooks):
        async def before_tool(self, context, tool, arguments):
            return {"amount": min(arguments["amount"], 10)}

    def agent(model):
        return agent_of(model, pay, hooks=[Cap()])

    waiting = await agent(ScriptedModel([calls(call("pay", amount=500))])).run("go")
    (pending,) = waiting.pending
    assert pending.arguments == {"amount": 10}
    assert "500" not in pending.text
    result = await agent(ScriptedModel([say("done")])).resume(waiting.state.to_json(), {pending.id: Approve()})
    assert outputs(result) == ["paid 10"]
    decided = await agent(ScriptedModel([calls(call("pay", amount=500)), say("done")])).run(
        "go", on_pending=lambda _: Approve()
    )
    assert outputs(decided) == ["paid 10"]


async def test_changed_arguments_that_do_not_fit_are_told_to_the_model():
    class Spoil(Hooks):
        async def before_tool(self, context, tool, arguments):
            return {"a": "many"}

    result = await agent_of(ScriptedModel([calls(call("add", a=1, b=2)), say("done")]), hooks=[Spoil()]).run("go")
    assert outputs(result)[0].startswith("Error")


async def test_a_hook_may_refuse_a_call_in_words_and_its_siblings_run():
    class Careful(Hooks):
        async def before_tool(self, context, tool, arguments):
            if arguments.get("a") == 13:
                raise ToolError("Not thirteen.")

    ran = []

    def act(a: int) -> int:
        ran.append(a)
        return a

    model = ScriptedModel([calls(call("act", a=13), call("act", a=1)), say("done")])
    result = await agent_of(model, act, hooks=[Careful()]).run("go")
    assert outputs(result) == ["Error: Not thirteen.", "1"]
    assert ran == [1]


async def test_a_hook_may_change_or_refuse_an_output():
    class Redact(Hooks):
        async def after_tool(self, context, tool, arguments, output):
            if "secret" in output:
                raise ToolError("That output is not for you.")
            return output.replace("red", "***")

    def tell(text: str) -> str:
        return text

    model = ScriptedModel([calls(call("tell", text="a red house"), call("tell", text="secret")), say("done")])
    events = []
    result = await agent_of(model, tell, hooks=[Redact()], observers=[events.append]).run("go")
    assert outputs(result) == ["a *** house", "Error: That output is not for you."]
    finished = [(event.output, event.failed) for event in events if event.type == "tool.finished"]
    assert sorted(finished) == [("Error: That output is not for you.", True), ("a *** house", False)]


async def test_a_hook_may_give_structured_output():
    class Wrap(Hooks):
        async def after_tool(self, context, tool, arguments, output):
            return [{"type": "input_text", "text": f"<{output}>"}]

    result = await agent_of(ScriptedModel([calls(call("add", a=1, b=2)), say("done")]), hooks=[Wrap()]).run("go")
    assert outputs(result) == [[{"type": "input_text", "text": "<3>"}]]


async def test_hooks_are_not_asked_about_calls_that_can_not_run():
    hooks = Noting()
    model = ScriptedModel([calls(call("ad", a=1), call("add", a="x", b=1)), say("done")])
    await agent_of(model, hooks=[hooks]).run("go")
    assert not [entry for entry in hooks.log if entry[1].endswith("_tool")]


async def test_before_a_sub_agent_is_asked_its_task_may_be_changed():
    class Polite(Hooks):
        async def before_tool(self, context, tool, arguments):
            return {"task": f"Please: {arguments['task']}"}

    back = ScriptedModel([say("ok")])
    front = ScriptedModel([calls(call("helper", task="x")), say("done")])
    await agent_of(front, agent_of(back, name="helper").as_tool(), hooks=[Polite()]).run("go")
    assert back.requests[0].json["input"][0]["content"] == "Please: x"


async def test_a_hook_may_refuse_a_handoff():
    class Stay(Hooks):
        async def before_tool(self, context, tool, arguments):
            raise ToolError("Stay here.")

    other = agent_of(ScriptedModel([]), name="other")
    front = ScriptedModel([calls(call("transfer_to_other")), say("I stay.")])
    result = await agent_of(front, handoff(other), hooks=[Stay()]).run("go")
    assert (outputs(result), result.text, result.agent) == (["Error: Stay here."], "I stay.", "agent")


async def test_a_call_knows_its_key_in_hooks():
    seen = []

    class Look(Hooks):
        async def before_tool(self, context, tool, arguments):
            seen.append((context.key, context.call_id, context.deps, context.agent, context.turn))

        async def after_tool(self, context, tool, arguments, output):
            seen.append((context.key, context.call_id, context.deps, context.agent, context.turn))

    @tool
    def look(ctx: Context) -> None:
        seen.append((ctx.key, ctx.call_id, ctx.deps, ctx.agent, ctx.turn))

    await agent_of(ScriptedModel([calls(call("look")), say("done")]), look, hooks=[Look()]).run("go", deps="db")
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0][2:] == ("db", "agent", 1)


@pytest.mark.parametrize("hook", ["before_model", "after_model", "before_tool", "after_tool"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_any_other_exception_of_a_hook_ends_the_run_as_it_is_and_nothing_stays(hook, streaming):
    ended, told = [], []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def broken(self, context, *arguments):
        if hook != "after_tool" or arguments[0].name == "add":
            raise KeyError("mine")

    hooks = type("Broken", (Hooks,), {hook: broken})()
    agent = agent_of(
        ScriptedModel([calls(call("slow"), call("add", a=1, b=2))]), slow, add, hooks=[hooks], observers=[told.append]
    )
    with anyio.fail_after(5), pytest.raises(KeyError, match="mine"):
        if streaming:
            async with agent.stream("go") as run:
                async for _ in run:
                    pass
        else:
            await agent.run("go")
    assert ended == ([True] if hook == "after_tool" else [])
    assert told[-1].type == "run.finished"
    assert "mine" in told[-1].error
    assert [event.type for event in told].count("run.finished") == 1


@pytest.mark.parametrize("hook", ["before_tool", "after_tool"])
async def test_refusing_the_run_around_a_tool_call_ends_it_as_refused_too(hook):
    async def refuse(self, context, *arguments):
        raise RunRefused("no further")

    ended = []

    async def slow() -> None:
        try:
            await anyio.sleep(0 if hook == "before_tool" else 30)
        finally:
            ended.append(True)

    model = ScriptedModel([calls(call("add", a=1, b=2), call("slow"))])
    with anyio.fail_after(5):
        result = await agent_of(model, add, slow, hooks=[type("No", (Hooks,), {hook: refuse})()]).run("go")
    assert (result.status, result.notes) == ("refused", ("no further",))
    kinds = [item.type for item in result.items]
    assert kinds.count("function_call") == kinds.count("function_call_output")


async def test_with_hooks_no_call_starts_before_the_reply_is_whole():
    order = []

    @tool(effect="pure")
    def look() -> str:
        order.append("tool")
        return "seen"

    class After(Hooks):
        async def after_model(self, context, response):
            order.append("hook")

    model = ScriptedModel([calls(call("look"), *say("x" * 50).output, pause=0.002), say("done")])
    async with agent_of(model, look, hooks=[After()]).stream("go") as run:
        async for _ in run:
            pass
    assert order == ["hook", "tool", "hook"]


async def test_the_hooks_of_each_agent_are_its_own_and_a_sub_agents_answer_is_seen_by_its_own():
    log = []
    helper = agent_of(ScriptedModel([say("ok")]), name="helper", hooks=[Noting("helper", log)])
    front = ScriptedModel([calls(call("helper", task="x")), say("done")])
    await agent_of(front, helper.as_tool(), hooks=[Noting("front", log)]).run("go")
    assert [(name, what) for name, what, *_ in log] == [
        ("front", "before_model"),
        ("front", "after_model"),
        ("front", "before_tool"),
        ("helper", "before_model"),
        ("helper", "after_model"),
        ("front", "before_model"),
        ("front", "after_model"),
    ]


# --- instructions


async def test_instructions_may_be_a_function_asked_before_each_request():
    asked = []

    def instruct(context):
        asked.append(context.turn)
        return f"You serve {context.deps}. Turn {context.turn} of {context.agent}."

    model = ScriptedModel([calls(call("add", a=1, b=2)), say("done")])
    await agent_of(model, instructions=instruct, name="chef").run("go", deps="Ada")
    told = [request.json["instructions"] for request in model.requests]
    assert told == ["You serve Ada. Turn 1 of chef.", "You serve Ada. Turn 2 of chef."]
    assert asked == [1, 2]


async def test_instructions_may_be_async_and_belong_to_the_agent_at_work():
    async def front_desk(context):
        await anyio.lowlevel.checkpoint()
        return f"front of {context.deps}"

    async def back_office(context):
        return f"back of {context.deps}"

    back = ScriptedModel([say("Done.")])
    front = ScriptedModel([calls(call("transfer_to_back"))])
    other = agent_of(back, name="back", instructions=back_office)
    await agent_of(front, handoff(other), instructions=front_desk).run("go", deps="shop")
    assert [model.requests[0].json["instructions"] for model in (front, back)] == ["front of shop", "back of shop"]


@pytest.mark.parametrize("made", [None, 42, ["text"]])
async def test_instructions_of_a_wrong_type_are_told(made):
    model = ScriptedModel([])
    with pytest.raises(UsageError, match="must return a text"):
        await agent_of(model, instructions=lambda _: made).run("go")
    with pytest.raises(UsageError, match="must return a text"):

        async def instruct(_):
            return made

        await agent_of(model, instructions=instruct).run("go")
    with pytest.raises(UsageError, match="instructions= takes a text"):
        agent_of(model, instructions=42)
    assert not model.requests


async def test_an_error_in_the_instructions_ends_the_run_as_it_is():
    def instruct(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await agent_of(ScriptedModel([]), instructions=instruct).run("go")


async def test_prepare_shows_what_a_function_of_instructions_gives():
    assert (
        agent_of(ScriptedModel([]), instructions=lambda _: "Be short.").prepare("x").json["instructions"] == "Be short."
    )

    async def instruct(_):
        return "x"

    with pytest.raises(UsageError, match="async"):
        agent_of(ScriptedModel([]), instructions=instruct).prepare("x")


# --- deps


class NotingDeps(Hooks):
    def __init__(self, note):
        self.note = note

    async def before_model(self, context, request):
        self.note("before_model", context)

    async def after_model(self, context, response):
        self.note("after_model", context)

    async def before_tool(self, context, tool, arguments):
        self.note("before_tool", context)

    async def after_tool(self, context, tool, arguments, output):
        self.note("after_tool", context)


async def test_deps_reach_tools_hooks_instructions_predicates_and_validators():
    deps, seen = object(), {}

    def note(where, context):
        seen.setdefault(where, set()).add(context.deps is deps)
        return True

    @tool
    def look(ctx: Context) -> None:
        note("tool", ctx)

    @tool(enabled=lambda ctx: note("enabled", ctx))
    def other() -> None:
        pass

    def instruct(context):
        note("instructions", context)
        return "x"

    def check(context: Context, answer: int) -> int:
        note("validator", context)
        if answer < 3:
            raise ToolRetry("More.")
        return answer

    def answer(value):
        return say(json.dumps({"value": value}))

    model = ScriptedModel([calls(call("look")), answer(1), answer(3)])
    given = {"hooks": [NotingDeps(note)], "instructions": instruct, "output_validators": [check]}
    result: Result[int] = await agent_of(model, look, other, output_type=int, **given).run("go", deps=deps)
    assert result.output == 3
    hooks = {"before_model", "after_model", "before_tool", "after_tool"}
    assert set(seen) == {"tool", "enabled", "instructions", "validator"} | hooks
    assert all(same == {True} for same in seen.values())
