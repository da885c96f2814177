"""Sessions: what is kept of a conversation, whatever ends a run, and what goes on from there."""

import anyio
import pytest

from agentrt import Agent, Approve, tool
from agentrt.errors import BusyError, OutputError, StatusError
from agentrt.store import MemoryStore, SQLiteStore
from agentrt.testing import ScriptedModel, call, calls, http_error, say


@pytest.fixture(params=["memory", "sqlite"])
async def storage(request, tmp_path):
    async with MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "kept.db") as store:
        yield store


@tool(effect="pure")
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent_of(storage, *script, tools=(add,), **options):
    model = ScriptedModel(list(script), max_retries=0)
    return model, Agent("m", tools=tools, storage=storage, client=model, **options)


def said(request):
    """What the messages of a request say, oldest first."""
    return [
        part["content"] if isinstance(part["content"], str) else part["content"][0]["text"]
        for part in messages(request)
    ]


def messages(request):
    return [item for item in request.json["input"] if item["type"] == "message"]


def outputs(request):
    return [item["output"] for item in request.json["input"] if item["type"] == "function_call_output"]


# --- sessions


async def test_a_session_goes_on_where_it_was(storage):
    model, agent = agent_of(storage, calls(call("add", a=1, b=2)), say("3"), say("You asked for a sum."))
    await agent.run("1 + 2?", session="ann")
    result = await agent.run("What did I ask?", session="ann")
    assert said(model.requests[2]) == ["1 + 2?", "3", "What did I ask?"]
    assert outputs(model.requests[2]) == ["3"]
    assert [item.type for item in result.items] == ["message"], "the result has what this run added"
    assert await storage.keys("session") == ["ann"]


async def test_sessions_know_nothing_of_each_other(storage):
    model, agent = agent_of(storage, say("a"), say("b"), say("c"))
    await agent.run("I am Ann.", session="ann")
    await agent.run("I am Bob.", session="bob")
    await agent.run("Who am I?")
    assert said(model.requests[1]) == ["I am Bob."]
    assert said(model.requests[2]) == ["Who am I?"]


async def test_a_stream_keeps_its_session_too(storage):
    model, agent = agent_of(storage, say("Hello Ann."), say("Ann."))
    async with agent.stream("I am Ann.", session="ann") as run:
        async for _ in run:
            pass
    await agent.run("Who am I?", session="ann")
    assert said(model.requests[1]) == ["I am Ann.", "Hello Ann.", "Who am I?"]


def test_a_session_in_sync_code(tmp_path):
    model, agent = agent_of(SQLiteStore(tmp_path / "kept.db"), say("Hello Ann."), say("Ann."))
    agent.run_sync("I am Ann.", session="ann")
    assert agent.run_sync("Who am I?", session="ann").output == "Ann."
    assert len(messages(model.requests[1])) == 3


async def test_a_session_outlives_the_store_that_wrote_it(tmp_path):
    async with SQLiteStore(tmp_path / "kept.db") as store:
        _, agent = agent_of(store, say("Hello Ann."))
        await agent.run("I am Ann.", session="ann")
    async with SQLiteStore(tmp_path / "kept.db") as store:
        model, agent = agent_of(store, say("Ann."))
        await agent.run("Who am I?", session="ann")
    assert said(model.requests[0]) == ["I am Ann.", "Hello Ann.", "Who am I?"]


async def test_a_failed_run_is_kept_and_the_next_message_goes_on(storage):
    model, agent = agent_of(storage, calls(call("add", a=1, b=2)), http_error(500), say("It was 3."))
    with pytest.raises(StatusError):
        await agent.run("1 + 2?", session="ann")
    assert (await agent.run("So?", session="ann")).output == "It was 3."
    assert outputs(model.requests[2]) == ["3"]
    assert said(model.requests[2]) == ["1 + 2?", "So?"]


async def test_a_run_that_failed_at_its_first_request_is_kept(storage):
    model, agent = agent_of(storage, http_error(500), say("Ann."))
    with pytest.raises(StatusError):
        await agent.run("I am Ann.", session="ann")
    await agent.run("Who am I?", session="ann")
    assert said(model.requests[1]) == ["I am Ann.", "Who am I?"]


async def test_the_open_calls_of_a_run_that_was_left_are_answered(storage):
    @tool
    async def forever() -> str:
        """Wait."""
        await anyio.sleep_forever()
        return ""

    @tool
    def count(a: int, b: int) -> int:
        """Count; it is not pure, so that it begins when the reply is whole."""
        return a + b

    script = [calls(call("forever"), call("count", a=1, b=2)), say("Go on.")]
    model, agent = agent_of(storage, *script, tools=[forever, count])
    async with agent.stream("Wait.", session="ann") as run:
        async for event in run:
            if event.type == "tool.finished":
                break
    assert (await agent.run("And now?", session="ann")).output == "Go on."
    lost, kept = outputs(model.requests[1])
    assert "outcome is unknown" in lost
    assert kept == "3"


async def test_a_pending_call_is_answered_by_the_next_message(storage):
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    model, agent = agent_of(storage, calls(call("pay", amount=5)), say("Then not."), tools=[pay])
    first = await agent.run("Pay 5.", session="ann")
    assert first.status == "pending"
    assert (await agent.run("Never mind.", session="ann")).output == "Then not."
    assert "before this call ran" in outputs(model.requests[1])[0]
    assert ran == []


