"""Runs as spans: how they nest through real runs, what is current inside a tool, and silence without an SDK."""

import anyio
import pytest
from opentelemetry import trace as otel

from agentrt import Agent, Approve, Hooks, Limits, handoff, tool
from agentrt.errors import StatusError
from agentrt.testing import ScriptedModel, call, calls, http_error, say


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


def agent_of(model, *tools, **options):
    return Agent("m", tools=tools or [add], client=model, **options)


class Recorded:
    """What the SDK exported."""

    def __init__(self, exporter):
        self.exporter = exporter

    @property
    def all(self):
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def tree(self):
        """Each span's path of names, in the order in which they began."""
        spans = {span.context.span_id: span for span in self.all}

        def path(span):
            above = spans.get(span.parent.span_id) if span.parent else None
            return f"{path(above)} > {span.name}" if above else span.name

        return [path(span) for span in self.all]

    def one(self, name):
        (found,) = (span for span in self.all if span.name == name)
        return found


@pytest.fixture
def spans(monkeypatch):
    """A program that has set the SDK up, for the length of a test."""
    reason = "opentelemetry-sdk is in the extra test"
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason=reason)
    export = pytest.importorskip("opentelemetry.sdk.trace.export", reason=reason)
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason=reason)
    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otel, "_TRACER_PROVIDER", provider)
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    return Recorded(exporter)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_run_its_requests_and_its_calls_nest_under_the_callers_span(spans, streaming):
    model = ScriptedModel([calls(call("add", a=1, b=2)), say("3")])
    agent = agent_of(model, name="chef")
    with otel.get_tracer("mine").start_as_current_span("request"):
        if streaming:
            async with agent.stream("go", run_id="r1") as run:
                async for _ in run:
                    pass
        else:
            await agent.run("go", run_id="r1")
    assert spans.tree == [
        "request",
        "request > invoke_agent chef",
        "request > invoke_agent chef > chat m",
        "request > invoke_agent chef > execute_tool add",
        "request > invoke_agent chef > chat m",
    ]
    outer = spans.one("invoke_agent chef")
    assert outer.attributes["gen_ai.conversation.id"] == "r1"
    assert outer.attributes["agentrt.run.status"] == "completed"
    assert "gen_ai.tool.call.arguments" not in spans.one("execute_tool add").attributes


async def test_sub_agents_nest_under_the_calls_that_they_answer(spans):
    def helper(name, *tools, script):
        return agent_of(ScriptedModel(script), *tools, name=name)

    third = helper("third", add, script=[calls(call("add", a=1, b=2)), say("3")])
    second = helper("second", third.as_tool(), script=[calls(call("third", task="x")), say("3")])
    front = ScriptedModel([calls(call("second", task="y")), say("3")])
    await agent_of(front, second.as_tool(), name="first").run("go")
    first = "invoke_agent first"
    second_path = f"{first} > execute_tool second > invoke_agent second"
    third_path = f"{second_path} > execute_tool third > invoke_agent third"
    assert sorted(spans.tree) == sorted(
        [
            first,
            f"{first} > chat m",
            f"{first} > execute_tool second",
            second_path,
            f"{second_path} > chat m",
            f"{second_path} > execute_tool third",
            third_path,
            f"{third_path} > chat m",
            f"{third_path} > execute_tool add",
            f"{third_path} > chat m",
            f"{second_path} > chat m",
            f"{first} > chat m",
        ]
    )
    ended = {span.name: span.end_time for span in spans.all}
    assert ended["invoke_agent third"] <= ended["execute_tool third"] <= ended["invoke_agent second"]


async def test_over_a_resume_the_parents_call_is_a_span_again(spans):
    back = ScriptedModel([calls(call("pay", amount=5)), say("Paid.")])
    front = ScriptedModel([calls(call("helper", task="x")), say("done")])
    agent = agent_of(front, agent_of(back, pay, name="helper").as_tool(), name="chef")
    waiting = await agent.run("go")
    assert spans.one("invoke_agent chef").attributes["agentrt.run.status"] == "pending"
    spans.exporter.clear()
    await agent.resume(waiting.state.to_json(), {waiting.pending[0].id: Approve()})
    inside = "invoke_agent chef > execute_tool helper > invoke_agent helper"
    assert sorted(spans.tree) == sorted(
        [
            "invoke_agent chef",
            "invoke_agent chef > execute_tool helper",
            inside,
            f"{inside} > execute_tool pay",
            f"{inside} > chat m",
            "invoke_agent chef > chat m",
        ]
    )


