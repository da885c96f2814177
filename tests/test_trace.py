"""A run as spans: how they nest, what stands in them, what never does; and that a tracer never harms a run."""

import json
import logging
import random
import subprocess
import sys

import anyio
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.trace import INVALID_SPAN, NoOpTracerProvider, SpanKind, StatusCode

from agentrt import tool
from agentrt.events import (
    AgentChanged,
    LimitReached,
    Noted,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnRestarted,
    TurnStarted,
    UsageReported,
    Where,
)
from agentrt.trace import RunTrace, tracing_is_on
from agentrt.wire.responses import Response, Usage

SWITCH = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MAIN = Where("run_1", "chef", "main", 1)
SUB = Where("run_1", "taster", "sub", 1, parent="c1")
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def no_switch(monkeypatch):
    monkeypatch.delenv(SWITCH, raising=False)


class Recorder:
    """The SDK, with what was exported at hand."""

    def __init__(self):
        reason = "opentelemetry-sdk is in the extra test"
        sdk = pytest.importorskip("opentelemetry.sdk.trace", reason=reason)
        export = pytest.importorskip("opentelemetry.sdk.trace.export", reason=reason)
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason=reason)
        self.exporter = memory.InMemorySpanExporter()
        self.provider = sdk.TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("user")

    def trace(self, *events, **options):
        trace = RunTrace(tracer_provider=self.provider, **options)
        for event in events:
            trace(event)
        return trace

    @property
    def spans(self):
        return {span.name: span for span in self.exporter.get_finished_spans()}

    @property
    def tree(self):
        """Every span's path of names, as they began."""
        spans = {span.context.span_id: span for span in self.exporter.get_finished_spans()}

        def path(span):
            above = spans.get(span.parent.span_id) if span.parent else None
            return (*path(above), span.name) if above else (span.name,)

        return sorted(" > ".join(path(span)) for span in spans.values())


@pytest.fixture
def recorder():
    return Recorder()


def usage(where=MAIN, **more):
    told = {"input_tokens": 100, "output_tokens": 20, "input_tokens_details": {"cached_tokens": 30}}
    told["output_tokens_details"] = {"reasoning_tokens": 5}
    raw = {"id": "resp_1", "model": "m-2026-01-01", "status": more.pop("status", "completed"), "usage": told}
    return UsageReported(where, Response(raw), Usage(), **more)


def started(call_id, name="cook", where=MAIN, **more):
    return ToolStarted(where, call_id, name, '{"dish": "hunter2"}', **more)


def finished(call_id, name="cook", where=MAIN, *, failed=False, **more):
    return ToolFinished(where, call_id, name, "done, hunter2", failed, 0.1, **more)


BEGIN = (RunStarted(MAIN), TurnStarted(MAIN, last=False, model="m"))
DONE = RunFinished(MAIN, "completed")


