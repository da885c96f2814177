"""What the scripted server keeps, and every endpoint of it, over a real socket."""

import json

import httpx2
import pytest

from agentrt.testing import call, calls, http_error, raw, say
from agentrt.wire.assembler import Assembler
from agentrt.wire.compose import Numbering, item_events, message_item, response_events, response_resource
from agentrt.wire.events import EVENTS, Event
from agentrt.wire.sse import SSEDecoder

MISSING = "previous_response_not_found"


@pytest.fixture
def api(serve):
    """Start a server and give it with a client that speaks plain HTTP to it."""
    clients = []

    def start(*script, **options):
        server = serve(*script, **options)
        clients.append(httpx2.Client(base_url=server.url))
        return server, clients[-1]

    yield start
    for http in clients:
        http.close()


def post(http, path="/responses", **body):
    answer = http.post(path, json={"model": "m", **body} if path.startswith("/responses") else body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(http, path, **query):
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer):
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"], error["param"]


def events_of(answer):
    return SSEDecoder().feed(answer.content)


def streamed(http, **body):
    """Read a stream as far as it comes."""
    read = b""
    try:
        with http.stream("POST", "/responses", json={"model": "m", "stream": True, **body}) as answer:
            for chunk in answer.iter_bytes():
                read += chunk
    except httpx2.RemoteProtocolError:
        pass
    return SSEDecoder().feed(read)


def fold(events):
    assembler = Assembler()
    for event in events:
        assembler.feed(Event(event))
    assert assembler.ended
    return assembler.response


def texts(items):
    return [item["content"][0]["text"] for item in items]


# --- what is stored


def test_a_response_is_kept_until_it_is_deleted(api):
    _, http = api(say("a"), say("b"))
    made = post(http, input="hi", metadata={"k": "v"}, user="u")
    assert (made["store"], made["metadata"], made["user"]) == (True, {"k": "v"}, "u")
    assert get(http, f"/responses/{made['id']}") == made
    gone = http.delete(f"/responses/{made['id']}").json()
    assert gone == {"id": made["id"], "object": "response", "deleted": True}
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]:
        assert refusal(http.request(method, f"/responses/{made['id']}{path}"))[0] == 404
    unstored = post(http, input="hi", store=False)
    assert unstored["store"] is False
    assert http.get(f"/responses/{unstored['id']}").status_code == 404


def test_a_response_builds_on_an_earlier_one(api):
    seen = []

    def script(body):
        seen.append((body, server.context(body)))
        return next(turns)

    turns = iter([calls(call("f", x=1)), say("done"), say("after")])
    server, http = api(script)
    one = post(http, input="go", instructions="only once")
    output = {"type": "function_call_output", "call_id": one["output"][0]["call_id"], "output": "1"}
    two = post(http, input=[output], previous_response_id=one["id"])
    assert two["previous_response_id"] == one["id"]
    assert two["instructions"] is None
    body, context = seen[1]
    assert body == {"model": "m", "input": [output], "previous_response_id": one["id"]}
    assert [item["type"] for item in context] == ["message", "function_call", "function_call_output"]
    whole = server.context(two["id"])
    assert [item["type"] for item in whole] == ["message", "function_call", "function_call_output", "message"]
    assert all(item["id"] for item in whole)
    http.delete(f"/responses/{one['id']}")
    three = post(http, input="more", previous_response_id=two["id"])
    assert server.context(three["id"])[:4] == whole


@pytest.mark.parametrize("streaming", [False, True])
def test_an_unknown_previous_response_is_refused_before_the_script_is_asked(api, streaming):
    server, http = api(say("a"))
    asked = {"model": "m", "input": "hi", "stream": streaming}
    unknown = http.post("/responses", json={**asked, "previous_response_id": "resp_of_old"})
    assert refusal(unknown) == (400, MISSING, "previous_response_id")
    assert unknown.json()["error"]["type"] == "invalid_request_error"
    unknown = http.post("/responses", json={**asked, "conversation": "conv_of_old"})
    assert refusal(unknown) == (404, "not_found", "conversation")
    both = http.post("/responses", json={**asked, "previous_response_id": "r", "conversation": "c"})
    assert refusal(both) == (400, "mutually_exclusive_parameters", "previous_response_id")
    with pytest.raises(KeyError):
        server.context("resp_of_old")
    with pytest.raises(KeyError):
        server.context({"previous_response_id": "resp_of_old"})
    assert http.post("/responses", json=asked).status_code == 200


