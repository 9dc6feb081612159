"""What an error body says: the JSON of model servers and gateways, JSON inside of it, HTML, plain text.

Servers wrap each other's errors. Every sentence of a body is kept, and the cause comes first: DJL (LMI, JumpStart)
writes `{"code": 424, "message": "prediction failure", "error": "<the cause>"}`, OCI puts the model's own JSON into
`message`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from mdstream_core import _json

#: Fields that hold sentences, the one that is most likely to hold the cause first. Letter case and separators in a
#: field's name do not count.
_SENTENCES = (
    *("error", "errordescription", "detail", "errormessage", "errormsg", "message", "msg", "faultstring", "title"),
    *(
        "description",
        "reason",
        "originalmessage",
        "details",
        "errors",
        "fault",
        "innererror",
        "metadata",
        "raw",
        "cause",
    ),
)

#: Each of these alone makes a document an error, if there are words in it.
_ERROR_KEYS = ("error", "detail", "errormessage", "errormsg", "message", "errors", "fault")

#: Fields that may hold the error of the server behind, with its own code and status.
_WRAPPERS = ("error", "detail", "message", "errormessage", "errormsg", "originalmessage", "fault")

_CODES = ("code", "type", "error_type", "error_code", "errorCode", "__type")
_STATUSES = ("code", "status", "http_status_code", "statusCode", "status_code", "error_code")

#: Sentences that say only that there was an error.
_GENERIC = re.compile(
    r"(prediction (failure|failed)|invoke handler failure|(internal|server|unknown|model|backend|upstream|http)?[ _]?"
    r"(server )?(error|failure)|bad request|not found|unauthorized|forbidden|service (temporarily )?unavailable"
    r"|bad gateway|gateway time-?out|request time-?out|method not allowed|conflict|payload too large"
    r"|unprocessable (entity|content)|too many requests|provider returned error|an? (unexpected )?error (has )?occurred"
    r"|one or more validation errors occurred|failed( dependency)?|fail)[.!]?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w.#-]+")

#: Bounds: how deeply errors are unwrapped, how many entries of a list count, how long text is, and a code.
_DEPTH, _ENTRIES, _LONGEST, _PAGE, _CODE = 8, 10, 2000, 32 * 1024, 200


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says."""

    message: str = ""
    code: str | None = None
    status: int | None = None


def parse_error_object(body: Any) -> ErrorBody | None:
    """The words of an error object, in any spelling that model servers and gateways use; `None` if it is no error.

    `{"error": {"message", "type", "code"}}` (vLLM, llama.cpp), the same nested once more (vLLM to 0.10.0), flat with
    `"object": "error"` (SGLang), `{"error": "…", "error_type"}` (TGI), `{"detail": …}` (FastAPI, with lists too),
    `{"code", "message", "error"}` (DJL), `{"code", "message"}` (OCI, with another server's JSON in `message`).

    >>> parse_error_object({"error": {"message": "engine died", "type": "InternalServerError", "code": 500}})
    Words(message='engine died', code='InternalServerError', status=500)
    >>> parse_error_object({"code": 424, "message": "prediction failure", "error": "CUDA out of memory"}).message
    'CUDA out of memory; prediction failure'
    >>> parse_error_object({"choices": []}) is None
    True
    """
    if not isinstance(body, dict) or ("choices" in body and not body.get("error")):
        return None
    fields = _fields(body)
    message = join_sentences(_sentences(body, 0)) if any(fields.get(name) for name in _ERROR_KEYS) else ""
    error = fields.get("error")
    if not message and not error and not {"code", "message"} <= body.keys():
        return None
    levels = list(_nested_errors(body, 0))
    code = next((code for level in levels if (code := _code(level))), None)
    status = next((status for level in levels if (status := _status(level))), None)
    param = next((level["param"] for level in levels if isinstance(level.get("param"), str)), "")
    if message and param and param not in message:
        message = f"{message} (parameter {param[:_CODE]!r})"
    found = message or (_shown(error) if error else "") or code or _json.to_text(status)
    return ErrorBody(found[:_LONGEST] or "no words", code, status)


def _shown(error: Any) -> str:
    """An error object in which no sentence was found."""
    try:
        return str(error)
    except (ValueError, RecursionError):  # a number of thousands of digits; objects in objects
        return _json.to_text(error)


def parse_error_body(body: bytes) -> ErrorBody:
    """The words of a response body: of its JSON, of an event stream's first error, of an HTML page, or the text itself.

    >>> parse_error_body(b"<html><title>503 Busy</title><body><h1>503 Busy</h1><hr>nginx</body></html>").message
    '503 Busy; nginx'
    """
    text = body.decode("utf-8", "replace").strip(_WHITESPACE)
    for candidate in (text, *_event_payloads(text)):
        try:
            document = _json.loads(candidate)
        except ValueError:
            continue
        first = document[0] if isinstance(document, list) and document else document
        if found := parse_error_object(first):
            return found
        if isinstance(document, str):
            return ErrorBody(to_readable_text(document))
    return ErrorBody(to_readable_text(text))


