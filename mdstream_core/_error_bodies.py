"""Parse error bodies: JSON of model servers and gateways, nested JSON, HTML, plain text.

Servers wrap each other's errors. The parsed message keeps every sentence of a body, the cause first: DJL (LMI,
JumpStart) sends `{"code": 424, "message": "prediction failure", "error": "<the cause>"}`, and OCI puts the model's own
JSON into `message`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdstream_core import _json
from mdstream_core._lazy import LazyModule, lazy_pattern

if TYPE_CHECKING:
    import html
else:
    html = LazyModule("html")

#: Fields with messages, those that most likely contain the cause first. Letter case and separators are ignored.
_MESSAGE_KEYS = (
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

#: A document with one of these fields is an error, if it contains a message.
_ERROR_KEYS = ("error", "detail", "errormessage", "errormsg", "message", "errors", "fault")

#: Fields that may contain the error of an upstream server, with its own code and status.
_WRAPPERS = ("error", "detail", "message", "errormessage", "errormsg", "originalmessage", "fault")

_CODE_KEYS = ("code", "type", "error_type", "error_code", "errorCode", "__type")
_STATUS_KEYS = ("code", "status", "http_status_code", "statusCode", "status_code", "error_code")

#: Messages that report an error without its cause.
_GENERIC = lazy_pattern(
    r"(prediction (failure|failed)|invoke handler failure|(internal|server|unknown|model|backend|upstream|http)?[ _]?"
    r"(server )?(error|failure)|bad request|not found|unauthorized|forbidden|service (temporarily )?unavailable"
    r"|bad gateway|gateway time-?out|request time-?out|method not allowed|conflict|payload too large"
    r"|unprocessable (entity|content)|too many requests|provider returned error|an? (unexpected )?error (has )?occurred"
    r"|one or more validation errors occurred|failed( dependency)?|fail)[.!]?",
    re.IGNORECASE,
)
_WORD = lazy_pattern(r"[\w.#-]+")

#: Limits: nesting of errors, entries of a list, characters of a message, of a page and of a code.
_MAX_DEPTH, _MAX_ENTRIES, _MAX_MESSAGE, _MAX_PAGE, _MAX_CODE = 8, 10, 2000, 32 * 1024, 200


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Message, code and status of an error body."""

    message: str = ""
    """The messages of the body, joined; the cause comes first."""
    code: str | None = None
    """Error code, such as `TooManyRequests`; `None` if there is none."""
    status: int | None = None
    """HTTP status code in the body; `None` if there is none."""


def parse_error_object(body: Any) -> ErrorBody | None:
    """Parse an error object in any format of model servers and gateways; return `None` if it is not an error.

    `{"error": {"message", "type", "code"}}` (vLLM, llama.cpp), the same nested once more (vLLM to 0.10.0), flat with
    `"object": "error"` (SGLang), `{"error": "…", "error_type"}` (TGI), `{"detail": …}` (FastAPI, with lists too),
    `{"code", "message", "error"}` (DJL), `{"code", "message"}` (OCI, with another server's JSON in `message`).

    >>> parse_error_object({"error": {"message": "engine died", "type": "InternalServerError", "code": 500}})
    ErrorBody(message='engine died', code='InternalServerError', status=500)
    >>> parse_error_object({"code": 424, "message": "prediction failure", "error": "CUDA out of memory"}).message
    'CUDA out of memory; prediction failure'
    >>> parse_error_object({"choices": []}) is None
    True
    """
    if not isinstance(body, dict) or ("choices" in body and not body.get("error")):
        return None
    fields = _normalize_keys(body)
    message = join_sentences(_sentences(body, 0)) if any(fields.get(name) for name in _ERROR_KEYS) else ""
    error = fields.get("error")
    if not message and not error and not {"code", "message"} <= body.keys():
        return None
    levels = list(_nested_errors(body, 0))
    code = next((code for level in levels if (code := _code(level))), None)
    status = next((status for level in levels if (status := _status(level))), None)
    param = next((level["param"] for level in levels if isinstance(level.get("param"), str)), "")
    if message and param and param not in message:
        message = f"{message} (parameter {param[:_MAX_CODE]!r})"
    text = message or (_to_repr(error) if error else "") or code or _json.to_text(status)
    return ErrorBody(text[:_MAX_MESSAGE] or "no message", code, status)