async def test_the_current_span_inside_a_tool_is_the_tools(spans):
    seen = {}

    def note(name):
        seen[name] = otel.get_current_span().get_span_context().span_id
        with otel.get_tracer("mine").start_as_current_span(f"inside {name}"):
            pass

    async def asynchronous() -> None:
        note("asynchronous")

    def synchronous() -> None:
        note("synchronous")

    class Look(Hooks):
        async def after_tool(self, context, tool, arguments, output):
            seen[f"after {tool.name}"] = otel.get_current_span().get_span_context().span_id

    model = ScriptedModel([calls(call("asynchronous"), call("synchronous")), say("done")])
    await agent_of(model, asynchronous, synchronous, hooks=[Look()]).run("go")
    for name in ("asynchronous", "synchronous"):
        span = spans.one(f"execute_tool {name}")
        assert seen[name] == seen[f"after {name}"] == span.context.span_id
        assert spans.one(f"inside {name}").parent.span_id == span.context.span_id
    assert otel.get_current_span() is otel.INVALID_SPAN


async def test_runs_at_once_do_not_mix(spans):
    agent = agent_of(
        ScriptedModel(lambda body: say("3") if "output" in body["input"][-1] else calls(call("add", a=1, b=2)))
    )

    async def one(run_id):
        await agent.run("go", run_id=run_id)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, f"r{number}")
    for number in range(5):
        own = [span for span in spans.all if span.attributes["gen_ai.conversation.id"] == f"r{number}"]
        assert len(own) == 4
        assert len({span.context.trace_id for span in own}) == 1


async def test_a_handoff_is_an_event_of_the_span_and_a_limit_its_attribute(spans):
    other = agent_of(ScriptedModel([calls(call("add", a=1, b=1), call("add", a=2, b=2)), say("done")]), name="other")
    front = ScriptedModel([calls(call("transfer_to_other"))])
    await agent_of(front, handoff(other), name="chef", limits=Limits(max_tool_calls=1)).run("go")
    span = spans.one("invoke_agent chef")
    assert [event.name for event in span.events] == ["agentrt.agent.changed"]
    assert span.attributes["agentrt.run.stopped_by"] == "max_tool_calls"


async def test_an_error_that_ends_a_run_is_the_spans_and_none_stays_open(spans):
    back = ScriptedModel([http_error(400, "bad", "no")])
    front = ScriptedModel([calls(call("helper", task="x"))])
    with pytest.raises(StatusError):
        await agent_of(front, agent_of(back, name="helper").as_tool(), name="chef").run("go")
    names = ["invoke_agent chef", "chat m", "execute_tool helper", "invoke_agent helper", "chat m"]
    assert [span.name for span in spans.all] == names
    assert [span.attributes.get("error.type") for span in spans.all] == ["run_error", None, *["run_error"] * 3]
    assert spans.one("invoke_agent chef").attributes["agentrt.run.status"] == "failed"


async def test_a_run_that_was_left_is_no_error(spans):
    async with agent_of(ScriptedModel([calls(call("add", a=1, b=2)), say("3")]), name="chef").stream("go") as run:
        async for event in run:
            if event.type == "tool.started":
                break
    span = spans.one("invoke_agent chef")
    assert span.attributes["agentrt.run.status"] == "left"
    assert "error.type" not in span.attributes


async def test_what_was_said_is_in_spans_only_where_that_is_asked_for(spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    await agent_of(ScriptedModel([calls(call("add", a=1, b=2)), say("3")])).run("go")
    assert spans.one("execute_tool add").attributes["gen_ai.tool.call.result"] == "3"


async def test_without_an_sdk_nothing_is_traced():
    seen = []

    async def look() -> None:
        seen.append(otel.get_current_span())

    async with agent_of(ScriptedModel([calls(call("look")), say("done")]), look).stream("go") as run:
        async for _ in run:
            pass
    assert seen == [otel.INVALID_SPAN]
    assert run.plan.trace is None