#: What may stand around a body and is none of its words: blanks, and a byte order mark.
_WHITESPACE = " \t\r\n\f\v\ufeff"


def to_readable_text(text: str) -> str:
    """A text with the cause first where JSON stands in it, and without its markup where it is a page.

    >>> to_readable_text('Received client error (400) with message "{"error": "no such adapter"}".')
    'no such adapter; Received client error (400) with message.'
    """
    return join_sentences(_sentences_of_text(text, 0))


def join_sentences(sentences: Iterable[str]) -> str:
    """The sentences in one, those that say nothing of their own last, and none twice."""
    found = sorted(dict.fromkeys(one[: _LONGEST + 1] for one in sentences), key=_is_generic)[: 2 * _ENTRIES]
    folded = [sentence.casefold() for sentence in found]
    kept = [
        sentence
        for sentence, own in zip(found, folded, strict=True)
        if not any(own in other and own != other for other in folded)
    ]
    whole = "; ".join(kept)
    return whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "…"


def _is_generic(sentence: str) -> bool:
    return bool(_GENERIC.fullmatch(sentence) or _WORD.fullmatch(sentence))


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"[^a-z]", "", str(name).lower()): value for name, value in body.items()}


def _sentences(body: Mapping[str, Any], depth: int) -> Iterator[str]:
    fields = _fields(body)
    if location := fields.get("loc"):  # an entry of FastAPI's list
        steps = location[:_ENTRIES] if isinstance(location, list) else [location]
        why = _json.to_text(fields.get("msg") or fields.get("type")) or "invalid"
        yield f"{'.'.join(map(_json.to_text, steps))}: {why}"
        return
    for name in _SENTENCES:
        yield from _sentences_of_value(fields.get(name), depth + 1)


def _sentences_of_value(value: Any, depth: int) -> Iterator[str]:
    match value:
        case str():
            yield from _sentences_of_text(value, depth)
        case dict() if depth < _DEPTH:
            yield from _sentences(value, depth)
        case list() if depth < _DEPTH:
            for entry in value[:_ENTRIES]:
                yield from _sentences_of_value(entry, depth + 1)


def _sentences_of_text(text: str, depth: int) -> Iterator[str]:
    document, around = _find_embedded_json(text.strip()) if depth < _DEPTH else (None, "")
    if inner := list(_sentences_of_value(document, depth + 1)):
        yield from inner
        text = around
    blocks = list(_sentences_of_page(text)) if _MARKUP.match(text) else []
    if blocks:
        yield from blocks
    elif text.strip():
        yield text


def _find_embedded_json(text: str) -> tuple[Any, str]:
    """The JSON document in a text, and what stands around it."""
    try:
        if text[:1] in ("{", "["):
            return _json.loads(text), ""
        if (at := text.find("{", 0, _PAGE)) >= 0:
            document, end = json.JSONDecoder().raw_decode(text, at)
            return document, f"{text[:at].rstrip(_QUOTES)}{text[end:].lstrip(_QUOTES)}"
    except (ValueError, RecursionError):
        pass
    return None, text


_QUOTES = " \t\r\n\"'`:-"


def _nested_errors(body: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """The errors that wrap each other, the innermost first."""
    fields = _fields(body)
    for name in _WRAPPERS:
        inner = fields.get(name)
        if isinstance(inner, str):
            inner, _ = _find_embedded_json(inner.strip())
        if isinstance(inner, dict) and depth < _DEPTH:
            yield from _nested_errors(inner, depth + 1)
    yield body


def _code(level: Mapping[str, Any]) -> str | None:
    names = (level.get(name) for name in _CODES)
    found = (n[:_CODE] for n in names if isinstance(n, str))
    return next((n for n in found if n and not n.isdecimal() and n not in _NO_CODES), None)


_NO_CODES = frozenset({"error", "about:blank"})


def _status(level: Mapping[str, Any]) -> int | None:
    return next((status for name in _STATUSES if (status := error_status(level.get(name)))), None)


def error_status(value: Any) -> int | None:
    """An HTTP error status, as a number or in digits; `None` for anything else.

    >>> error_status("503"), error_status(429), error_status(200), error_status("5" * 5000)
    (503, 429, None, None)
    """
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) == _STATUS_DIGITS else None
    return value if type(value) is int and _LEAST <= value < _MOST else None