def _to_repr(error: Any) -> str:
    """Convert an error object without a message to a string."""
    try:
        return str(error)
    except (ValueError, RecursionError):  # a number of thousands of digits; deep nesting
        return _json.to_text(error)


def parse_error_body(body: bytes) -> ErrorBody:
    """Parse the body of an error response: JSON, the first error of an event stream, an HTML page, or plain text.

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
        if error_body := parse_error_object(first):
            return error_body
        if isinstance(document, str):
            return ErrorBody(to_readable_text(document))
    return ErrorBody(to_readable_text(text))


#: Ignored characters at both ends of a body: white space and a byte order mark.
_WHITESPACE = " \t\r\n\f\v\ufeff"


def to_readable_text(text: str) -> str:
    """Convert an error text: move the message of embedded JSON to the front, and remove the markup of a page.

    >>> to_readable_text('Received client error (400) with message "{"error": "no such adapter"}".')
    'no such adapter; Received client error (400) with message.'
    """
    return join_sentences(_sentences_of_text(text, 0))


def join_sentences(sentences: Iterable[str]) -> str:
    """Join sentences without duplicates, generic ones last."""
    unique = sorted(dict.fromkeys(text[: _MAX_MESSAGE + 1] for text in sentences), key=_is_generic)[: 2 * _MAX_ENTRIES]
    folded = [sentence.casefold() for sentence in unique]
    distinct = [
        sentence
        for sentence, own in zip(unique, folded, strict=True)
        if not any(own in other and own != other for other in folded)
    ]
    message = "; ".join(distinct)
    return message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "…"


def _is_generic(sentence: str) -> bool:
    return bool(_GENERIC.fullmatch(sentence) or _WORD.fullmatch(sentence))


def _normalize_keys(body: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"[^a-z]", "", str(name).lower()): value for name, value in body.items()}


def _sentences(body: Mapping[str, Any], depth: int) -> Iterator[str]:
    fields = _normalize_keys(body)
    if location := fields.get("loc"):  # an entry of FastAPI's list
        steps = location[:_MAX_ENTRIES] if isinstance(location, list) else [location]
        problem = _json.to_text(fields.get("msg") or fields.get("type")) or "invalid"
        yield f"{'.'.join(map(_json.to_text, steps))}: {problem}"
        return
    for name in _MESSAGE_KEYS:
        yield from _sentences_of_value(fields.get(name), depth + 1)


def _sentences_of_value(value: Any, depth: int) -> Iterator[str]:
    match value:
        case str():
            yield from _sentences_of_text(value, depth)
        case dict() if depth < _MAX_DEPTH:
            yield from _sentences(value, depth)
        case list() if depth < _MAX_DEPTH:
            for entry in value[:_MAX_ENTRIES]:
                yield from _sentences_of_value(entry, depth + 1)


def _sentences_of_text(text: str, depth: int) -> Iterator[str]:
    document, around = _find_embedded_json(text.strip()) if depth < _MAX_DEPTH else (None, "")
    if inner := list(_sentences_of_value(document, depth + 1)):
        yield from inner
        text = around
    blocks = list(_sentences_of_page(text)) if _MARKUP.match(text) else []
    if blocks:
        yield from blocks
    elif text.strip():
        yield text


def _find_embedded_json(text: str) -> tuple[Any, str]:
    """Return the JSON document in a text, and the text around it."""
    try:
        if text[:1] in ("{", "["):
            return _json.loads(text), ""
        if (at := text.find("{", 0, _MAX_PAGE)) >= 0:
            document, end = json.JSONDecoder().raw_decode(text, at)
            return document, f"{text[:at].rstrip(_QUOTES)}{text[end:].lstrip(_QUOTES)}"
    except (ValueError, RecursionError):
        pass
    return None, text


_QUOTES = " \t\r\n\"'`:-"


def _nested_errors(body: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield nested errors, the innermost first."""
    fields = _normalize_keys(body)
    for name in _WRAPPERS:
        inner = fields.get(name)
        if isinstance(inner, str):
            inner, _ = _find_embedded_json(inner.strip())
        if isinstance(inner, dict) and depth < _MAX_DEPTH:
            yield from _nested_errors(inner, depth + 1)
    yield body


