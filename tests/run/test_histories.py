"""Histories that break, move, grow and shrink: each request carries one that a server takes, and says what was changed."""

import pytest

from agentrt import Agent, tool
from agentrt.errors import UsageError
from agentrt.testing import ResponsesServer, ScriptedModel, call, calls, http_error, say
from agentrt.wire.compose import message_item

ONE, TWO = "http://one.invalid/v1", "http://two.invalid/v1"


@tool(effect="pure")
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent_of(*script, tools=(add,), base_url=ONE, **options):
    model = ScriptedModel(list(script), max_retries=0, base_url=base_url)
    return model, Agent("m", tools=tools, client=model, **options)


def thought(number):
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": "gAAA"}


def compaction(number=1):
    return {"type": "compaction", "id": f"cmp_{number}", "encrypted_content": "gAAA"}


def called(key, name="add"):
    return {"type": "function_call", "call_id": key, "name": name, "arguments": '{"a": 1, "b": 2}'}


def returned(key, output="3"):
    return {"type": "function_call_output", "call_id": key, "output": output}


def user(text):
    return {"type": "message", "role": "user", "content": text}


def assistant(text):
    return message_item("msg_0", text)


def sent(model, number=-1):
    """What a request carries: the types of its items, those of messages being their roles."""
    return [item["role"] if item["type"] == "message" else item["type"] for item in items_of(model, number)]


def items_of(model, number=-1):
    return model.requests[number].json["input"]


def check_is_sound(items):
    """Hold a history against what servers insist on."""
    open_calls, answered = [], set()
    for index, item in enumerate(items):
        if item["type"] == "function_call":
            open_calls.append(item["call_id"])
        elif item["type"] == "function_call_output":
            assert item["call_id"] in open_calls, "an output without its call"
            assert item["call_id"] not in answered, "a second output"
            answered.add(item["call_id"])
        elif item["type"] == "reasoning":
            assert index + 1 < len(items), "reasoning at the end"
            assert items[index + 1].get("role") != "user", "reasoning without what it led to"
    assert answered == set(open_calls), "a call without its output"


# --- mending


@pytest.mark.parametrize(
    ("before", "kinds", "note"),
    [
        (
            [user("1 + 2?"), called("c1")],
            ["user", "function_call", "function_call_output", "user"],
            "'c1' had no output",
        ),
        ([user("1 + 2?"), returned("c1"), assistant("3")], ["user", "assistant", "user"], "'c1' had no call"),
        ([user("1 + 2?"), thought(1)], ["user", "user"], "'rs_1' was dropped"),
        (
            [user("1 + 2?"), called("c1"), assistant("3"), user("Sure?"), returned("c1")],
            ["user", "function_call", "function_call_output", "assistant", "user", "user"],
            "it was moved",
        ),
        (
            [user("1 + 2?"), called("c1"), returned("c1"), returned("c1", "4")],
            ["user", "function_call", "function_call_output", "user"],
            "second output",
        ),
    ],
)
async def test_a_broken_history_is_mended_and_the_change_is_told(before, kinds, note):
    model, agent = agent_of(say("3"))
    async with agent.stream("Well?", after=before) as run:
        told = [event.note async for event in run if event.type == "note"]
    assert sent(model) == kinds
    check_is_sound(items_of(model))
    assert note in " ".join(run.result.notes)
    assert told == list(run.result.notes)
    assert [item.type for item in run.result.items] == ["message"]


async def test_a_history_in_order_is_sent_as_it_is_and_nothing_is_told():
    before = [user("1 + 2?"), thought(1), called("c1"), returned("c1"), assistant("3")]
    model, agent = agent_of(say("3"))
    result = await agent.run("Sure?", after=before)
    assert items_of(model)[:-1] == before
    assert result.notes == ()


async def test_an_open_call_may_be_answered_by_the_next_input():
    model, agent = agent_of(say("3"))
    result = await agent.run([returned("c1")], after=[user("1 + 2?"), called("c1")])
    assert items_of(model) == [user("1 + 2?"), called("c1"), returned("c1")]
    assert result.notes == ()


async def test_the_history_after_a_failed_run_needs_no_mending():
    model, agent = agent_of(calls(thought(1), call("add", a=1, b=2)), http_error(500), say("3"))
    async with agent.stream("1 + 2?") as run:
        with pytest.raises(Exception, match="500"):
            async for _ in run:
                pass
    result = await agent.resume(run.state)
    check_is_sound(items_of(model))
    assert result.notes == ()