def test_a_run_is_an_agents_span_with_one_for_each_request_and_each_call(recorder):
    recorder.trace(
        *BEGIN,
        usage(cost=0.25),
        started("c1"),
        finished("c1"),
        TurnStarted(MAIN, last=True, model="m"),
        usage(),
        DONE,
        provider="openai",
    )
    assert recorder.tree == [
        "invoke_agent chef",
        "invoke_agent chef > chat m",
        "invoke_agent chef > chat m",
        "invoke_agent chef > execute_tool cook",
    ]
    common = {"gen_ai.agent.name": "chef", "gen_ai.conversation.id": "run_1", "gen_ai.provider.name": "openai"}
    agent, call = recorder.spans["invoke_agent chef"], recorder.spans["execute_tool cook"]
    chat = next(span for span in recorder.exporter.get_finished_spans() if span.name == "chat m")
    assert dict(agent.attributes) == {
        **common,
        "gen_ai.operation.name": "invoke_agent",
        "agentrt.run.status": "completed",
    }
    assert dict(call.attributes) == {
        **common,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "cook",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.type": "function",
    }
    assert dict(chat.attributes) == {
        **common,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-2026-01-01",
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ("completed",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "agentrt.usage.cost": 0.25,
    }
    assert [span.kind for span in (agent, chat, call)] == [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.INTERNAL]
    assert {span.status.status_code for span in (agent, chat, call)} == {StatusCode.UNSET}
    assert agent.instrumentation_scope.name == "agentrt"


def test_names_follow_the_conventions_own_list(recorder):
    conventions = pytest.importorskip(
        "opentelemetry.semconv._incubating.attributes.gen_ai_attributes", reason="comes with opentelemetry-sdk"
    )
    known = {value for value in vars(conventions).values() if isinstance(value, str)} | {"error.type"}
    recorder.trace(
        *BEGIN,
        usage(status="failed"),
        started("c1"),
        finished("c1", failed=True),
        RunFinished(MAIN, None, error="x"),
        provider="openai",
        content=True,
    )
    names = {name for span in recorder.exporter.get_finished_spans() for name in span.attributes}
    assert {name for name in names if not name.startswith("agentrt.")} <= known


def test_calls_that_overlap_keep_their_own_spans(recorder):
    recorder.trace(
        *BEGIN, usage(), started("a"), started("b", "stir"), finished("b", "stir"), finished("a", failed=True), DONE
    )
    cook, stir = recorder.spans["execute_tool cook"], recorder.spans["execute_tool stir"]
    assert cook.start_time <= stir.start_time <= stir.end_time <= cook.end_time
    assert (cook.status.status_code, cook.attributes["error.type"]) == (StatusCode.ERROR, "tool_error")
    assert stir.status.status_code is StatusCode.UNSET
    assert recorder.spans["invoke_agent chef"].status.status_code is StatusCode.UNSET


def test_a_sub_agents_spans_are_under_the_call_that_it_answers(recorder):
    recorder.trace(
        *BEGIN, usage(), started("c1", "ask_taster"), started("c2", "stir"),
        TurnStarted(SUB, last=False, model="s"), finished("c2", "stir"), usage(SUB), started("c1", "sip", SUB),
        finished("c1", "sip", SUB), TurnStarted(SUB, last=False, model="s"), usage(SUB), finished("c1", "ask_taster"), DONE,
    )  # fmt: skip
    below = "invoke_agent chef > execute_tool ask_taster > invoke_agent taster"
    assert [path for path in recorder.tree if "taster" in path] == [
        "invoke_agent chef > execute_tool ask_taster",
        below,
        f"{below} > chat s",
        f"{below} > chat s",
        f"{below} > execute_tool sip",
    ]
    assert recorder.spans["invoke_agent taster"].attributes["gen_ai.agent.name"] == "taster"
    assert recorder.spans["invoke_agent taster"].end_time <= recorder.spans["execute_tool ask_taster"].end_time


def test_sub_agents_that_run_at_once_keep_apart_at_any_depth(recorder):
    left, right, deep = (
        Where("run_1", name, name, 1, parent) for name, parent in (("left", "l"), ("right", "r"), ("deep", "d"))
    )
    recorder.trace(
        *BEGIN, usage(), started("l", "ask_left"), started("r", "ask_right"),
        TurnStarted(left, last=False, model="1"), TurnStarted(right, last=False, model="2"), usage(right), usage(left),
        started("d", "ask_deep", left), TurnStarted(deep, last=False, model="3"), started("x", "dig", deep),
        finished("r", "ask_right"), finished("l", "ask_left"), DONE,
    )  # fmt: skip
    assert recorder.tree == sorted((
        "invoke_agent chef",
        "invoke_agent chef > chat m",
        "invoke_agent chef > execute_tool ask_left",
        "invoke_agent chef > execute_tool ask_right",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left > chat 1",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left > execute_tool ask_deep",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left > execute_tool ask_deep > invoke_agent deep",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left > execute_tool ask_deep > invoke_agent deep > chat 3",
        "invoke_agent chef > execute_tool ask_left > invoke_agent left > execute_tool ask_deep > invoke_agent deep > execute_tool dig",
        "invoke_agent chef > execute_tool ask_right > invoke_agent right",
        "invoke_agent chef > execute_tool ask_right > invoke_agent right > chat 2",
    ))  # fmt: skip


def test_a_sub_agent_that_goes_on_after_a_resume_is_under_the_run(recorder):
    recorder.trace(
        RunStarted(MAIN, resumed=True), TurnStarted(SUB, last=False, model="s"), usage(SUB), finished("c1"), DONE
    )
    assert "invoke_agent chef > invoke_agent taster > chat s" in recorder.tree


def test_what_the_provider_runs_is_a_part_of_the_request(recorder):
    recorder.trace(
        *BEGIN, started("ws_1", "web_search", hosted=True), finished("ws_1", "web_search", hosted=True), usage(), DONE
    )
    assert "invoke_agent chef > chat m > execute_tool web_search" in recorder.tree
    assert recorder.spans["execute_tool web_search"].attributes["gen_ai.tool.type"] == "extension"


def test_a_call_that_was_answered_without_being_run_is_seen(recorder):
    recorder.trace(*BEGIN, usage(), finished("c1", "no_such_tool", failed=True), DONE)
    assert "invoke_agent chef > execute_tool no_such_tool" in recorder.tree
    assert recorder.spans["execute_tool no_such_tool"].attributes["error.type"] == "tool_error"


def test_a_reply_that_is_asked_for_again_stays_one_span(recorder):
    recorder.trace(
        *BEGIN, started("ws_1", "web_search", hosted=True), TurnRestarted(MAIN, "cut off: hunter2"), usage(), DONE
    )
    assert recorder.tree == [
        "invoke_agent chef",
        "invoke_agent chef > chat m",
        "invoke_agent chef > chat m > execute_tool web_search",
    ]
    (event,) = recorder.spans["chat m"].events
    assert (event.name, dict(event.attributes)) == ("agentrt.turn.restarted", {})
    assert recorder.spans["execute_tool web_search"].end_time <= event.timestamp


@pytest.mark.parametrize(("status", "code"), [("failed", StatusCode.ERROR), ("incomplete", StatusCode.UNSET)])
def test_a_failed_response_is_an_error_and_an_incomplete_one_is_not(recorder, status, code):
    recorder.trace(*BEGIN, usage(status=status), DONE)
    chat = recorder.spans["chat m"]
    assert chat.status.status_code is code
    assert chat.attributes["gen_ai.response.finish_reasons"] == (status,)
    assert chat.attributes.get("error.type") == ("response_failed" if status == "failed" else None)


def test_a_handoff_is_an_event_of_the_agents_span(recorder):
    after = MAIN._replace(agent="waiter")
    recorder.trace(
        *BEGIN,
        usage(),
        AgentChanged(after, "chef"),
        TurnStarted(after, last=False, model="w"),
        usage(after),
        RunFinished(after, "completed"),
    )
    (event,) = recorder.spans["invoke_agent chef"].events
    assert (event.name, dict(event.attributes)) == (
        "agentrt.agent.changed",
        {"gen_ai.agent.name": "waiter", "agentrt.agent.before": "chef"},
    )
    assert recorder.spans["chat w"].attributes["gen_ai.agent.name"] == "waiter"
    assert recorder.tree == ["invoke_agent chef", "invoke_agent chef > chat m", "invoke_agent chef > chat w"]


def test_an_error_ends_all_that_is_open_as_failed(recorder):
    recorder.trace(
        *BEGIN,
        usage(),
        started("c1"),
        TurnStarted(SUB, last=False, model="s"),
        RunFinished(MAIN, None, error="boom, hunter2"),
    )
    for name in ("invoke_agent chef", "execute_tool cook", "invoke_agent taster", "chat s"):
        span = recorder.spans[name]
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "run_error"), name
    assert recorder.spans["chat m"].status.status_code is StatusCode.UNSET
    assert recorder.spans["invoke_agent chef"].attributes["agentrt.run.status"] == "failed"