def test_what_was_streamed_is_kept_before_its_last_event_is_sent(api):
    _, http = api(say("a", pause=0.05), say("b"))
    with http.stream("POST", "/responses", json={"model": "m", "input": "hi", "stream": True}) as answer:
        decoder = SSEDecoder()
        for chunk in answer.iter_bytes():
            ended = [event for event in decoder.feed(chunk) if event["type"] == "response.completed"]
            if ended:
                break
        assert post(http, input="and", previous_response_id=ended[0]["response"]["id"])["output"]


def test_a_stream_that_was_cut_left_nothing(api):
    server, http = api(say("a long enough answer", cut_after=5), say("b", cut_after=0), say("c"))
    events = streamed(http, input="hi")
    assert len(events) == 5
    assert http.get(f"/responses/{events[0]['response']['id']}").status_code == 404
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http, input="hi")
    assert post(http, input="hi")["id"] == "resp_3"
    assert len(server.requests) == 4


def test_an_answer_that_was_lost_on_the_way_is_kept(api):
    _, http = api(say("a", cut=True), raw(b"{}", cut_after=1))
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            post(http, input="hi")
    assert get(http, "/responses/resp_1")["status"] == "completed"


def test_a_server_that_forgets_knows_nothing_any_more(api):
    def script(body):
        if body["input"] == "forget":
            server.forget()
        return say("a")

    server, http = api(script)
    conversation = post(http, "/conversations")["id"]
    one, two = post(http, input="hi"), post(http, input="forget")
    for made in (one, two):
        refused = http.post("/responses", json={"model": "m", "previous_response_id": made["id"]})
        assert refusal(refused)[1] == MISSING
    assert http.get(f"/conversations/{conversation}").status_code == 404
    three = post(http, input="hi")
    assert three["id"] not in (one["id"], two["id"])
    assert len(server.context(three["id"])) == 2


def test_items_are_read_as_a_server_reads_them(api):
    server, http = api(say("a"), calls({"type": "reasoning", "summary": []}), say("c"))
    one = post(http, input=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    items = get(http, f"/responses/{one['id']}/input_items", order="asc")["data"]
    assert [item["content"][0]["type"] for item in items] == ["input_text", "output_text"]
    assert [item["status"] for item in items] == ["completed", "completed"]
    two = post(http, input=[{"id": items[0]["id"]}, {"type": "item_reference", "id": one["output"][0]["id"]}])
    assert server.context(two["id"])[:2] == [items[0], one["output"][0]]
    assert "id" not in two["output"][0]
    assert server.context(two["id"])[2]["id"]
    lost = http.post("/responses", json={"model": "m", "input": [{"type": "item_reference", "id": "rs_9"}]})
    assert refusal(lost) == (404, "not_found", "input")


# --- pages


def test_input_items_come_in_pages_newest_first(api):
    _, http = api(say("a"))
    made = post(http, input=[{"role": "user", "content": str(number)} for number in range(30)])
    path = f"/responses/{made['id']}/input_items"
    first = get(http, path)
    assert (first["object"], first["has_more"]) == ("list", True)
    assert texts(first["data"]) == [str(number) for number in range(29, 9, -1)]
    assert (first["first_id"], first["last_id"]) == (first["data"][0]["id"], first["data"][-1]["id"])
    rest = get(http, path, after=first["last_id"], limit=100)
    assert (texts(rest["data"]), rest["has_more"]) == ([str(number) for number in range(9, -1, -1)], False)
    assert texts(get(http, path, order="asc", limit=2)["data"]) == ["0", "1"]
    none = get(http, path, after=rest["last_id"])
    assert none == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"limit": 0}, (400, "invalid_value", "limit")),
        ({"limit": 101}, (400, "invalid_value", "limit")),
        ({"limit": "many"}, (400, "invalid_type", "limit")),
        ({"order": "random"}, (400, "invalid_value", "order")),
        ({"after": "item_of_old"}, (404, "not_found", "after")),
    ],
)
def test_a_page_that_cannot_be_is_refused(api, query, told):
    _, http = api(say("a"))
    assert refusal(http.get(f"/responses/{post(http, input='hi')['id']}/input_items", params=query)) == told