#: The statuses of errors (RFC 9110 §15.5, 15.6), and how many digits they have.
_LEAST, _MOST, _STATUS_DIGITS = 400, 600, 3


def _event_payloads(text: str) -> list[str]:
    """The data of a body that is an event stream, or lines of JSON, in spite of its error status."""
    lines = text[:_PAGE].splitlines()[: 2 * _ENTRIES]
    if len(lines) < 2 and not _EVENT.match(text):
        return []
    return [_EVENT.sub("", line) for line in lines if line.startswith("{") or _EVENT.match(line)]


_EVENT = re.compile(r"(data|error): ?")

#: How a page, or an XML document, begins.
_MARKUP = re.compile(
    r"<(!doctype|!--|\?xml|html|head|body|title|center|h[1-6]|p|div|pre|error|code|message)\b", re.IGNORECASE
)


#: A tag, a declaration or an instruction. A body may be hostile: none of these is read past the next bracket, so that
#: the time is linear, which that of `html.parser` is not.
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)[^<>]*>|<[!?][^<>]*>")

_HIDDEN_TAGS = frozenset({"script", "style", "noscript", "svg", "template"})
_INLINE_TAGS = frozenset({"a", "abbr", "b", "code", "em", "i", "small", "span", "strong", "u", "br"})
_HEADING_TAGS = frozenset({"title", "h1", "h2", "h3", "h4", "h5", "h6"})

#: How much of a page's text is kept, in characters.
_READ = 500


def _sentences_of_page(text: str) -> Iterator[str]:
    """The texts of a page, title and headings first; of a long one the beginning."""
    blocks = list(_blocks(_strip_comments(text[:_PAGE])))
    headings = [block for tag, block in blocks if tag in _HEADING_TAGS]
    left = _READ
    for block in dict.fromkeys([*headings, *(block for _, block in blocks)]):
        if left <= 0:
            return
        yield block if len(block) <= left else block[:left] + "…"
        left -= len(block)


def _strip_comments(text: str) -> str:
    return "".join(part.partition("-->")[2] if number else part for number, part in enumerate(text.split("<!--")))


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of text with the tags that they stand in; without scripts and styles."""
    parts: list[str] = []
    block, hidden, at = "", "", 0
    for tag in _TAG.finditer(text):
        name = (tag["name"] or "").lower()
        if not hidden:
            parts.append(text[at : tag.start()])
        at = tag.end()
        if hidden or name in _HIDDEN_TAGS:
            hidden = "" if tag["end"] and name == hidden else hidden or ("" if tag["end"] else name)
        elif name not in _INLINE_TAGS:
            yield from _block(block, parts)
            block, parts = "" if tag["end"] else name, []
    yield from _block(block, parts if hidden else [*parts, text[at:]])


def _block(tag: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    if text := " ".join(unescape("".join(parts)).split()):
        yield tag, text


#: How servers say that a question is too long. The words of limits per minute, which ask for patience, are others.
_TOO_LONG = re.compile(
    "|".join(
        (
            r"maximum context length|context_length_exceeded|context limit|context size has been exceeded",
            r"exceed_context_size|exceeds? the available context size",  # llama.cpp
            r"exceeds? (the )?(model'?s? )?(maximum )?context (window|length|limit|size)",  # OpenAI, llama-cpp-python
            r"(is longer|greater) than the (maximum model|(model'?s )?context) length",  # vLLM, SGLang, LM Studio
            r"longer than the maximum model length",
            r"`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than",  # TGI, TEI
            r"(prompt|input|question) is too long|(prompt|input|request) too long for",  # Anthropic, Bedrock
            r"reduce the length of the (messages|input prompt|prompt)",
            r"too many tokens: |total number of tokens in the (prompt|input) cannot",  # Cohere
            r"(prompt|input)\b.{0,40}\bexceeds? (the )?max(imum)? (allowed |input |sequence )?(length|tokens)",
            r"(prompt|input)\b.{0,40}\bexceeds? the max(imum)? number of tokens",  # Gemini
            r"exceeds? (the )?(model'?s? )?(max_model_len|max_seq_len|max_input_len|max_num_tokens)",  # TensorRT-LLM
            r"exceeds? (the )?(model'?s )max(imum)? (context|model|input|sequence)",
            r"maximum prompt length is [\d,]+",  # xAI
        )
    ),
    re.IGNORECASE,
)


def describes_context_overflow(message: str) -> bool:
    """Whether a refusal says that the question does not fit into the model's context; every server has its own words.

    >>> describes_context_overflow("This model's maximum context length is 4096 tokens. However, you requested 5000")
    True
    >>> describes_context_overflow("prompt is too long: 210000 tokens > 200000 maximum")
    True
    """
    return _TOO_LONG.search(message) is not None
