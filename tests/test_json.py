"""JSON with the deviations of servers."""

import math

import pytest

from mdstream_core import _json

BENT = {
    b'{"a": "\\ud83d"}': {"a": "\ufffd"},
    b'{"a": "\\ud83d\\ude00"}': {"a": "😀"},
    b'{"a": "\\ude00\\ud83d"}': {"a": "\ufffd\ufffd"},
    b'{"a": "\\\\ud83d", "b": NaN}': None,
    b'{"a": "\xff\xe2\x82"}': {"a": "\ufffd\ufffd"},
    b"[Infinity, -Infinity]": [math.inf, -math.inf],
}


@pytest.mark.parametrize("data", BENT)
def test_json_that_fast_libraries_reject(data: bytes) -> None:
    """Lone surrogates, NaN and invalid bytes do not end a stream, and the result can be encoded again."""
    value = _json.loads(data)

    assert value == BENT[data] or "\\ud83d" == value["a"]
    str(value).encode()


@pytest.mark.parametrize("data", [b"", b"{", b"{a}", b"[" * 100_000, b'{"a":1} x', b"\xff", "{'a': 1}"])
def test_invalid_json_is_a_value_error(data: bytes | str) -> None:
    """Whatever is wrong, and whichever library parses it."""
    with pytest.raises(ValueError, match=r"."):
        _json.loads(data)


def test_writing_is_compact_utf8() -> None:
    """Every byte counts towards OCI's 10 MB, and a lone surrogate in a request does not raise."""
    assert '{"a":["é",null]}'.encode() == _json.dumps({"a": ["é", None]})
    assert b'"\xed\xa0\xbd"' == _json.dumps("\ud83d")


def test_a_document_is_unfinished_until_its_last_brace() -> None:
    """Every beginning of a document is unfinished; the document is not, nor is invalid JSON."""
    whole = '{"k": "\\u00e9\\ud83d\\ude00\\"", "n": [-1.5e+10, true, false, null, {"a": {}}], "s": ""}'

    assert all(_json.is_unfinished(whole[:at]) for at in range(1, len(whole)))
    assert not any(map(_json.is_unfinished, (whole, "{a}", "x", '{"a": 1,}', "[1] 2", '{"a": "\n"}')))


FLAWED = [
    '{"path": "C:\\dir\\fi',
    '{"path": "C:\\dir\\',
    '{"sql": "DELETE FROM t\nWHERE id',
    '{"amount": 100, "b": "x\ty',
    """{"a": 1, "b": 'x""",
    '{"a": 1 "b": 2, "c',
    '{"a": "\n", "b": [1',
]


@pytest.mark.parametrize("text", FLAWED)
def test_an_error_before_the_truncation_does_not_hide_it(text: str) -> None:
    """A parser stops at the first error, and the text is truncated nevertheless."""
    assert _json.is_unfinished(text)


@pytest.mark.parametrize(
    "text", ['{"p": "C:\\d"}', '{"a": "x\n"}', '{"a": 5} x', '{"a": "{[", "b": \'\'}', "x", "{'a': 1}"]
)
def test_invalid_but_closed_json_is_not_unfinished(text: str) -> None:
    """Every string and every bracket is closed."""
    assert not _json.is_unfinished(text)


def test_detecting_truncation_takes_linear_time() -> None:
    """Half a million escapes in an open string."""
    assert _json.is_unfinished('{"a": "\n' + '\\"' * 500_000)
