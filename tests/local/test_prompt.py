import pytest

from agentrt.local.prompt import MAX_STRING, UnsupportedError, build_prompt

TOOLS = [
    {
        "type": "function",
        "name": "a",
        "parameters": {
            "type": "object",
            "properties": {"x": {"type": "string"}, "p": {"$ref": "#/$defs/P"}},
            "$defs": {"P": {"type": "object"}},
        },
    },
    {"type": "function", "name": "b", "parameters": None},
]
USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c", "name": "a", "arguments": '{"x": "1"}'}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "one"}]}


def names(schema):
    branches = schema.get("anyOf", [schema])
    return [branch["properties"].get("name", {"const": "reply"})["const"] for branch in branches]


def test_a_small_model_is_made_to_call_then_to_answer():
    first = build_prompt({"input": [USER], "tools": TOOLS}, decides=False)
    assert first.calls
    assert names(first.schema) == ["a", "b"]
    then = build_prompt({"input": [USER, CALL, OUTPUT], "tools": TOOLS}, decides=False)
    assert (then.calls, then.schema) == (False, None)
    assert then.grammar.startswith("root ::=")
    assert [message["role"] for message in then.messages] == ["system", "user", "assistant", "user"]
    assert then.messages[2]["content"] == '{"name": "a", "arguments": {"x": "1"}}'
    assert then.messages[3]["content"] == "a returned: one"


def test_a_larger_model_decides_by_itself():
    prompt = build_prompt({"input": "hi", "tools": TOOLS, "instructions": "Be kind."}, decides=True)
    assert names(prompt.schema) == ["a", "b", "reply"]
    assert prompt.messages[0]["content"].startswith("Be kind.\nYou can call these tools:")
    assert names(build_prompt({"input": [USER, CALL, OUTPUT], "tools": TOOLS}, decides=True).schema)[-1] == "reply"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", ["a", "b"]),
        ({"type": "function", "name": "b"}, ["b"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}, ["a"]),
    ],
)
def test_a_forced_choice_is_forced(choice, expected):
    prompt = build_prompt({"input": "hi", "tools": TOOLS, "tool_choice": choice}, decides=True)
    assert names(prompt.schema) == expected


def test_no_tools_or_none_wanted_is_free_text():
    assert build_prompt({"input": "hi"}, decides=False) == ([{"role": "user", "content": "hi"}], None, False, None)
    assert build_prompt({"input": "hi", "tools": TOOLS, "tool_choice": "none"}, decides=False).schema is None


def test_a_text_format_binds_the_answer():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    prompt = build_prompt({"input": "hi", "text": {"format": {"type": "json_schema", "schema": schema}}}, decides=False)
    assert (prompt.schema, prompt.calls) == (schema, False)


def test_strings_are_bounded_and_references_stay_with_their_tool():
    schema = build_prompt({"input": "hi", "tools": TOOLS, "tool_choice": "required"}, decides=False).schema
    arguments = schema["anyOf"][0]["properties"]["arguments"]
    assert arguments["properties"]["x"]["maxLength"] == MAX_STRING
    assert arguments["properties"]["p"]["$ref"] == "#/$defs/a.P"
    assert schema["$defs"] == {"a.P": {"type": "object"}}


def test_messages_of_one_side_are_joined_and_system_comes_first():
    items = [
        USER,
        {"role": "developer", "content": "Short."},
        {"role": "user", "content": [{"type": "input_text", "text": "ho"}]},
        {"type": "reasoning", "summary": []},
    ]
    assert build_prompt({"input": items}, decides=False).messages == [
        {"role": "system", "content": "Short."},
        {"role": "user", "content": "hi\nho"},
    ]


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"input": "hi", "previous_response_id": "r"}, "previous_response_id"),
        ({"input": "hi", "background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input"),
        ({"input": "hi", "tools": [{"type": "web_search"}]}, "tools"),
        ({"input": "hi", "tools": TOOLS, "tool_choice": {"type": "function", "name": "z"}}, "tool_choice"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(request_, param):
    with pytest.raises(UnsupportedError) as caught:
        build_prompt(request_, decides=False)
    assert caught.value.param == param
