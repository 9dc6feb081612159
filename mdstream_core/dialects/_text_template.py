"""The form of a stream's chunks: what is the same in all of them, and where the text is.

Chunks of one response differ in their text alone: ids, times and names are those of the response. A chunk that starts
and ends with the same bytes as an earlier one, and has one complete JSON string between them, is the same document with
another text. Then only this string has to be parsed, which takes a fifth of the time.
"""

from typing import NamedTuple

#: Maximum size in bytes of the chunks that a form is read from: those of one token are small.
_MAX_BYTES = 2048

#: The name of the field that has the text.
_NAME = b'"content"'


class TextTemplate(NamedTuple):
    """The bytes around the text of a chunk, with the quotation marks of the text."""

    start: bytes
    """The bytes up to the text, with its first quotation mark."""
    end: bytes
    """The bytes after the text, with its last quotation mark."""
    first: int
    """Index of the first quotation mark in the chunk."""
    last: int
    """Index after the last quotation mark, from the end of the chunk."""


def find_template(data: bytes, text: str) -> TextTemplate | None:
    """Return the form of a chunk.

    Args:
        data: The chunk: a JSON document.
        text: The value of its only field `content`.

    Returns:
        The form; `None` if the place of the text is not certain: there are several such fields, or escapes.

    >>> template = find_template(b'{"delta":{"content":"Hi"}}', "Hi")
    >>> template.start, template.end
    (b'{"delta":{"content":"', b'"}}')
    >>> find_template(b'{"delta":{"content":"Hi"},"content":"Hi"}', "Hi")
    """
    if len(data) > _MAX_BYTES or b"\\" in data or data.count(_NAME) != 1:
        return None
    first = data.find(b'"', data.find(_NAME) + len(_NAME))
    last = data.find(b'"', first + 1)
    if last < 0 or data[first + 1 : last] != text.encode():
        return None
    return TextTemplate(data[: first + 1], data[last:], first, last + 1 - len(data))
