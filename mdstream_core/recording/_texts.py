"""Replace the texts of a body by placeholders of the same length in bytes: letters by `x`, digits by `1`.

Everything is hidden unless a table says that it is structural, so that an unknown field cannot show a prompt. Invalid
JSON has no structure that could be trusted, so it is hidden completely. Literals and punctuation stay, so that a body
remains valid where it was, and invalid where it was not.
"""

import json
import re
from collections.abc import Iterator
from string import ascii_letters, digits

from mdstream_core._error_bodies import find_context_overflow

#: Keys whose values stay if they look like an identifier.
_STRUCTURAL_KEYS = frozenset(
    "type object role finish_reason finishReason stop_reason stopReason native_finish_reason model modelId model_id id "
    "code status apiFormat api_format servingType event_type eventType error_type errorType ErrorCode HttpCode "
    "ErrorReason errorCode httpCode errorReason error_code http_code error_reason OriginalStatusCode service_tier "
    "system_fingerprint tool_choice toolChoice tool_call_id toolCallId __type".split()
)

#: Keys of objects in which `name` is the name of a function.
_FUNCTION_KEYS = frozenset({"function", "tool_calls", "toolCalls", "tools", "function_call"})

#: Keys of values that the user or the model wrote: nothing in them is structural, not even the keys.
_OPAQUE_KEYS = frozenset(
    "arguments parameters parameterDefinitions parameter_definitions input properties schema outputs metadata".split()
)

#: Keys of texts that are JSON, possibly in pieces: their literals stay valid.
_JSON_TEXT_KEYS = frozenset({"arguments", "partial_json"})

#: Keys of messages of a service. That a prompt is too long may be said in a message only.
_MESSAGE_KEYS = frozenset("message Message error detail msg OriginalMessage".split())

#: Replaces the beginning of what says so, whatever the words were; no phrase is shorter.
_OVERFLOW = "context limit"

#: SageMaker has no other sign of an endpoint that does not exist.
_NOT_FOUND = re.compile("not found", re.IGNORECASE)

#: Keys of numbers that identify a token of the vocabulary.
_TOKEN_KEYS = frozenset({"id", "token", "token_id", "tokenId"})

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:/@#+-]{1,128}")
_KEY = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$:/-]{0,63}")

_CODE = re.compile(r"(\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b|\b[45]\d\d\b)")

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}\[\]:,]|[^"{}\[\]:,\d-]+|-', re.DOTALL)
_UNIT = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\x00-\x7f]|[A-Za-z]|\d", re.DOTALL)
_JSON_UNIT = re.compile(
    r"\b(?:true|false|null)\b|\d[eE](?=[+-]?\d)|\\+u[0-9a-fA-F]{4}|\\+.|[^\x00-\x7f]|[A-Za-z]|\d", re.DOTALL
)
_UNICODE_ESCAPE = re.compile(r"\\+u[0-9a-fA-F]{4}")
_SURROGATE = re.compile("(?:(?P<high>d[89ab])|d[c-f])..", re.IGNORECASE)
_ESCAPED = '"\\/bfnrtu'
_LITERALS = frozenset({"true", "false", "null"})
_PLACEHOLDERS = dict.fromkeys(map(ord, ascii_letters), "x") | dict.fromkeys(map(ord, digits), "1")

#: Start of a line of server-sent events; llama.cpp's servers have sent errors in a field `error`.
SSE_FIELD = "(?:data|event|id|retry|error)?:"

_SSE_LINE = re.compile(rf"{SSE_FIELD}[ ]?")
_SSE_BODY = re.compile(rf"(?:\A|[\r\n])\ufeff?{SSE_FIELD}")
_BOM = "\ufeff"


def hide_texts(data: bytes) -> bytes:
    r"""Replace the texts of a body: server-sent events, JSON, JSON lines, or anything else.

    >>> hide_texts(b'data: {"id":"c1","choices":[{"delta":{"content":"Hi Bob 7"}}]}\n\n')
    b'data: {"id":"c1","choices":[{"delta":{"content":"xx xxx 1"}}]}\n\n'
    """
    text = data.decode("utf-8", "surrogateescape")
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    if _SSE_BODY.search(text):
        hidden = "".join(_hide_events(text))
    elif _is_json(text):
        hidden = _hide_json(text)
    else:
        hidden = "".join(_hide_value(line) for line in re.split(r"([\r\n]+)", text))
    return (bom + hidden).encode("utf-8", "surrogateescape")


def hide_words(text: str) -> str:
    """Replace all letters and digits of a text.

    >>> hide_words("No capacity for Bob: 7 requests")
    'xx xxxxxxxx xxx xxx: 1 xxxxxxxx'
    """
    return _hide_message_text(text)


def hide_message(text: str) -> str:
    """Replace the texts of a short message, such as a trailer's value; codes and HTTP statuses stay.

    >>> hide_message("stream failed: ModelResponseTimeExceeded (408) for Bob")
    'xxxxxx xxxxxx: ModelResponseTimeExceeded (408) xxx xxx'
    """
    if _IDENTIFIER.fullmatch(text):
        return text
    if _is_json(text):
        return _hide_json(text)
    parts = _CODE.split(text)
    return "".join(part if at % 2 else hide_words(part) for at, part in enumerate(parts))


