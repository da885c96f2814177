import json

import pytest

from agentrt import Registry, ToolError
from agentrt_tools import calculator, count_lines


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1234 * 5678", 7006652),
        (" 2 * (3 + 4) ", 14),
        ("-7 // 2", -4),
        ("7 % 4 + +1", 4),
        ("2 ** 10 / 4", 256.0),
        ("0.1 + 0.2", 0.1 + 0.2),
        ("0.0 ** 2", 0.0),
    ],
)
def test_arithmetic(expression, value):
    assert calculator(expression) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 / 0", "divides by zero"),
        ("2 +", "can be worked out"),
        ("__import__('os')", "only numbers"),
        ("a + 1", "only numbers"),
        ("True + 1", "only numbers"),
        ("9 ** 9 ** 9", "too large"),
        ("10 ** 4000 * 2", "too large"),
        ("1e308 * 10", "not a real number"),
        ("(0 - 8) ** 0.5", "not a real number"),
        ("9" * 150 + "*" + "9" * 150, "too long"),
        ("", "can be worked out"),
    ],
)
def test_what_cannot_be_worked_out(expression, message):
    with pytest.raises(ToolError, match=message):
        calculator(expression)


async def test_a_model_cannot_even_write_anything_but_arithmetic():
    call = {
        "type": "function_call",
        "call_id": "c",
        "name": "calculator",
        "arguments": json.dumps({"expression": "__import__"}),
    }
    (output,) = await Registry([calculator]).dispatch([call])
    assert "must be text that matches" in output["output"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (tmp_path / "outside.txt").write_text("secret\n")
    return here


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"x\n" * 700_000, 700_000)]
)
def test_lines(folder, content, lines):
    (folder / "file.txt").write_bytes(content)
    assert count_lines("file.txt") == lines


def test_it_stays_in_the_folder(folder):
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    for path in ("../outside.txt", str(folder.parent / "outside.txt"), "link.txt"):
        with pytest.raises(ToolError, match="outside of the current folder"):
            count_lines(path)


def test_a_file_that_is_not_there(folder):
    (folder / "notes.txt").write_text("x")
    with pytest.raises(ToolError, match=r"did you mean notes\.txt"):
        count_lines("note.txt")
    with pytest.raises(ToolError, match=r"there is no file 'elsewhere' here$"):
        count_lines("elsewhere")
    with pytest.raises(ToolError, match="is not a path"):
        count_lines("a\0b")