# --- conversations


def test_a_conversation_grows_with_each_response(api):
    server, http = api(say("a"), say("b"), say("c", outcome="failed"), say("d", delay=0.01))
    started = [{"role": "user", "content": "before"}]
    conversation = post(http, "/conversations", items=started, metadata={"k": "v"})
    assert (conversation["object"], conversation["metadata"]) == ("conversation", {"k": "v"})
    name = conversation["id"]
    one = post(http, input="1", conversation=name)
    assert one["conversation"] == {"id": name}
    two = fold(streamed(http, input="2", conversation={"id": name}))
    assert two["conversation"] == {"id": name}
    post(http, input="3", conversation=name)
    assert texts(server.context(name)) == ["before", "1", "a", "2", "b"]
    assert texts(server.context({"conversation": name, "input": "now"})) == ["before", "1", "a", "2", "b", "now"]
    assert texts(get(http, f"/responses/{two['id']}/input_items", order="asc")["data"]) == ["before", "1", "a", "2"]
    assert texts(get(http, f"/conversations/{name}/items", limit=2)["data"]) == ["b", "2"]


def test_a_conversation_is_read_changed_and_deleted(api):
    _, http = api()
    name = post(http, "/conversations")["id"]
    assert get(http, f"/conversations/{name}")["metadata"] == {}
    assert post(http, f"/conversations/{name}", metadata={"a": "b"})["metadata"] == {"a": "b"}
    assert get(http, f"/conversations/{name}")["metadata"] == {"a": "b"}
    assert post(http, f"/conversations/{name}", metadata={})["metadata"] == {}
    assert refusal(http.post(f"/conversations/{name}", json={}))[::2] == (400, "metadata")
    gone = http.delete(f"/conversations/{name}").json()
    assert gone == {"id": name, "object": "conversation.deleted", "deleted": True}
    for method, path in [
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("GET", "/items"),
        ("POST", "/items"),
        ("GET", "/items/i"),
        ("DELETE", "/items/i"),
    ]:
        assert refusal(http.request(method, f"/conversations/{name}{path}")) == (404, "not_found", "conversation")


def test_the_items_of_a_conversation_are_added_read_and_deleted(api):
    _, http = api()
    path = f"/conversations/{http.post('/conversations').json()['id']}/items"
    added = post(
        http, path, items=[{"role": "user", "content": "1"}, {"type": "reasoning", "id": "rs_1", "summary": []}]
    )
    assert [item["type"] for item in added["data"]] == ["message", "reasoning"]
    first = added["first_id"]
    assert get(http, f"{path}/{first}") == added["data"][0]
    assert http.delete(f"{path}/{first}").json()["object"] == "conversation"
    assert get(http, path)["data"] == [{"type": "reasoning", "id": "rs_1", "summary": []}]
    assert (
        refusal(http.get(f"{path}/{first}")) == refusal(http.delete(f"{path}/{first}")) == (404, "not_found", "item_id")
    )
    many = [{"role": "user", "content": "x"}] * 21
    for place in (path, "/conversations"):
        assert refusal(http.post(place, json={"items": many})) == (400, "array_above_max_length", "items")
    assert refusal(http.post(path, json={}))[::2] == (400, "items")