def _hide_events(text: str) -> Iterator[str]:
    """Replace the texts of server-sent events: an event's data lines are one document."""
    lines = re.split(r"(\r\n|\n|\r)", text)
    event: list[str] = []
    for content, ending in zip(lines[::2], [*lines[1::2], ""], strict=True):
        event += [content, ending]
        if not content:
            yield from _hide_event(event)
            event = []
    yield from _hide_event(event)


def _hide_event(parts: list[str]) -> Iterator[str]:
    """Replace the texts of one event, given as lines and their endings."""
    prefixes = [match[0] if (match := _SSE_LINE.match(line)) else "" for line in parts[::2]]
    values = [line[len(prefix) :] for line, prefix in zip(parts[::2], prefixes, strict=True)]
    is_data = [prefix.startswith(("data", "error")) for prefix in prefixes]
    data = "\n".join(value for value, is_one in zip(values, is_data, strict=True) if is_one)
    hidden = iter(_hide_value(data).split("\n"))
    for prefix, value, is_one, ending in zip(prefixes, values, is_data, parts[1::2], strict=True):
        if is_one:
            yield f"{prefix}{next(hidden)}{ending}"
        elif not prefix:  # no event: a line of JSON among events, or the response of a proxy
            yield f"{_hide_value(value)}{ending}"
        else:
            yield f"{prefix}{value if _is_event_field(prefix, value) else hide_words(value)}{ending}"


def _is_event_field(prefix: str, value: str) -> bool:
    return prefix.startswith(("event", "id", "retry")) and bool(_IDENTIFIER.fullmatch(value))


def _hide_value(text: str) -> str:
    if text.strip() == "[DONE]":
        return text
    return _hide_json(text) if _is_json(text) else _JSON_UNIT.sub(_placeholder, text)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _hide_json(text: str) -> str:
    """Replace the texts of valid JSON."""
    hidden: list[str] = []
    path: list[str] = []  # the key of each open container
    key, previous = "", ""
    tokens = _TOKEN.findall(text)
    for at, token in enumerate(tokens):
        if token[0] == '"':
            if previous in {"{", ","} and _is_followed_by_colon(tokens, at):
                key = token[1:-1]
                hidden.append(token if _KEY.fullmatch(key) and not _is_opaque(path) else _hide_string(token, ""))
            else:
                hidden.append(_hide_string(token, key, path))
        elif token[0] == "-" or token[0].isdigit():
            is_hidden = previous != ":" or key in _TOKEN_KEYS or _is_opaque(path)
            hidden.append(_JSON_UNIT.sub(_placeholder, token) if is_hidden else token)
        else:
            hidden.append(token)
        if token in {"{", "["}:
            path.append(key)
        elif token in {"}", "]"}:
            key = path.pop()
        if not token.isspace():
            previous = token
    return "".join(hidden)


def _is_followed_by_colon(tokens: list[str], at: int) -> bool:
    following = next((token for token in tokens[at + 1 : at + 3] if not token.isspace()), "")
    return following == ":"


def _is_opaque(path: list[str]) -> bool:
    return not _OPAQUE_KEYS.isdisjoint(path)


def _hide_string(token: str, key: str, path: list[str] | None = None) -> str:
    path = path or []
    value = token[1:-1]
    is_name = key == "name" and not _FUNCTION_KEYS.isdisjoint(path)
    if (is_name or key in _STRUCTURAL_KEYS) and _IDENTIFIER.fullmatch(value) and not _is_opaque(path):
        return token
    if key in _MESSAGE_KEYS:
        return f'"{_hide_message_text(value)}"'
    if value.isascii() and "\\" not in value and key not in _JSON_TEXT_KEYS:  # faster than the pattern
        return f'"{value.translate(_PLACEHOLDERS)}"'
    unit = _JSON_UNIT if key in _JSON_TEXT_KEYS else _UNIT
    return f'"{unit.sub(_placeholder, value)}"'


def _hide_message_text(text: str) -> str:
    """Replace the text of a message; a failure that only its words describe stays recognizable."""
    start, words = find_context_overflow(text), _OVERFLOW
    if start < 0 and (match := _NOT_FOUND.search(text)):
        start, words = match.start(), match[0]
    end = start + len(words)
    if start < 0 or "\\" in text[max(start - 1, 0) : end] or not text[start:end].isascii():  # no escape may be split
        return _UNIT.sub(_placeholder, text)
    return _UNIT.sub(_placeholder, text[:start]) + words + _UNIT.sub(_placeholder, text[end:])


def _placeholder(match: re.Match[str]) -> str:
    """Return the placeholder of one character, escape or literal, of the same length in bytes."""
    unit = match[0]
    if unit in _LITERALS:
        return unit
    if unit[0] != "\\":
        return _hide_character(unit[0]) + unit[1:]
    if _UNICODE_ESCAPE.fullmatch(unit):
        surrogate = _SURROGATE.fullmatch(unit, len(unit) - 4)
        return unit[:-4] + ("0078" if surrogate is None else "d800" if surrogate["high"] else "dc00")
    return unit if unit[-1] in _ESCAPED else unit[:-1] + _hide_character(unit[-1])


def _hide_character(character: str) -> str:
    if character.isdigit() and character.isascii():
        return "1"
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return "\udcff"
    return "x" * len(character.encode("utf-8", "surrogatepass"))