async def test_what_is_pending_is_answered_when_the_conversation_goes_on_without_it():
    ran = []

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return "paid"

    model, agent = agent_of(calls(call("pay", amount=5), call("add", a=1, b=2)), say("Then not."), tools=[pay, add])
    first = await agent.run("Pay 5.")
    assert first.status == "pending"
    result = await agent.run("Never mind.", after=first)
    assert result.output == "Then not."
    assert sent(model) == ["user", *["function_call"] * 2, *["function_call_output"] * 2, "user"]
    assert "before this call ran" in items_of(model)[3]["output"]
    assert items_of(model)[4]["output"] == "3"
    assert (ran, first.status) == ([], "pending"), "it may still be decided on its own"


async def test_an_item_is_written_once_however_often_it_is_sent():
    model, agent = agent_of(*[calls(call("add", a=n, b=n)) for n in range(5)], say("done"), say("again"))
    result = await agent.run("Add.")
    before = items_of(model)
    for item in result.state.threads["main"].items:
        item.raw["more"] = True  # a view is to be read only; whoever writes into it sees that its bytes are kept
    await agent.run("More.", after=result)
    assert items_of(model)[: len(before)] == before


# --- another provider


async def test_another_provider_gets_what_it_can_read_and_the_rest_is_told():
    _, agent = agent_of(calls(thought(1), call("add", a=1, b=2)), calls(thought(2), *say("3").output))
    first = await agent.run("1 + 2?")
    model, other = agent_of(say("Yes."), base_url=TWO)
    async with other.stream("Sure?", after=first) as run:
        told = [event.note async for event in run if event.type == "note"]
    assert sent(model) == ["user", "function_call", "function_call_output", "assistant", "user"]
    assert told == list(run.result.notes)
    assert "2 x reasoning" in told[0]
    assert [item.type for item in run.result.items] == ["message"]


async def test_two_servers_at_two_addresses_are_two_providers(client_of):
    with ResponsesServer([calls(thought(1), *say("3").output)]) as one, ResponsesServer([say("Yes.")]) as two:
        async with client_of(one) as here, client_of(two) as there:
            first = await Agent("m", client=here).run("1 + 2?")
            result = await Agent("m", client=there).run("Sure?", after=first)
        assert [item["type"] for item in two.requests[0].json["input"]] == ["message"] * 3
    assert "reasoning" in result.notes[0]


async def test_the_same_provider_keeps_its_reasoning():
    _, agent = agent_of(calls(thought(1), *say("3").output))
    first = await agent.run("1 + 2?")
    model, other = agent_of(say("Yes."))
    result = await other.run("Sure?", after=first)
    assert sent(model) == ["user", "reasoning", "assistant", "user"]
    assert result.notes == ()


async def test_a_resume_at_another_provider_loses_reasoning_too():
    _, agent = agent_of(calls(thought(1), call("add", a=1, b=2)), http_error(500))
    async with agent.stream("1 + 2?") as run:
        with pytest.raises(Exception, match="500"):
            async for _ in run:
                pass
    model, other = agent_of(say("3"), base_url=TWO)
    result = await other.resume(run.state.to_json())
    assert sent(model) == ["user", "function_call", "function_call_output"]
    assert "1 x reasoning" in result.notes[0]
    assert [item.type for item in result.items] == ["function_call", "function_call_output", "message"]


async def test_a_compacted_history_goes_to_another_provider_whole_but_for_the_compaction():
    _, agent = agent_of(calls(compaction(), *say("3").output), say("4"))
    first = await agent.run("1 + 2?")
    model, other = agent_of(say("Yes."), base_url=TWO)
    result = await other.run("Sure?", after=first)
    assert sent(model) == ["user", "assistant", "user"]
    assert "1 x compaction" in result.notes[0]


@pytest.mark.parametrize("history", ["response", "conversation"])
async def test_what_one_server_keeps_is_sent_whole_to_another(history):
    _, agent = agent_of(say("Hello Ann."), history=history)
    first = await agent.run("I am Ann.")
    model, other = agent_of(say("Ann."), base_url=TWO, history=history)
    await other.run("Who am I?", after=first)
    assert [item.get("role") for item in items_of(model)] == ["user", "assistant", "user"]
    assert "previous_response_id" not in model.requests[-1].json


# --- trimming