# --- the smaller endpoints


def test_a_context_is_compacted(api):
    _, http = api(say("a long story"))
    one = post(http, input="tell me")
    told = post(http, "/responses/compact", previous_response_id=one["id"], input="go on")
    assert told["object"] == "response.compaction"
    assert [item["type"] for item in told["output"]] == ["message", "message", "compaction"]
    assert texts(told["output"][:2]) == ["tell me", "go on"]
    assert told["output"][2]["encrypted_content"]
    assert told["usage"]["input_tokens"] == 7
    assert refusal(http.post("/responses/compact", json={"input": "x"}))[::2] == (400, "model")


def test_tokens_are_words(api):
    _, http = api(say("two words"))

    def count(**body):
        return post(http, "/responses/input_tokens", **body)

    assert count(input="one two three") == {"object": "response.input_tokens", "input_tokens": 3}
    assert count(input="one", instructions="be brief", text=None)["input_tokens"] == 3
    one = post(http, input="hi")
    assert count(previous_response_id=one["id"])["input_tokens"] == 3
    assert refusal(http.post("/responses/input_tokens", json={"previous_response_id": "r"}))[1] == MISSING


def test_a_file_that_the_test_put_in_is_served(api):
    server, http = api(api_key="right")
    server.files["cntr_1", "cfile_1"] = bytes(range(256))
    key = {"authorization": "Bearer right"}
    answer = http.get("/containers/cntr_1/files/cfile_1/content", headers=key)
    assert (answer.content, answer.headers["content-type"]) == (bytes(range(256)), "application/octet-stream")
    assert http.get("/containers/cntr_1/files/other/content", headers=key).status_code == 404
    assert http.get("/containers/cntr_1/files/cfile_1/content").status_code == 401


@pytest.mark.parametrize("path", ["/models", "/responses/", "/responses/r/other", "/conversations", "/containers/c"])
def test_there_is_nothing_at_other_paths(api, path):
    _, http = api()
    assert refusal(http.get(path))[:2] == (404, "not_found")


def test_headers_of_a_turn_may_tell_of_limits(api):
    _, http = api(say("a", headers={"x-ratelimit-remaining-requests": "7"}), http_error(429))
    answer = http.post("/responses", json={"model": "m"})
    assert answer.headers["x-ratelimit-remaining-requests"] == "7"
    assert http.post("/responses", json={"model": "m"}).status_code == 429


# --- in the background


@pytest.mark.parametrize("polls", [0, 1, 3])
def test_a_background_response_is_queued_then_in_progress_then_over(api, polls):
    server, http = api(say("a", polls=polls), say("b"))
    conversation = post(http, "/conversations")["id"]
    made = post(http, input="hi", background=True, conversation=conversation)
    assert (made["status"], made["background"], made["output"], made["usage"]) == ("queued", True, [], None)
    path = f"/responses/{made['id']}"
    for _ in range(polls):
        assert (get(http, path)["status"], server.context(conversation)) == ("in_progress", [])
    over = get(http, path)
    assert (over["status"], over["output"][0]["content"][0]["text"]) == ("completed", "a")
    assert get(http, path) == over
    assert texts(server.context(conversation)) == ["hi", "a"]
    assert http.post(f"{path}/cancel").json() == over


def test_what_is_not_over_can_be_cancelled_but_not_built_on(api):
    server, http = api(say("a", polls=2), say("b"))
    made = post(http, input="hi", background=True)
    path = f"/responses/{made['id']}"
    assert len(server.context(made["id"])) == 1
    early = http.post("/responses", json={"model": "m", "previous_response_id": made["id"]})
    assert refusal(early) == (400, "previous_response_not_completed", "previous_response_id")
    assert get(http, path)["status"] == "in_progress"
    ended = [http.post(f"{path}/cancel").json() for _ in range(2)]
    assert ended[0] == ended[1] == get(http, path)
    assert (ended[0]["status"], ended[0]["output"]) == ("cancelled", [])
    assert post(http, previous_response_id=made["id"])["status"] == "completed"


