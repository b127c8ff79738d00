import pytest

from eigencore.errors import InputError
from eigencore.prompts import read_prompts


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("p.txt", b"one\n\n  two \nthree", ["one", "  two ", "three"]),
        ("p.txt", "\ufeffnaïve\r\n\u2028 stays\r\n".encode(), ["naïve", "\u2028 stays"]),
        ("prompts", b'{"prompt": "not JSON by its name"}\n', ['{"prompt": "not JSON by its name"}']),
        ("p.jsonl", b'{"prompt": "a\\nb", "kind": "x"}\n\n{"prompt": "c"}\n', ["a\nb", "c"]),
    ],
)
def test_prompts_are_read_in_order(tmp_path, name, content, prompts):
    assert read_prompts(str(written(tmp_path, name, content))) == prompts


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.txt", b"fine\ncaf\xe9\n", "p.txt, line 2: not UTF-8 \\(byte 4"),
        ("p.jsonl", b'{"prompt": "a"}\n\n{"prompt": \n', "p.jsonl, line 3: not JSON"),
        ("p.jsonl", b'{"text": "a"}\n', 'line 1: expected an object with a text under "prompt"'),
        ("p.jsonl", b'{"prompt": 3}\n', "line 1: expected"),
        ("p.jsonl", b'{"prompt": ""}\n', "line 1: expected"),
        ("p.jsonl", b'["a"]\n', "line 1: expected"),
        ("p.jsonl", b'{"prompt": "\\ud800"}\n', "line 1: the prompt is no valid Unicode.*position 0"),
        ("p.jsonl", b"[" * 200_000, "line 1: nested too deeply"),
        ("p.csv", b"prompt,id\n", "p.csv: expected plain text with a prompt on each line"),
        ("p.json", b'["a"]', "expected plain text"),
        ("p.txt", b" \n\n", "holds no prompt"),
        ("p.txt", b"", "holds no prompt"),
    ],
)
def test_a_malformed_line_is_numbered(tmp_path, name, content, complaint):
    with pytest.raises(InputError, match=complaint):
        read_prompts(written(tmp_path, name, content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read prompts from .*absent\.txt: No such file"):
        read_prompts(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="Is a directory"):
        read_prompts(tmp_path)