@pytest.mark.parametrize("at_most", range(1, 14))
async def test_a_request_carries_whole_groups_of_the_newest(at_most):
    turns = [calls(thought(n), call("add", a=n, b=n), call("add", a=n, b=0)) for n in range(4)]
    model, agent = agent_of(*turns, say("done"), max_history=at_most, instructions="Add.")
    before = [user("Hi."), thought("x"), assistant("Hello."), user("Ready?"), assistant("Yes.")]
    result = await agent.run("Add.", after=before)
    for request in model.requests:
        items = request.json["input"]
        check_is_sound(items)
        asked = items.index(user("Add."))
        assert asked == 0 or len(items) <= at_most, "more than the message of the user and what it led to"
        assert items[asked:] == [item.raw for item in result.state.threads["main"].items][5:][: len(items) - asked]
    assert len(result.items) == 4 * 5 + 1, "the history itself stays whole"
    assert result.notes == ()


async def test_a_chat_forgets_its_beginning_and_no_more():
    model, agent = agent_of(*[say(f"answer {n}") for n in range(6)], max_history=4)
    result = None
    for number in range(6):
        result = await agent.run(f"question {number}", after=result)
    assert [item["role"] for item in items_of(model)] == ["assistant", "user", "assistant", "user"]
    assert items_of(model)[-1]["content"] == "question 5"
    assert len(result.state.threads["main"].items) == 12


@pytest.mark.parametrize("at_most", [0, -1, 2.5, "4", True])
def test_a_bound_is_a_number_from_one_on(at_most):
    with pytest.raises(UsageError, match="max_history"):
        agent_of(max_history=at_most)


# --- compaction


async def test_after_a_compaction_only_what_follows_it_is_sent():
    threshold = [{"type": "compaction", "compact_threshold": 1000}]
    model, agent = agent_of(
        calls(call("add", a=1, b=2)),
        calls(compaction(), call("add", a=3, b=4)),
        say("10"),
        say("Ten."),
        context_management=threshold,
    )
    first = await agent.run("Add all.")
    result = await agent.run("In words?", after=first)
    assert model.requests[0].json["context_management"] == threshold
    assert sent(model, 1) == ["user", "function_call", "function_call_output"]
    assert sent(model, 2) == ["compaction", "function_call", "function_call_output"]
    assert sent(model, 3) == ["compaction", "function_call", "function_call_output", "assistant", "user"]
    assert len(result.state.threads["main"].items) == 9, "the history itself stays whole"
    assert result.notes == ()


async def test_the_last_of_two_compactions_counts():
    model, agent = agent_of(calls(compaction(1), *say("a").output), calls(compaction(2), *say("b").output), say("c"))
    first = await agent.run("1")
    second = await agent.run("2", after=first)
    await agent.run("3", after=second)
    assert items_of(model)[0]["id"] == "cmp_2"
    assert sent(model) == ["compaction", "assistant", "user"]


async def test_a_compacted_history_can_be_bounded_too():
    model, agent = agent_of(calls(compaction(), *say("a").output), say("b"), say("c"), max_history=3)
    first = await agent.run("1")
    second = await agent.run("2", after=first)
    await agent.run("3", after=second)
    assert sent(model) == ["compaction", "assistant", "user"]


async def test_a_compaction_outlives_json():
    model, agent = agent_of(calls(compaction(), call("add", a=1, b=2)), http_error(500), say("3"))
    async with agent.stream("1 + 2?") as run:
        with pytest.raises(Exception, match="500"):
            async for _ in run:
                pass
    await agent.resume(run.state.to_json())
    assert sent(model) == ["compaction", "function_call", "function_call_output"]


async def test_a_conversation_may_be_compacted_by_hand():
    model, agent = agent_of(calls(call("add", a=1, b=2)), say("3"), say("Yes."))
    first = await agent.run("1 + 2?")
    items = await agent.compact(first)
    assert [item.type for item in items][-1] == "compaction"
    result = await agent.run("Sure?", after=items)
    assert items_of(model) == [*(item.raw for item in items), user("Sure?")]
    assert result.output == "Yes."
    assert result.notes == ()


async def test_what_was_compacted_before_is_not_sent_to_be_compacted_again():
    model, agent = agent_of(calls(compaction(), *say("3").output))
    first = await agent.run("1 + 2?")
    await agent.compact(first)
    assert sent(model) == ["compaction", "assistant"]


async def test_what_only_the_server_has_cannot_be_compacted_from_here():
    model = ScriptedModel([say("3"), say("Yes.")])
    first = await model.create(model="m", input="1 + 2?", store=True)
    agent = Agent("m", client=model, history="response", previous_response_id=first.id)
    result = await agent.run("Sure?")
    with pytest.raises(UsageError, match="only the server has"):
        await agent.compact(result)