def test_background_needs_store_and_cancel_needs_background(api):
    _, http = api(say("a"))
    refused = http.post("/responses", json={"model": "m", "background": True, "store": False})
    assert refusal(refused)[::2] == (400, "background")
    assert http.post(f"/responses/{post(http, input='hi')['id']}/cancel").status_code == 400


def test_a_background_stream_that_was_cut_goes_on(api):
    _, http = api(say("an answer of some length, in pieces", cut_after=(6, 2), polls=5))
    seen = streamed(http, input="hi", background=True)
    assert [event["type"] for event in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["response"]["status"] for event in seen[:3]] == ["queued", "queued", "in_progress"]
    assert len(seen) == 6
    path = f"/responses/{seen[0]['response']['id']}"
    assert get(http, path)["status"] == "in_progress"
    with pytest.raises(httpx2.RemoteProtocolError):
        http.get(path, params={"stream": "true", "starting_after": 5})
    assert get(http, path)["status"] == "in_progress"
    more = events_of(http.get(path, params={"stream": "true", "starting_after": 5}))
    assert [event["sequence_number"] for event in seen + more] == list(range(len(seen + more)))
    assert events_of(http.get(path, params={"stream": "true"})) == seen + more
    assert fold(seen + more) == get(http, path)
    assert events_of(http.get(path, params={"stream": "true", "starting_after": 99})) == []
    assert refusal(http.get(path, params={"stream": "true", "starting_after": "x"}))[::2] == (400, "starting_after")


def test_only_a_background_stream_can_be_had_again(api):
    _, http = api(say("a"), say("b"))
    made = [fold(streamed(http, input="hi")), post(http, input="hi", background=True)]
    for response in made:
        refused = http.get(f"/responses/{response['id']}", params={"stream": "true"})
        assert refusal(refused)[::2] == (404, "stream")


def test_a_cancelled_stream_ends_with_what_was_sent(api):
    _, http = api(say("word " * 100, pause=0.01))
    decoder, seen = SSEDecoder(), []
    with http.stream("POST", "/responses", json={"model": "m", "stream": True, "background": True}) as answer:
        for chunk in answer.iter_bytes():
            seen += decoder.feed(chunk)
            if len(seen) == 4:
                cancelled = http.post(f"/responses/{seen[0]['response']['id']}/cancel").json()
                assert cancelled["status"] == "cancelled"
    assert 4 <= len(seen) < 20
    again = events_of(http.get(f"/responses/{cancelled['id']}", params={"stream": "true"}))
    assert again == seen
    assert get(http, f"/responses/{cancelled['id']}") == cancelled


async def test_many_at_once_do_not_meet(api):
    import anyio

    server, _ = api(lambda body: say(f"re {body['input']}", pause=0.001))
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
        name = (await http.post("/conversations")).json()["id"]
        ids = {}

        async def ask(number):
            body = {"model": "m", "input": f"{number}", "conversation": name, "stream": number % 2 == 0}
            answer = await http.post("/responses", json=body)
            response = fold(events_of(answer)) if number % 2 == 0 else answer.json()
            ids[number] = response["id"]

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(ask, number)
        said = texts(server.context(name))
        assert sorted(zip(said[::2], said[1::2], strict=True)) == sorted((f"{n}", f"re {n}") for n in range(40))
        assert len(set(ids.values())) == 40
        for number, response_id in ids.items():
            assert texts(server.context(response_id))[-2:] == [f"{number}", f"re {number}"]


# --- what is told of each type of item as it comes