def _code(level: Mapping[str, Any]) -> str | None:
    values = (level.get(name) for name in _CODE_KEYS)
    codes = (value[:_MAX_CODE] for value in values if isinstance(value, str))
    return next((code for code in codes if code and not code.isdecimal() and code not in _GENERIC_CODES), None)


_GENERIC_CODES = frozenset({"error", "about:blank"})


def _status(level: Mapping[str, Any]) -> int | None:
    return next((status for name in _STATUS_KEYS if (status := error_status(level.get(name)))), None)


def error_status(value: Any) -> int | None:
    """Convert an HTTP error status, a number or digits, to an integer; return `None` for anything else.

    >>> error_status("503"), error_status(429), error_status(200), error_status("5" * 5000)
    (503, 429, None, None)
    """
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) == _STATUS_DIGITS else None
    return value if type(value) is int and 400 <= value < 600 else None  # RFC 9110 §15.5, 15.6


_STATUS_DIGITS = 3


def _event_payloads(text: str) -> list[str]:
    """Return the payloads of an error body that is an event stream or JSON lines."""
    lines = text[:_MAX_PAGE].splitlines()[: 2 * _MAX_ENTRIES]
    if len(lines) < 2 and not _EVENT.match(text):
        return []
    return [_EVENT.sub("", line) for line in lines if line.startswith("{") or _EVENT.match(line)]


_EVENT = lazy_pattern(r"(data|error): ?")

#: The beginning of an HTML page or an XML document.
_MARKUP = lazy_pattern(
    r"<(!doctype|!--|\?xml|html|head|body|title|center|h[1-6]|p|div|pre|error|code|message)\b", re.IGNORECASE
)


#: A tag, a declaration or an instruction. A body may be hostile, so no match extends past the next bracket; the time is
#: linear, which that of `html.parser` is not.
_TAG = lazy_pattern(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)[^<>]*>|<[!?][^<>]*>")

_HIDDEN_TAGS = frozenset({"script", "style", "noscript", "svg", "template"})
_INLINE_TAGS = frozenset({"a", "abbr", "b", "code", "em", "i", "small", "span", "strong", "u", "br"})
_HEADING_TAGS = frozenset({"title", "h1", "h2", "h3", "h4", "h5", "h6"})

#: How many characters of a page's text the message contains.
_MAX_PAGE_TEXT = 500


def _sentences_of_page(text: str) -> Iterator[str]:
    """Yield the texts of a page, title and headings first, up to `_MAX_PAGE_TEXT` characters."""
    blocks = list(_blocks(_strip_comments(text[:_MAX_PAGE])))
    headings = [block for tag, block in blocks if tag in _HEADING_TAGS]
    remaining = _MAX_PAGE_TEXT
    for block in dict.fromkeys([*headings, *(block for _, block in blocks)]):
        if remaining <= 0:
            return
        yield block if len(block) <= remaining else block[:remaining] + "…"
        remaining -= len(block)


def _strip_comments(text: str) -> str:
    return "".join(part.partition("-->")[2] if number else part for number, part in enumerate(text.split("<!--")))


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield blocks of text with their tags, without scripts and styles."""
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
    if text := " ".join(html.unescape("".join(parts)).split()):
        yield tag, text


#: How servers report a prompt that is too long. Errors of rate limits (tokens per minute) have other messages.
_TOO_LONG = lazy_pattern(
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
    """Whether an error message reports that the prompt exceeds the model's context; each server has its own message.

    >>> describes_context_overflow("This model's maximum context length is 4096 tokens. However, you requested 5000")
    True
    >>> describes_context_overflow("prompt is too long: 210000 tokens > 200000 maximum")
    True
    """
    return find_context_overflow(message) >= 0


def find_context_overflow(message: str) -> int:
    """Return where an error message reports that the prompt exceeds the model's context; -1 if it does not.

    >>> find_context_overflow("400: prompt is too long")
    5
    """
    match = _TOO_LONG.search(message)
    return match.start() if match else -1
