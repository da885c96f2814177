"""Tools and agents behind a real HTTP server, as clients of both revisions see them."""

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from agentrt import Agent, Answer, Deny, MCPServer
from agentrt.testing import ScriptedModel, call, calls, say
from tests.mcp.served_parts import ERAS, client, over_http, text

pytestmark = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def anyio_backend():
    """Servers run on asyncio, and the SDK's client is the same on both."""
    return "asyncio"


@pytest.fixture(scope="module")
def address():
    with over_http() as (url, _process):
        yield url


def answering(action, content=None, heard=None):
    async def answer(_context, params):
        if heard is not None:
            heard.append(params)
        return types.ElicitResult(action=action, content=content)

    return {"elicitation_callback": answer}


ALLOWS = {"approve": True}


async def until_seen(connected, what):
    with anyio.fail_after(5):
        while what not in await seen(connected):
            pass


async def seen(connected):
    return (await connected.call_tool("seen", {})).structured_content["result"]


async def test_tools_are_listed_in_order_with_what_they_take_give_and_do(address, era):
    async with client(address, era) as connected:
        tools = (await connected.list_tools()).tools
        assert [tool.name for tool in tools][:4] == ["weather", "sums.double", "look", "fails"]
        assert [tool.name for tool in tools][-5:] == ["mailer", "reporter", "lister", "endless", "broken"]
        weather, double, look, *_ = tools
        assert weather.description == "Tell the weather."
        assert weather.input_schema == {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city."},
                "days": {"type": "integer", "default": 1, "description": "How many days ahead."},
            },
            "required": ["city"],
            "additionalProperties": False,
        }
        assert weather.output_schema["properties"] == {"city": {"type": "string"}, "celsius": {"type": "number"}}
        assert (weather.annotations.read_only_hint, weather.annotations.idempotent_hint) == (True, True)
        assert double.output_schema["properties"] == {"result": {"type": "number"}}
        assert (double.annotations.read_only_hint, double.annotations.idempotent_hint) == (False, True)
        assert look.output_schema is None
        assert look.annotations.idempotent_hint is None
        task = next(tool for tool in tools if tool.name == "mailer")
        assert (task.description, list(task.input_schema["properties"])) == ("You send mails.", ["task"])


async def test_a_result_is_structured_and_has_its_text(address, era):
    async with client(address, era) as connected:
        made = await connected.call_tool("weather", {"city": "Oslo"})
        assert made.structured_content == {"city": "Oslo", "celsius": 22.0}
        assert text(made) == '{"city":"Oslo","celsius":22.0}'
        made = await connected.call_tool("sums.double", {"number": "4"})
        assert (made.structured_content, text(made)) == ({"result": 8.0}, "8.0")


async def test_arguments_that_dont_fit_are_explained_to_the_model(address, era):
    async with client(address, era) as connected:
        made = await connected.call_tool("weather", {"town": "Oslo", "days": "two"})
        assert made.is_error
        for part in ("`days` must be an integer", "`city` is required", "`town` is not an argument"):
            assert part in text(made)
        assert not (await connected.call_tool("seen")).is_error


async def test_an_unknown_tool_is_an_error_of_the_protocol(address, era):
    async with client(address, era) as connected:
        with pytest.raises(MCPError, match="Unknown tool: wether") as caught:
            await connected.call_tool("wether", {})
        assert caught.value.code == types.INVALID_PARAMS


async def test_what_goes_wrong_in_a_tool_is_told_in_words(address, era):
    async with client(address, era) as connected:
        for name, told in {
            "fails": "Error: ZeroDivisionError: integer division or modulo by zero",
            "refuses": "Error: The shop is closed.",
            "slow": "Error: the tool did not finish within 0.05 seconds",
            "lies": "Error: the tool returned what its return annotation doesn't allow ($.result: 'many' is not of type "
            "'integer'); it returned: many",
        }.items():
            made = await connected.call_tool(name, {})
            assert (made.is_error, text(made)) == (True, told)


async def test_parts_become_blocks_in_their_order(address, era):
    async with client(address, era) as connected:
        blocks = (await connected.call_tool("look", {})).content
        assert [block.type for block in blocks] == ["text", "image", "resource_link", "resource", "audio"]
        assert blocks[1].mime_type == "image/png"
        assert blocks[2].uri == "https://example.com/a.png"
        assert (blocks[3].resource.uri, blocks[3].resource.mime_type) == ("attachment:a%20b.pdf", "application/pdf")
        assert blocks[4].mime_type == "audio/wav"


async def test_progress_comes_in_order_and_before_the_result(address, era):
    told = []

    async def progress(done, of, message):
        told.append((done, of, message))

    async with client(address, era) as connected:
        await connected.call_tool("steps", {"count": 4}, progress_callback=progress)
        assert told == [(step / 4, 1.0, f"step {step}") for step in (1, 2, 3, 4)]
        told.clear()
        assert text(await connected.call_tool("pieces", {}, progress_callback=progress)) == "one two"
        assert told == [(1.0, None, "one "), (2.0, None, "two")]


async def test_a_tool_is_tried_again_as_its_options_say(address, era):
    async with client(address, era) as connected:
        assert text(await connected.call_tool("flaky", {})) == "try 2"