NOTE = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 2}
CITED = message_item("m", "see there, at some length")
CITED["content"][0] |= {"annotations": [NOTE, {**NOTE, "title": "u"}], "logprobs": [{"token": "see", "logprob": -1}]}
MCP = {"type": "mcp_call", "id": "mcp_1", "name": "n", "server_label": "s", "arguments": '{"a": 1}'}
COMMANDS = ["ls -l /some/where", "pwd"]
ENTRIES = [
    {"stdout": "a line of some length", "stderr": "oh", "outcome": {"type": "exit", "exit_code": 0}},
    {"stdout": "", "stderr": None, "outcome": {"type": "timeout"}},
]
ITEMS = {
    "reasoning": {
        "type": "reasoning",
        "id": "rs",
        "encrypted_content": "gAAA",
        "content": [{"type": "reasoning_text", "text": "first I think"}],
        "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
    },
    "reasoning without content": {"type": "reasoning", "id": "rs", "summary": [], "status": "completed"},
    "cited text": CITED,
    "unknown part": {**message_item("m", ""), "content": [{"type": "acme:part", "x": 1}]},
    "web search": {
        "type": "web_search_call",
        "id": "ws",
        "status": "completed",
        "action": {"type": "search", "queries": ["q"]},
    },
    "failed search": {"type": "web_search_call", "id": "ws", "status": "failed", "action": {"type": "search"}},
    "file search": {
        "type": "file_search_call",
        "id": "fs",
        "status": "completed",
        "queries": ["q"],
        "results": [{"file_id": "f"}],
    },
    "code": {
        "type": "code_interpreter_call",
        "id": "ci",
        "status": "completed",
        "container_id": "c",
        "code": "print('hello, world')",
        "outputs": [{"type": "logs", "logs": "x"}],
    },
    "no code": {
        "type": "code_interpreter_call",
        "id": "ci",
        "status": "completed",
        "container_id": "c",
        "code": None,
        "outputs": None,
    },
    "image": {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "aGk="},
    "mcp": {**MCP, "status": "completed", "output": "1", "error": None},
    "failed mcp": {**MCP, "output": None, "error": {"type": "http_error", "code": 500, "message": "m"}},
    "mcp tools": {"type": "mcp_list_tools", "id": "mt", "server_label": "s", "tools": [{"name": "n"}]},
    "no mcp tools": {"type": "mcp_list_tools", "id": "mt", "server_label": "s", "tools": [], "error": "down"},
    "custom": {"type": "custom_tool_call", "id": "ct", "call_id": "c", "name": "n", "input": "free text, and more"},
    "object arguments": {"type": "function_call", "id": "fc", "call_id": "c", "name": "n", "arguments": {"a": 1}},
    "shell": {
        "type": "shell_call",
        "id": "sh",
        "call_id": "c",
        "status": "completed",
        "action": {"commands": COMMANDS, "timeout_ms": 5},
    },
    "shell output": {"type": "shell_call_output", "id": "so", "call_id": "c", "status": "completed", "output": ENTRIES},
    "compaction": {"type": "compaction", "id": "cp", "encrypted_content": "gAAA"},
    "unknown": {"type": "acme:thing", "id": "x", "status": "completed"},
}
OPTIONAL = {"obfuscation", "status"}
ORDERS = {
    "reasoning": "content_part.added reasoning_text.delta reasoning_text.done content_part.done reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done",
    "reasoning without content": "",
    "cited text": "content_part.added output_text.delta output_text.annotation.added output_text.done content_part.done",
    "unknown part": "content_part.added content_part.done",
    "web search": "web_search_call.in_progress web_search_call.searching web_search_call.completed",
    "failed search": "web_search_call.in_progress web_search_call.searching",
    "file search": "file_search_call.in_progress file_search_call.searching file_search_call.completed",
    "code": "code_interpreter_call.in_progress code_interpreter_call_code.delta code_interpreter_call_code.done code_interpreter_call.interpreting code_interpreter_call.completed",
    "no code": "code_interpreter_call.in_progress code_interpreter_call.interpreting code_interpreter_call.completed",
    "image": "image_generation_call.in_progress image_generation_call.generating image_generation_call.completed",
    "mcp": "mcp_call.in_progress mcp_call_arguments.delta mcp_call_arguments.done mcp_call.completed",
    "failed mcp": "mcp_call.in_progress mcp_call_arguments.delta mcp_call_arguments.done mcp_call.failed",
    "mcp tools": "mcp_list_tools.in_progress mcp_list_tools.completed",
    "no mcp tools": "mcp_list_tools.in_progress mcp_list_tools.failed",
    "custom": "custom_tool_call_input.delta custom_tool_call_input.done",
    "object arguments": "",
    "shell": "shell_call_command.added shell_call_command.delta shell_call_command.done",
    "shell output": "shell_call_output_content.delta shell_call_output_content.done",
    "compaction": "compaction.compacting",
    "unknown": "",
}