def test_a_limit_and_a_cancellation_are_no_errors(recorder):
    recorder.trace(*BEGIN, RunFinished(MAIN, "limit", "max_turns"))
    agent = recorder.spans["invoke_agent chef"]
    assert (agent.attributes["agentrt.run.status"], agent.attributes["agentrt.run.stopped_by"]) == (
        "limit",
        "max_turns",
    )
    assert {span.status.status_code for span in recorder.spans.values()} == {StatusCode.UNSET}


def test_a_run_that_was_left_leaves_no_span_open(recorder):
    trace = recorder.trace(*BEGIN, started("c1"))
    trace.close()
    trace.close()
    assert len(recorder.tree) == 3
    trace(usage())
    trace(finished("ws_1", hosted=True))
    assert len(recorder.tree) == 3


EVERYTHING = (
    *BEGIN, TextDelta(MAIN, SECRET), ReasoningDelta(MAIN, SECRET), TurnRestarted(MAIN, SECRET), usage(), started("c1"),
    ToolProgress(MAIN, "c1", "cook", 0.5, SECRET, SECRET), finished("c1", failed=True), started("c2"), finished("c2"),
    LimitReached(MAIN, "max_turns"), Noted(MAIN, SECRET), TurnStarted(MAIN, last=True, model="m"),
    RunFinished(MAIN, None, error=SECRET),
)  # fmt: skip


def exported(recorder):
    return " ".join(span.to_json() for span in recorder.exporter.get_finished_spans())


