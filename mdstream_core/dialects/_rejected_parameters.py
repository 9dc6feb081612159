"""Find the parameter that an error response rejects, and whether it rejects the parameter or only its value.

OpenAI and OCI name the parameter in `param`; vLLM, SGLang and FastAPI in `loc` of `extra_forbidden`; serde (TGI, TEI),
Go (Ollama), Azure and LiteLLM in the message. A name in a message is used only if the sentence rejects it: it may also
be an alternative to another parameter, a part of a tool's schema, a role, or a quotation from the request.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core import _json
from mdstream_core._lazy import lazy_pattern
from mdstream_core.errors import (
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServiceError,
    StreamFailure,
    parse_error_object,
)

#: How much of a message is searched, in characters.
_MAX_LENGTH = 4000

#: The most levels of nested errors.
_MAX_DEPTH = 8

_REJECTED = lazy_pattern(
    r"unsupported|not (yet |currently )?(supported|permitted|allowed|implemented|accepted|available|recogni[sz]ed)"
    r"|(does|do|did)(n't| not) (yet |currently )?(support|allow|accept|recogni[sz]e)|unknown|unrecogni[sz]ed"
    r"|unexpected|extra_forbidden|extra (inputs|fields)|invalid (field|parameter|argument)"
    r"|only (allowed|supported|valid) (when|if|with)",
    re.IGNORECASE,
)

#: Phrases that are followed by a list of what the server accepts.
_SUPPORTED_VALUES = lazy_pattern(
    r"expected one of|\b(supported|allowed|valid|known|permitted) (parameters|fields|arguments|names|values)"
    r"|did you mean|\buse ['\"`]|must be one of",
    re.IGNORECASE,
)

_LOCATION = lazy_pattern(r"\bloc\W{1,8}body\W{1,8}(?:parameters\W{1,8})?(\w+)")

# Parts of sentences that reject a parameter.
_NOUN = r"(?:parameter|param|argument|arg|field|propert(?:y|ie)|option|key|input|setting|name)s?(?:\(s\))?"
_PATH = r"[A-Za-z_]\w*(?:\.\w+|\[\w+\])*"
_NAME = rf"(?P<q>['\"`]?)(?P<name>{_PATH})(?P=q)(?:\s?=\s?-?[\w.]+)?"
_FURTHER = rf"(?:(?:,\s?(?:and\s|or\s)?|\s(?:and|or)\s)['\"`]?{_PATH}['\"`]?){{0,8}}"
_SENTENCE_START = (
    rf"(?:^|[.;,:]\s+|[(>\n]\s*|\s-\s|message['\"]\s?:\s?['\"]|\b(?:the|using|setting|specifying|passing|sending|use of"
    rf"|that|because|but|as|{_NOUN})\s+)"
)
_NOT = r"not (?:yet |currently )?(?:supported|permitted|allowed|implemented|accepted|available|recogni[sz]ed)"
_BAD = r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected)"

# Unsupported parameter: 'top_p' …; unknown field `seed`; Unrecognized request argument supplied: n
_UNKNOWN = (
    rf"\b(?:{_BAD}|invalid|extra|disallowed)(?:\s(?:request|body|keyword|json|api|openai|model|sampling|input))*"
    rf"\s(?:{_NOUN}|values?)(?:\s(?:supplied|provided|passed))?[^\w'\"`.]{{1,4}}{_NAME}"
)

# logprobs is not supported; stream_options: extra fields not permitted; ('seed' was unexpected)
_SUBJECT = (
    rf"{_SENTENCE_START}{_NAME}{_FURTHER}(?:\s{_NOUN})?"
    rf"(?:(?:\s(?:is|are|was|were))?\s(?:currently\s)?(?:{_NOT}|{_BAD}\b|not an?\s(?:supported|valid|known)\s{_NOUN}"
    r"|only (?:allowed|supported|valid) (?:when|if|with))|\s(?:isn't|aren't) (?:supported|allowed|permitted)"
    rf"|(?::|\s->)?\s+(?:extra (?:inputs|fields)|{_NOT}|{_BAD} {_NOUN}))"
)

# does not support temperature=0.1; don't accept the parameters: ['seed']; is not supported MaxTokens
_OBJECT = (
    r"\b(?:(?:does|do|did)(?:n't|\snot)\s(?:yet\s|currently\s)?(?:support|allow|accept|recogni[sz]e)"
    r"|model is not supported)(?:\s(?:the|a|any|custom|following|openai|request|setting|using|use of))*"
    rf"(?:\s{_NOUN}(?=\W{{1,5}}[A-Za-z]))?[:\s(\[]{{1,4}}{_NAME}"
)

# Extra inputs are not permitted, field: 'user'
_APPENDED = rf"\b{_NOT},\s{_NOUN}[^\w'\"`.]{{1,3}}{_NAME}"

# Argument not supported on this model: seed
_LISTED = (
    rf"\b{_NOUN}\s(?:is\s|are\s)?{_NOT}(?:\s(?:on|with|for|by)\s(?:this|the)\smodel)?"
    rf"\s?:[^\w'\"`.]{{1,3}}{_NAME}"
)

#: Each of these sentences rejects the parameter of group `name`.
_SENTENCES = tuple(
    lazy_pattern(pattern, re.IGNORECASE) for pattern in (_UNKNOWN, _SUBJECT, _OBJECT, _APPENDED, _LISTED)
)

#: Clauses in which names are tool arguments, schema fields or roles.
_UNRELATED_BEFORE = lazy_pattern(
    r"(?<!\w)(?:tool|function|schema|role|template|grammar)s?(?!\w)[^.;\n]*$", re.IGNORECASE
)
_UNRELATED_AFTER = lazy_pattern(
    r"['\"`]?\s(?:in|of|inside|for)\s(?:the\s|this\s)?(?:tool|function|schema)\b(?!.?call)", re.IGNORECASE
)

#: Names that are also English words: they are used only if a message quotes them or calls them a parameter.
_AMBIGUOUS_NAMES = frozenset({"user", "seed", "store", "metadata", "n"})
_PARAMETER_CONTEXT = lazy_pattern(
    r"(['\"`]|body\W{1,4}|(parameter|argument|field|supplied|option|property)(s|\(s\))?\W{1,3})$", re.IGNORECASE
)

#: The parameter is rejected, whatever its value is.
_PARAMETER_ERROR = lazy_pattern(
    rf"(unsupported|unknown)_parameter|extra_forbidden|extra (inputs|fields)|{_BAD} (request |keyword )*{_NOUN}\b",
    re.IGNORECASE,
)
#: Only the value of the parameter is rejected.
_VALUE_ERROR = lazy_pattern(
    r"(unsupported|invalid)[_ ]value|\bbetween\b|\b(great|larg|small|high|low)er than\b|\bless than\b|values? from\b"
    r"|\bmust be (?!(used|made|removed|omitted|replaced|left|unset|dropped|passed|empty|null)\b)|\bat (most|least)\b"
    r"|exceed|\brange\b|too (large|big|small|high|low)\b|\b(max|min)imum (is|of|allowed|value)\b"
    r"|\b(this|that|such|of) values?\b|\bvalues? (for|of|is|are|in|other|must)\b",
    re.IGNORECASE,
)

#: Only the default (1) value is supported; only temperature=1 is supported.
_DEFAULT = lazy_pattern(
    r"\bonly (?:the )?(?:default )?(?:value )?(?:\w+\s?=\s?)?\(?(?P<value>-?\d+(?:\.\d+)?|true|false|null|auto|none)\)?"
    r"(?: value)? is (?:supported|allowed|accepted)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RejectedParameter:
    """A parameter that an error response rejects.

    Attributes:
        name: The name of the parameter in the error.
        is_value_error: Whether only its value is rejected; `False` by default.
        default: The value that the server accepts, in a tuple; empty (the default) if the error names none.
    """

    name: str
    is_value_error: bool = False
    default: tuple[Any, ...] = ()


def find_rejected_parameter(
    error: MDStreamError, payload: Mapping[str, Any], is_known: Callable[[str], bool]
) -> RejectedParameter | None:
    """Return the rejected parameter of an error response; `None` if it names none.

    Args:
        error: The error response.
        payload: The payload of the request; quotations of its texts in the error are ignored.
        is_known: Whether a name is a parameter of the request; the first such name is returned.
    """
    raw = error.raw or ""
    message, param = _server_message(error, raw)
    message = _strip_quotations(message, payload)[:_MAX_LENGTH]
    if not _REJECTED.search(message) and "extra_forbidden" not in raw:
        return None
    if param:
        names: Iterator[str] = iter((_first_component(param),))
    elif located := _LOCATION.search(raw):
        names = iter((located[1],))
    else:
        names = _rejected_names(_SUPPORTED_VALUES.split(message)[0])
    name = next((name for name in names if is_known(name)), None)
    return None if name is None else _build(name, message, raw)


def is_rejected_request(error: MDStreamError) -> bool:
    """Return whether an error response rejects the form of a request, and not its content.

    DJL's containers and errors inside of a stream use other classes than `InvalidRequest`.
    """
    if isinstance(error, ContextOverflow | ContentFiltered):
        return False
    if isinstance(error, InvalidRequest):
        return True
    return isinstance(error, ServiceError | StreamFailure) and error.status in {400, 422, 424}


def _build(name: str, message: str, raw: str) -> RejectedParameter:
    if match := _DEFAULT.search(message):
        return RejectedParameter(name, is_value_error=True, default=(_value(match["value"]),))
    if re.search(rf"\b{name}\s?=\s?-?[\d.]", message):
        return RejectedParameter(name, is_value_error=True)
    is_parameter_error = _PARAMETER_ERROR.search(message) or "extra_forbidden" in raw
    return RejectedParameter(name, is_value_error=not is_parameter_error and _VALUE_ERROR.search(message) is not None)


def _value(text: str) -> Any:
    try:
        return _json.loads(text.lower())
    except ValueError:
        return text


def _rejected_names(message: str) -> Iterator[str]:
    """Yield the names that the sentences of a message reject.

    >>> list(_rejected_names("Unsupported parameter: 'stop'; only temperature and top_p are supported"))
    ['stop']
    >>> list(_rejected_names("tools.0.function.parameters.properties.temperature is not supported"))
    ['tools']
    """
    matches = [match for sentence in _SENTENCES for match in sentence.finditer(message)]
    for match in sorted(matches, key=lambda match: match.start("name")):
        before, after = message[: match.start("name")], message[match.end("name") :]
        name = _first_component(match["name"])
        is_unrelated = _UNRELATED_BEFORE.search(before) or _UNRELATED_AFTER.match(after)
        if not is_unrelated and (name not in _AMBIGUOUS_NAMES or _PARAMETER_CONTEXT.search(before)):
            yield name


#: Prefixes of the path of a parameter.
_ROOTS = frozenset({"body", "request", "chatrequest", "parameters"})


def _first_component(path: str) -> str:
    """Return the first component of a path, which is the parameter.

    >>> _first_component("body.stream_options.include_usage"), _first_component("tools[0].function.parameters")
    ('stream_options', 'tools')
    """
    parts = re.split(r"[.\[/]", path)
    return next((part for part in parts if part.lower() not in _ROOTS), "")


def _strip_quotations(message: str, payload: Mapping[str, Any]) -> str:
    """Remove texts of the request from a message. Single words stay: they may be the name of a parameter."""
    texts = {text for text in _texts(payload, 0) if len(text) <= len(message) and len(text.split()) > 1}
    for text in sorted(texts, key=len, reverse=True):
        message = message.replace(text, "…")
    return message


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Yield all strings in a payload, without the names of fields."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping | list) and depth < _MAX_DEPTH:
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner, depth + 1)


def _server_message(error: MDStreamError, raw: str) -> tuple[str, str]:
    """Return the message of the server, without mdstream's additions, and the `param` of the error."""
    document = _document(raw)
    if document is None or (error_body := parse_error_object(document)) is None:
        return f"{error.code or ''}\n{error}\n{raw}", ""
    return f"{error_body.code or ''} {error.code or ''}\n{error_body.message}", _param(document)


def _param(document: Mapping[str, Any], depth: int = 0) -> str:
    """Return `param` of the innermost error: the message of an error may be the JSON of another one."""
    names = {str(name).lower(): value for name, value in document.items()}
    for name in ("error", "message", "originalmessage", "error_msg", "detail"):
        value = names.get(name)
        inner = _document(value) if isinstance(value, str) else value
        if isinstance(inner, dict) and depth < _MAX_DEPTH and (param := _param(inner, depth + 1)):
            return param
    own = names.get("param")
    return own if isinstance(own, str) else ""


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = _json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
