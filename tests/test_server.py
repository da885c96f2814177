import io
import json

import httpx2
import pytest
from llm_comply.config import ComplianceConfig
from llm_comply.runner import TestRunner as ComplianceRunner
from llm_comply.schema import SpecLoader
from llm_comply.tests.open_responses import OPEN_RESPONSES_TESTS

from agentrt.testing import call, calls, raw, say


def model(request):
    """A text-and-tool script: it calls the tool when there is one, reasons when it is asked to, else it speaks."""
    if request.get("tools"):
        return calls(call(request["tools"][0]["name"], location="San Francisco"))
    if request.get("reasoning"):
        reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "15 * 37 = 555"}]}
        return calls(reasoning, *say("555").output)
    return say("Hello there, friend.")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # llm-comply resolves references the old way
def test_all_of_llm_comply_passes(serve):
    import importlib.resources

    server = serve(model)
    spec = SpecLoader(str(importlib.resources.files("llm_comply") / "specs" / "openresponses.json"))
    config = ComplianceConfig(base_url=server.url, api_key="k", model="gpt-5.4")
    suite = ComplianceRunner(config, OPEN_RESPONSES_TESTS, spec).run_all()
    outcome = {result.id: (result.status.name, result.errors) for result in suite.results}
    assert outcome == {case.id: ("PASSED", []) for case in OPEN_RESPONSES_TESTS}
    assert len(outcome) == 13


def test_requests_are_recorded_and_bad_ones_are_refused(serve):
    server = serve(say("a"), api_key="right")
    url, key = f"{server.url}/responses", {"authorization": "Bearer right"}
    with httpx2.Client() as http:
        assert http.post(url, json={"model": "m"}).status_code == 401
        assert http.post(url, content=b"{", headers=key).json()["error"]["code"] == "invalid_json"
        assert http.post(url, json={}, headers=key).json()["error"]["param"] == "model"
        assert http.get(url, headers=key).status_code == 404
        good = http.post(url, json={"model": "m", "metadata": {"a": "b"}}, headers=key)
        assert good.json()["output"][0]["content"][0]["text"] == "a"
        assert good.json()["metadata"] == {"a": "b"}
        ended = http.post(url, json={"model": "m"}, headers=key)
        assert (ended.status_code, ended.json()["error"]["code"]) == (500, "script_ended")
    assert [request.method for request in server.requests] == ["POST", "POST", "POST", "GET", "POST", "POST"]
    assert server.requests[4].json["metadata"] == {"a": "b"}


def test_events_come_in_full_order(serve):
    server = serve(calls(call("f", a="a long text, in pieces"), *say("and words").output))
    with httpx2.Client() as http:
        text = http.post(f"{server.url}/responses", json={"model": "m", "stream": True}).text
    lines = io.StringIO(text)
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert text.endswith("data: [DONE]\n\n")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    types = [event["type"].removeprefix("response.") for event in events]
    assert list(dict.fromkeys(types)) == [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]


def test_raw_bytes_and_a_cut(serve):
    server = serve(raw(b"<p>", "text/html"), raw(b"half", cut=True))
    with httpx2.Client() as http:
        assert http.post(f"{server.url}/responses", json={"model": "m"}).headers["content-type"] == "text/html"
        with pytest.raises(httpx2.RemoteProtocolError):
            http.post(f"{server.url}/responses", json={"model": "m"})
