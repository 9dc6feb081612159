"""The form of a stream's chunks: what is the same in all of them, and where the text is.

Chunks of one response differ in their text alone, or in a few more values without meaning, such as padding: ids, times
and names are those of the response. A chunk that has the same bytes around these values as an earlier one, and one
complete JSON value in each place, is the same document with another text. Then only these values have to be parsed,
all those of one read together.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.events import Event, TextDelta
from mdstream_core.events.event import text_deltas

#: Maximum size in bytes of the chunks that a form is read from: those of one token are small.
_MAX_BYTES = 2048

#: How often a decoder reads the form of the chunks. A server whose chunks all differ gains nothing by it.
MAX_TEMPLATES = 8

#: The bytes of numbers, and the comma between two of them.
_NUMBER_BYTES = b"0123456789+-.eE,"

#: Bytes that stand for what is between values. No JSON has them, and a chunk that does is found out by their number.
_MARKS = bytes(range(8))
_NO_MARKS = bytes(range(len(_MARKS), 256))
_MARKS_TO_LINES = b"\n" * len(_MARKS) + _NO_MARKS


class TextTemplate:
    """The bytes around the values of a chunk that vary. Those around a string include its quotation marks.

    Args:
        constants: The bytes before, between and after these values; they have no line breaks.
        text: Index of the text among the values.
        words: Indices of other strings, which consist of letters and digits.
        numbers: Indices of numbers.
    """

    __slots__ = (
        "_get_piece",
        "_marks",
        "_middles",
        "_numbers",
        "_removed",
        "_text",
        "_width",
        "_words",
        "end",
        "first",
        "last",
        "start",
    )

    def __init__(
        self, constants: Sequence[bytes], text: int = 0, words: Sequence[int] = (), numbers: Sequence[int] = ()
    ) -> None:
        self.start, *self._middles, self.end = constants
        self._text, self._words, self._numbers = text, words, numbers
        self._width = width = len(constants) - 1
        self._marks = _MARKS[1:width] + _MARKS[:1]  # those of one chunk, and the one before the next
        self._removed = sum(map(len, self._middles)) - len(self._middles)
        #: Where a text with its quotation marks starts, and where it ends, if nothing else varies.
        self.first, self.last = len(self.start) - 1, 1 - len(self.end)
        self._get_piece = itemgetter(slice(len(self.start), -len(self.end)))

    def read_run(self, chunks: list[bytes], at: int) -> list[str]:
        """Return the texts of the chunks from an index on that have the form: of all up to the first that has another.

        Of fewer, if only the bytes at the start and the end of that chunk are those of the form.
        """
        chunks = chunks[at:] if at else chunks
        pieces = [*map(self._get_piece, chunks)]
        # A chunk that is shorter than `start` and `end` together has an empty piece, so that the right side is longer.
        if b"".join(chunks) != b"%b%b%b" % (self.start, (self.end + self.start).join(pieces), self.end):
            pieces = [*map(self._get_piece, self._take_run(chunks))]
        while pieces:
            values = self._split(pieces) if self._middles else pieces
            if values and (texts := self._parse(values)):
                return texts
            pieces = pieces[: len(pieces) // 2]
        return []

    def _take_run(self, chunks: list[bytes]) -> Iterator[bytes]:
        """Yield the first chunks that have the bytes `start` and `end` around something else."""
        start, end = self.start, self.end
        size = len(start) + len(end)
        for chunk in chunks:
            if not (len(chunk) >= size and chunk.startswith(start) and chunk.endswith(end)):
                return
            yield chunk

    def _split(self, pieces: list[bytes]) -> list[bytes]:
        """Split what is between `start` and `end` into values, those of one chunk after the other.

        A mark replaces each constant between two values. The marks are in the right order, and as many bytes are gone
        as the constants have: so each mark stands for its constant, and was not in a chunk before. None are returned if
        a piece has another form, or a line break, which makes one value more.
        """
        marked, count = b"\0".join(pieces), len(pieces)
        size = len(marked) - self._removed * count
        for index, middle in enumerate(self._middles, 1):
            marked = marked.replace(middle, _MARKS[index : index + 1])
        if marked.translate(None, _NO_MARKS) != (self._marks * count)[:-1] or len(marked) != size:
            return []
        values = marked.translate(_MARKS_TO_LINES).split(b"\n")
        return values if len(values) == self._width * count else []

    def _parse(self, values: list[bytes]) -> list[str]:
        """Return the texts among the values of some chunks; none if a value is invalid, or a text is empty."""
        width = self._width
        contents = values[self._text :: width]
        if width > 1:
            words = b"".join([b"".join(values[index::width]) for index in self._words])
            numbers = [value for index in self._numbers for value in values[index::width]]
            if (words and not words.isalnum()) or (numbers and not _are_numbers(numbers)):
                return []
        texts = parse_strings(contents)
        return texts if all(texts) else []


def parse_strings(contents: list[bytes]) -> list[str]:
    r"""Parse what is between the quotation marks of JSON strings, all at once.

    None are returned if one of them is not the content of a string. No quotation mark that is added here is escaped, so
    that a document of nothing but one string for each content has no others: no content has one of its own, and the
    parser has checked the rest.

    >>> parse_strings([b"a", rb"\u00e4"]), parse_strings([b'a","b']), parse_strings([b'a",["b', b"c", b'd"],"e'])
    (['a', 'ä'], [], [])
    """
    if b"\\\n" in b"%b\n" % b"\n".join(contents) and any(map(_escapes_next, contents)):
        return []
    try:
        strings: list[str] = _json.parse(b'["%b"]' % b'","'.join(contents))
    except _json.PARSE_ERRORS:
        return []
    return strings if len(strings) == len(contents) and {*map(type, strings)} == {str} else []


def _escapes_next(content: bytes) -> bool:
    """Return whether the last byte is a backslash that escapes what follows."""
    return (len(content) - len(content.rstrip(b"\\"))) % 2 == 1


def _are_numbers(values: list[bytes]) -> bool:
    """Return whether each of these values is a JSON number: together they are a list of as many numbers."""
    data = b",".join(values)
    if data.translate(None, _NUMBER_BYTES):
        return False
    try:
        return len(_json.parse(b"[%b]" % data)) == len(values)
    except _json.PARSE_ERRORS:
        return False


#: The name of a field, and its value: a string without escapes, or a number, which may be the first of a list.
_FIELD = rb'%b\s*:\s*(?:"([^"]*)"|\[?\s*(-?[0-9][0-9.eE+-]*))'


def find_template(chunk: bytes, text: str, name: bytes, others: Sequence[bytes] = ()) -> TextTemplate | None:
    """Return the form of a chunk.

    Args:
        chunk: The chunk: a JSON document.
        text: The value of its only field with this name.
        name: The name of the field that has the text, with quotation marks.
        others: Names of fields that the chunk may have, whose strings and numbers have no meaning.

    Returns:
        The form; `None` if the place of the text is not certain: there are several such fields, or escapes.

    >>> template = find_template(b'{"delta":{"content":"Hi"}}', "Hi", b'"content"')
    >>> template.start, template.end, template.read_run([b'{"delta":{"content":"Ho"}}'], 0)
    (b'{"delta":{"content":"', b'"}}', ['Ho'])
    >>> find_template(b'{"delta":{"content":"Hi"},"content":"Hi"}', "Hi", b'"content"')
    """
    if len(chunk) > _MAX_BYTES or b"\\" in chunk or b"\n" in chunk or chunk.count(name) != 1:
        return None
    found = re.search(_FIELD % name, chunk)
    if found is None or found[1] != text.encode():
        return None
    fields = [found]
    fields += [match for other in others if chunk.count(other) == 1 and (match := re.search(_FIELD % other, chunk))]
    fields.sort(key=lambda field: field.start())
    words = [index for index, field in enumerate(fields) if field[1] is not None and field is not found]
    numbers = [index for index, field in enumerate(fields) if field[1] is None]
    edges = [0, *chain.from_iterable(field.span(field.lastindex or 0) for field in fields), len(chunk)]
    constants = [chunk[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return TextTemplate(constants, fields.index(found), words, numbers)


class TemplateMixin:
    """Mixin for decoders: the chunks of one read that have the form of the last one are decoded together."""

    #: Names of fields that decoding ignores, with quotation marks: their strings and numbers may differ.
    ignored_names: ClassVar[tuple[bytes, ...]] = ()

    _template: TextTemplate | None = None
    _template_choice = 0  # index of the choice that has the text
    _templates = MAX_TEMPLATES
    _last_text: tuple[bytes, TextDelta] | None = None  # the last chunk, if it had nothing but a piece of text

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        events = self.decode_payload(data, event)
        if len(events) == 1 and type(events[0]) is TextDelta:
            self._last_text = data, events[0]
        return events

    def feed_uniform(self, payloads: list[bytes], at: int) -> list[TextDelta] | None:
        """Decode the payloads from an index on, as long as they have the form of the last one."""
        if self._template is None:
            self._find_template()
        if self._template is None or not self.accepts_text(self._template_choice):
            return None
        texts = self._template.read_run(payloads, at)
        if not texts:
            self._template = None  # it is read again from the next chunk
        elif len(texts) > MAX_TEMPLATES:
            self._templates = MAX_TEMPLATES
        self.write_texts(texts, self._template_choice)
        return text_deltas(texts, self._template_choice)

    def _find_template(self) -> None:
        """Read the form of the last chunk, if it had nothing but a piece of text."""
        if self._last_text is None or not self._templates:
            return
        self._templates -= 1
        (data, delta), self._last_text = self._last_text, None
        try:
            payload = _json.parse(data)
        except _json.PARSE_ERRORS:
            return
        if isinstance(payload, dict) and self.has_only_text(payload):
            self._template = find_template(data, delta.text, b'"text"', self.ignored_names)
            self._template_choice = delta.choice

    def decode_payload(self, data: bytes, event: str) -> list[Event]:
        """Decode one payload of any form."""
        raise NotImplementedError

    def has_only_text(self, payload: dict[str, Any]) -> bool:
        """Return whether all other fields of a payload with a piece of text are empty, ignored or without effect."""
        raise NotImplementedError

    def accepts_text(self, choice: int) -> bool:
        """Return whether a payload that has only text adds it to this choice, and does nothing else."""
        raise NotImplementedError

    def write_texts(self, texts: list[str], choice: int) -> None:
        """Add pieces of text to a choice."""
        raise NotImplementedError


def has_nothing_else(fields: Mapping[str, Any], *known: str) -> bool:
    """Return whether all fields but the known ones are empty.

    >>> has_nothing_else({"text": "a", "finish_reason": None}, "text"), has_nothing_else({"text": "a", "id": 1}, "text")
    (True, False)
    """
    return not any(value for name, value in fields.items() if name not in known)