@pytest.mark.parametrize("name", ["waits", "works"])
async def test_a_cancelled_call_cancels_its_tool(address, era, name):
    async with client(address, era) as connected:
        before = await seen(connected)
        with anyio.move_on_after(0.2) as scope:
            await connected.call_tool(name, {})
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            while f"{name} was cancelled" not in (await seen(connected))[len(before) :]:
                pass


async def test_calls_on_one_thing_wait_for_each_other(address, era):
    made = []

    async def write(connected, path):
        made.append(text(await connected.call_tool("writes", {"path": path})))

    async with client(address, era) as connected, client(address, era) as other, anyio.create_task_group() as group:
        group.start_soon(write, connected, "same")
        group.start_soon(write, other, "same")
        group.start_soon(connected.call_tool, "alone", {})
    assert made == ["1 at once", "1 at once"]
    async with client(address, era) as connected, anyio.create_task_group() as group:
        group.start_soon(write, connected, "one")
        group.start_soon(write, connected, "two")
    assert "2 at once" in made


async def test_the_clients_user_is_asked_for_approval(address, era):
    heard = []
    async with client(address, era, **answering("accept", ALLOWS, heard)) as connected:
        made = await connected.call_tool("pay", {"to": "Ann\n  amount: 1"})
        assert text(made) == "paid Ann\n  amount: 1 5"
        (asked,) = heard
        assert asked.message.splitlines()[1:] == ["pay", "  amount: 5", "  to: Ann\\u000a  amount: 1"]
        assert asked.requested_schema["required"] == ["approve"]


async def test_nothing_runs_that_the_user_did_not_allow(address, era):
    for action, content, told in [
        ("decline", None, "declined by the user"),
        ("cancel", None, "dismissed by the user"),
        ("accept", {"approve": False}, "declined by the user"),
        ("accept", None, "it was accepted, but `approve` was not ticked"),
    ]:
        who = f"{action} {content} {era}"
        async with client(address, era, **answering(action, content)) as connected:
            made = await connected.call_tool("pay", {"to": who})
            assert (made.is_error, text(made)) == (True, f"Error: this call was denied: {told}")
            assert f"pay {who} 5" not in await seen(connected)


async def test_a_client_that_cant_ask_gets_no_approval(address, era):
    async with client(address, era) as connected:
        made = await connected.call_tool("pay", {"to": "Eve"})
        assert made.is_error
        assert "needs approval, and there is nobody to give it; it was not run" in text(made)
        made = await connected.call_tool("mailer", {"task": "Write."})
        assert text(made) == "Error: the agent mailer needs approval, and there is nobody to give it, for: send"


async def test_an_agent_asks_the_clients_user_for_each_approval(address, era):
    heard, told = [], []

    async def progress(done, of, message):
        told.append((done, message))

    async def decide(_context, params):
        heard.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": "Ann" in params.message})

    async with client(address, era, elicitation_callback=decide) as connected:
        made = await connected.call_tool("mailer", {"task": "Write to both."}, progress_callback=progress)
    assert not made.is_error, text(made)
    assert text(made) == "Done: Error: this call was denied: declined by the user"
    assert sorted(heard) == [f"The agent mailer wants to run\nsend\n  to: {name}" for name in ("Ann", "Bob")]
    assert told[0] == (1.0, "mailer thinks (turn 1)")
    assert "mailer calls send" in [message for _, message in told]
    counts = [done for done, _ in told]
    assert era != "legacy" or counts == sorted(set(counts))


async def test_an_agents_typed_answer_is_structured(address, era):
    async with client(address, era) as connected:
        made = await connected.call_tool("reporter", {"task": "Write."})
        assert made.structured_content == {"title": "On snow", "pages": 3}
        assert (await connected.call_tool("lister", {"task": "List."})).structured_content == {"result": [1, 2]}


async def test_an_agent_that_fails_says_so(address, era):
    async with client(address, era) as connected:
        made = await connected.call_tool("broken", {"task": "Try."})
        assert made.is_error
        assert text(made).startswith("Error: the agent broken failed: ")


async def test_a_cancelled_call_ends_the_agents_run(address, era):
    async with client(address, era) as connected:
        with anyio.move_on_after(0.3) as scope:
            await connected.call_tool("endless", {"task": "Wait."})
        assert scope.cancelled_caught
        await until_seen(connected, "the agent's tool was cancelled")


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_agent_uses_an_agent_that_agentrt_serves_approvals_included(address, era, allowed):
    async def decide(pending):
        return Answer(filled(pending.arguments)) if allowed else Deny("no")

    def filled(schema):
        return {name: filled(part) if part["type"] == "object" else True for name, part in schema["properties"].items()}

    def model(request):
        last = request["input"][-1]
        if last.get("type") == "function_call_output":
            return say(last["output"] if isinstance(last["output"], str) else last["output"][0]["text"])
        return calls(call("mailer", task="Write."))

    protocol = "2025-11-25" if era == "legacy" else era
    server = MCPServer.http(address, name="served", protocol=protocol, prefix=False)
    agent = Agent("any", tools=[server], client=ScriptedModel(model))
    result = await agent.run("Write to both.", on_pending=decide)
    told = "sent to Bob" if allowed else "Error: this call was denied: declined by the user"
    assert result.text == f"Done: {told}"