def resource(*output, **request):
    return response_resource({"model": "m", **request}, response_id="r", created_at=1, output=output, usage=(3, 4))


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_is_told_in_the_order_of_the_api(name):
    events = list(item_events(Numbering(), 3, ITEMS[name], chunk=8))
    types = [event["type"].removeprefix("response.") for event in events]
    assert list(dict.fromkeys(types)) == ["output_item.added", *ORDERS[name].split(), "output_item.done"]
    assert {event["output_index"] for event in events} == {3}
    assert all(event.keys() == EVENTS[event["type"]] - OPTIONAL for event in events)
    inner = [event for event in events[1:-1] if "shell_call_command" not in event["type"]]
    assert {event["item_id"] for event in inner} <= {ITEMS[name]["id"]}
    assert events[-1]["item"] == ITEMS[name]
    assert "gAAA" not in json.dumps(events[:-1])


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", ITEMS)
def test_the_events_of_an_item_fold_to_it(name, empty):
    response = resource(ITEMS[name], message_item("m2", "and then"))
    events = list(response_events(response))
    if empty:
        events[-1]["response"] = {**response, "output": []}
    assert fold(events) == response


@pytest.mark.parametrize("name", ["reasoning", "cited text", "code", "custom", "shell", "shell output", "mcp"])
def test_deltas_alone_tell_the_text_of_an_item(name):
    item = ITEMS[name]
    events = list(response_events(resource(item)))[:-2]
    for event in events:
        del event["sequence_number"]
    assembler = Assembler()
    for event in events:
        if not event["type"].endswith(".done"):
            assembler.feed(Event(event))
    (seen,) = assembler.response["output"]
    for field in ("content", "summary"):
        assert [part["text"] for part in seen.get(field, ())] == [part["text"] for part in item.get(field, ())]
    for field in ("code", "input", "arguments", "action"):
        assert seen.get(field) == item.get(field)
    if name == "cited text":
        assert seen["content"][0]["annotations"] == item["content"][0]["annotations"]
    if name == "shell output":
        assert (seen["output"][0]["stdout"], seen["output"][0]["stderr"]) == (
            ENTRIES[0]["stdout"],
            ENTRIES[0]["stderr"],
        )


def test_a_response_echoes_its_request():
    plain = resource()
    assert (plain["metadata"], plain["previous_response_id"], plain["background"]) == ({}, None, False)
    assert "conversation" not in plain
    asked = {
        "background": True,
        "conversation": {"id": "conv_1"},
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "previous_response_id": "resp_0",
        "prompt_cache_retention": "24h",
        "text": {"verbosity": "low"},
        "truncation": None,
    }
    told = resource(**asked)
    assert {name: told[name] for name in asked} == asked | {
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "truncation": "disabled",
    }
    assert resource(conversation="conv_1")["conversation"] == {"id": "conv_1"}


def test_a_script_that_fails_says_so(api):
    _, http = api(lambda body: {}[body["input"]])
    assert refusal(http.post("/responses", json={"model": "m", "input": "hi"})) == (500, "script_failed", None)


def test_a_length_that_is_too_long_is_sent_as_it_is(api):
    _, http = api(raw(b"{}", headers={"content-length": "9"}, cut=True))
    with pytest.raises(httpx2.RemoteProtocolError):
        http.post("/responses", json={"model": "m"})