@pytest.mark.parametrize("value", [None, "", "false", "0", "no", "no_content", "event_only"])
def test_what_was_said_stays_out_by_default(recorder, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv(SWITCH, value)
    recorder.trace(*EVERYTHING)
    assert SECRET not in exported(recorder)


@pytest.mark.parametrize("value", ["true", "1", "True ", "span_only", "SPAN_AND_EVENT"])
def test_what_was_said_is_in_where_the_environment_asks_for_it(recorder, monkeypatch, value):
    monkeypatch.setenv(SWITCH, value)
    recorder.trace(*EVERYTHING)
    calls = [span for span in recorder.exporter.get_finished_spans() if span.name == "execute_tool cook"]
    assert all(json.loads(span.attributes["gen_ai.tool.call.arguments"]) == {"dish": SECRET} for span in calls)
    assert all(span.attributes["gen_ai.tool.call.result"] == "done, hunter2" for span in calls)
    assert calls[0].status.description == "done, hunter2"
    assert recorder.spans["invoke_agent chef"].status.description == SECRET
    (event,) = next(
        span.events for span in recorder.exporter.get_finished_spans() if span.name == "chat m" and span.events
    )
    assert dict(event.attributes) == {"agentrt.reason": SECRET}


def test_an_argument_wins_over_the_environment(recorder, monkeypatch):
    monkeypatch.setenv(SWITCH, "true")
    recorder.trace(*EVERYTHING, content=False)
    assert SECRET not in exported(recorder)
    monkeypatch.delenv(SWITCH)
    recorder.trace(*EVERYTHING, content=True)
    assert SECRET in exported(recorder)


@pytest.mark.parametrize(
    ("profile", "name"),
    [("openai", "openai"), ("azure", "azure.ai.openai"), ("xai", "x_ai"), ("mine", "mine"), (None, None)],
)
def test_a_provider_has_the_conventions_name(recorder, profile, name):
    recorder.trace(*BEGIN, DONE, provider=profile)
    assert recorder.spans["chat m"].attributes.get("gen_ai.provider.name") == name


def test_a_model_that_is_not_known_is_left_out_of_the_name(recorder):
    recorder.trace(RunStarted(MAIN), TurnStarted(MAIN, last=False), UsageReported(MAIN, Response({}), Usage()), DONE)
    assert "gen_ai.request.model" not in recorder.spans["chat"].attributes
    assert "gen_ai.response.model" not in recorder.spans["chat"].attributes


def test_a_run_is_a_part_of_what_its_caller_traces(recorder):
    with recorder.tracer.start_as_current_span("request"):
        trace = recorder.trace(RunStarted(MAIN))
    with recorder.tracer.start_as_current_span("elsewhere"):
        for event in (*BEGIN[1:], usage(), started("c1"), finished("c1"), DONE):
            trace(event)
    assert [path for path in recorder.tree if path != "elsewhere"] == [
        "request",
        "request > invoke_agent chef",
        "request > invoke_agent chef > chat m",
        "request > invoke_agent chef > execute_tool cook",
    ]


async def test_what_a_tool_traces_is_under_its_call_in_tasks_and_in_threads(recorder):
    @tool
    async def stir(times: int) -> str:
        with recorder.tracer.start_as_current_span("spoon"):
            await anyio.lowlevel.checkpoint()
        return "ok"

    @tool
    def chop(times: int) -> str:
        with recorder.tracer.start_as_current_span("knife"):
            return "ok"

    trace = recorder.trace(*BEGIN, usage())

    async def run(call_id, which):
        trace(started(call_id, which.name))
        with trace.around("main", call_id):
            await which.run({"times": 1}, None)
        trace(finished(call_id, which.name))

    before = otel_context.get_current()
    async with anyio.create_task_group() as group:
        group.start_soon(run, "c1", stir)
        group.start_soon(run, "c2", chop)
    assert otel_context.get_current() == before
    trace(DONE)
    assert "invoke_agent chef > execute_tool stir > spoon" in recorder.tree
    assert "invoke_agent chef > execute_tool chop > knife" in recorder.tree


def test_a_tools_exception_passes_and_is_not_written_into_the_span(recorder):
    trace = recorder.trace(*BEGIN, usage(), started("c1"))
    with pytest.raises(ValueError, match=SECRET), trace.around("main", "c1"):
        raise ValueError(SECRET)
    assert otel.get_current_span() is INVALID_SPAN
    trace(finished("c1", failed=True))
    trace(DONE)
    assert SECRET not in exported(recorder)


def test_a_call_without_a_span_runs_as_it_is(recorder):
    trace = recorder.trace(*BEGIN)
    with trace.around("main", "no such call"):
        assert otel.get_current_span() is INVALID_SPAN


def test_whatever_order_events_come_in_every_span_ends_once(recorder, caplog):
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    places = [
        MAIN,
        SUB,
        Where("run_1", "deep", "deep", 1, parent="c2"),
        Where("run_1", "lost", "lost", 1, parent="none"),
    ]
    for _ in range(200):
        begun = len(recorder.exporter.get_finished_spans())
        trace = RunTrace(tracer_provider=recorder.provider, content=dice.random() < 0.5)
        for _ in range(dice.randrange(40)):
            where, call_id, hosted = dice.choice(places), dice.choice(["c1", "c2", "c3"]), dice.random() < 0.2
            trace(
                dice.choice((
                    RunStarted(where),
                    TurnStarted(where, last=False, model="m"),
                    TurnRestarted(where, "r"),
                    usage(where),
                    started(call_id, where=where, hosted=hosted),
                    finished(call_id, where=where, hosted=hosted, failed=dice.random() < 0.5),
                    AgentChanged(where, "b"),
                ))
            )  # fmt: skip
        trace(RunFinished(MAIN, None, error="e") if dice.random() < 0.5 else DONE)
        ended = len(recorder.exporter.get_finished_spans())
        trace.close()
        assert len(recorder.exporter.get_finished_spans()) == ended >= begun
    spans = recorder.exporter.get_finished_spans()
    assert len({span.context.span_id for span in spans}) == len(spans)
    known = {span.context.span_id for span in spans}
    assert all(span.parent is None or span.parent.span_id in known for span in spans)
    assert not caplog.records  # neither ours nor the SDK's, as of a span that was ended twice


class Broken(NoOpTracerProvider):
    """A tracer provider whose spans fail at what is listed, and which counts what was ended."""

    def __init__(self, *failing):
        self.failing, self.ended = failing, 0

    def get_tracer(self, *args, **options):
        self.check("get_tracer")
        return BrokenTracer(self)

    def check(self, what):
        if what in self.failing:
            raise RuntimeError("the tracer is broken")


class BrokenTracer(otel.NoOpTracer):
    def __init__(self, provider):
        self.provider = provider

    def start_span(self, *args, **options):
        self.provider.check("start_span")
        return BrokenSpan(self.provider)


class BrokenSpan(otel.NonRecordingSpan):
    def __init__(self, provider):
        super().__init__(otel.INVALID_SPAN_CONTEXT)
        self.provider = provider

    def set_attribute(self, *args):
        self.provider.check("set_attribute")

    def set_attributes(self, *args):
        self.provider.check("set_attributes")

    def set_status(self, *args):
        self.provider.check("set_status")

    def add_event(self, *args):
        self.provider.check("add_event")

    def end(self, *args):
        self.provider.ended += 1
        self.provider.check("end")


@pytest.mark.parametrize(
    "failing", ["get_tracer", "start_span", "set_attribute", "set_attributes", "set_status", "add_event", "end"]
)
def test_a_broken_tracer_is_logged_once_and_harms_nothing(caplog, failing):
    provider = Broken(failing)
    with caplog.at_level(logging.DEBUG):
        trace = RunTrace(tracer_provider=provider)
        for event in (*EVERYTHING[:-1], started("c9"), TurnStarted(SUB, last=False, model="s")):
            trace(event)
        with trace.around("main", "c9"):
            pass
        trace(RunFinished(MAIN, None, error="boom"))
        trace.close()
    assert [(record.name, record.levelname) for record in caplog.records] == [("agentrt.trace", "WARNING")]
    # the agent, two turns, three calls, the sub-agent and its turn
    assert provider.ended == (0 if failing in ("get_tracer", "start_span") else 8)


def run_script(script, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=environment or None,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_traces_nothing_loads_nothing_and_has_it_off():
    run_script("""
import sys
import agentrt
from agentrt.trace import RunTrace, tracing_is_on
assert not tracing_is_on()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
import opentelemetry.trace
assert not tracing_is_on()
opentelemetry.trace.set_tracer_provider(opentelemetry.trace.NoOpTracerProvider())
assert not tracing_is_on()
""")


def test_a_provider_in_the_environment_that_cannot_be_loaded_is_off():
    run_script(
        "import opentelemetry.trace; from agentrt.trace import tracing_is_on; assert not tracing_is_on()",
        OTEL_PYTHON_TRACER_PROVIDER="no_such_provider",
    )


def test_a_program_that_sets_a_provider_has_it_on(recorder):
    run_script("""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from agentrt.events import RunFinished, RunStarted, Where
from agentrt.trace import RunTrace, tracing_is_on

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
assert tracing_is_on()
where = Where("r", "chef", "main", 1)
told = RunTrace()
told(RunStarted(where))
told(RunFinished(where, "completed"))
(span,) = exporter.get_finished_spans()
assert span.name == "invoke_agent chef"
""")


def test_this_process_traces_nothing():
    assert not tracing_is_on()