async def test_a_pending_run_of_a_session_is_decided_and_the_session_has_it(storage):
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    model, agent = agent_of(storage, calls(call("pay", amount=5)), say("Paid."), say("5."), tools=[pay])
    first = await agent.run("Pay 5.", session="ann")
    decisions = {first.pending[0].id: Approve()}
    assert (await agent.resume(first.state.to_json(), decisions)).output == "Paid."
    assert (await agent.run("How much?", session="ann")).output == "5."
    assert ran == [5]
    assert said(model.requests[2]) == ["Pay 5.", "Paid.", "How much?"]


async def test_a_run_that_the_session_has_left_behind_does_not_overwrite_it(storage, caplog):
    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    model, agent = agent_of(
        storage, calls(call("pay", amount=5)), say("Then not."), say("Paid."), say("Ok."), tools=[pay]
    )
    first = await agent.run("Pay 5.", session="ann", run_id="payment")
    await agent.run("Never mind.", session="ann")
    late = await agent.resume(first.state, {first.pending[0].id: Approve()})
    assert late.output == "Paid."
    assert "has gone on without the run 'payment'" in caplog.text
    await agent.run("Thanks.", session="ann")
    assert said(model.requests[3]) == ["Pay 5.", "Never mind.", "Then not.", "Thanks."]


async def test_a_run_id_that_the_session_has_left_behind_does_not_overwrite_it(storage):
    model, agent = agent_of(storage, http_error(500), say("b"), say("a"), say("c"))
    with pytest.raises(StatusError):
        await agent.run("First.", session="ann", run_id="first")
    await agent.run("Second.", session="ann")
    assert (await agent.run("First.", session="ann", run_id="first")).output == "a"
    await agent.run("Third.", session="ann")
    assert said(model.requests[3]) == ["First.", "Second.", "b", "Third."]


async def test_another_agent_goes_on_with_the_session(storage):
    _, agent = agent_of(storage, calls(call("add", a=1, b=2)), say("3"), name="sums")
    model, other = agent_of(storage, say("Three."), tools=(), name="words", instructions="Write words.")
    await agent.run("1 + 2?", session="ann")
    result = await other.run("In words?", session="ann")
    assert (result.output, result.agent) == ("Three.", "words")
    assert outputs(model.requests[0]) == ["3"]


async def test_a_session_moves_to_another_provider_and_loses_only_what_that_cannot_read(storage):
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"}
    model = ScriptedModel([calls(thought, *say("Hello.").output)], base_url="http://one.invalid/v1")
    await Agent("m", storage=storage, client=model).run("Hi.", session="ann")
    model = ScriptedModel([say("Again.")], base_url="http://two.invalid/v1")
    result = await Agent("m", storage=storage, client=model).run("Hi?", session="ann")
    assert [item["type"] for item in model.requests[0].json["input"]] == ["message"] * 3
    assert any("reasoning" in note for note in result.notes)


async def test_a_run_that_is_cancelled_from_outside_is_kept(storage):
    @tool
    async def forever() -> str:
        """Wait."""
        started.set()
        await anyio.sleep_forever()
        return ""

    started = anyio.Event()
    model, agent = agent_of(storage, calls(call("forever")), say("Go on."), tools=[forever])
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: agent.run("Wait.", session="ann"))
        await started.wait()
        group.cancel_scope.cancel()
    assert (await agent.run("And now?", session="ann")).output == "Go on."
    assert "outcome is unknown" in outputs(model.requests[1])[0]


@pytest.mark.parametrize(
    ("history", "anchor"), [("response", "previous_response_id"), ("conversation", "conversation")]
)
async def test_a_session_whose_history_the_server_keeps_sends_only_what_is_new(storage, history, anchor):
    model, agent = agent_of(storage, say("Hello Ann."), say("Ann."), history=history)
    await agent.run("I am Ann.", session="ann")
    await agent.run("Who am I?", session="ann")
    assert said(model.requests[-1]) == ["Who am I?"]
    roles = [item["role"] for item in model.context(model.requests[-1].json[anchor])]
    assert roles[:2] == ["user", "assistant"], "the server has what came before"


async def test_one_at_a_time_works_on_a_session(storage):
    @tool
    async def wait() -> str:
        """Wait."""
        started.set()
        await go_on.wait()
        return "waited"

    started, go_on = anyio.Event(), anyio.Event()
    model, agent = agent_of(storage, calls(call("wait")), say("Done."), tools=[wait])
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: agent.run("Wait.", session="ann"))
        await started.wait()
        with pytest.raises(BusyError, match="session 'ann'"):
            await agent.run("Me too.", session="ann")
        go_on.set()
    assert len(model.requests) == 2


async def test_structured_answers_are_kept_as_they_were_written(storage):
    _, agent = agent_of(storage, say('{"value": 3}'), output_type=int)
    assert (await agent.run("1 + 2?", run_id="sum")).output == 3
    assert (await agent.run("1 + 2?", run_id="sum")).output == 3


async def test_a_run_without_a_fitting_answer_is_kept_too(storage):
    _, agent = agent_of(storage, say("three"), output_type=int, output_retries=0)
    with pytest.raises(OutputError):
        await agent.run("1 + 2?", run_id="sum")
    with pytest.raises(OutputError, match="retries: 0"):
        await agent.run("1 + 2?", run_id="sum")
