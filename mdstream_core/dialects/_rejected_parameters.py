"""What a refusal says: which parameter it refuses, and whether it refuses the parameter or only its value.

How servers name it: OpenAI and OCI by `param`; vLLM, SGLang and FastAPI by `loc` of `extra_forbidden`;
serde (TGI, TEI), Go (Ollama), Azure and LiteLLM in their message. A name in a message counts only where the sentence
refuses it: it may also stand there as another parameter's alternative, as a part of a tool's schema, as a role, or in
a quotation of the request.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core import _json
from mdstream_core.errors import MDStreamError, parse_error_object

#: How much of a message is searched, in characters.
_MAX_LENGTH = 4000

#: How deeply errors are unwrapped.
_DEPTH = 8

_REJECTED = re.compile(
    r"unsupported|not (yet |currently )?(supported|permitted|allowed|implemented|accepted|available|recogni[sz]ed)"
    r"|(does|do|did)(n't| not) (yet |currently )?(support|allow|accept|recogni[sz]e)|unknown|unrecogni[sz]ed"
    r"|unexpected|extra_forbidden|extra (inputs|fields)|invalid (field|parameter|argument)"
    r"|only (allowed|supported|valid) (when|if|with)",
    re.IGNORECASE,
)

#: What stands behind this in a message is the list of what the server does take.
_SUPPORTED_VALUES = re.compile(
    r"expected one of|\b(supported|allowed|valid|known|permitted) (parameters|fields|arguments|names|values)"
    r"|did you mean|\buse ['\"`]|must be one of",
    re.IGNORECASE,
)

_LOCATION = re.compile(r"\bloc\W{1,8}body\W{1,8}(?:parameters\W{1,8})?(\w+)")

# The parts of the sentences in which a parameter is refused.
_KIND = r"(?:parameter|param|argument|arg|field|propert(?:y|ie)|option|key|input|setting|name)s?(?:\(s\))?"
_PATH = r"[A-Za-z_]\w*(?:\.\w+|\[\w+\])*"
_NAME = rf"(?P<q>['\"`]?)(?P<name>{_PATH})(?P=q)(?:\s?=\s?-?[\w.]+)?"
_FURTHER = rf"(?:(?:,\s?(?:and\s|or\s)?|\s(?:and|or)\s)['\"`]?{_PATH}['\"`]?){{0,8}}"
_BEGIN = (
    rf"(?:^|[.;,:]\s+|[(>\n]\s*|\s-\s|message['\"]\s?:\s?['\"]|\b(?:the|using|setting|specifying|passing|sending|use of"
    rf"|that|because|but|as|{_KIND})\s+)"
)
_NOT = r"not (?:yet |currently )?(?:supported|permitted|allowed|implemented|accepted|available|recogni[sz]ed)"
_BAD = r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected)"

# Unsupported parameter: 'top_p' …; unknown field `seed`; Unrecognized request argument supplied: n
_UNKNOWN = (
    rf"\b(?:{_BAD}|invalid|extra|disallowed)(?:\s(?:request|body|keyword|json|api|openai|model|sampling|input))*"
    rf"\s(?:{_KIND}|values?)(?:\s(?:supplied|provided|passed))?[^\w'\"`.]{{1,4}}{_NAME}"
)

# logprobs is not supported; stream_options: extra fields not permitted; ('seed' was unexpected)
_SUBJECT = (
    rf"{_BEGIN}{_NAME}{_FURTHER}(?:\s{_KIND})?"
    rf"(?:(?:\s(?:is|are|was|were))?\s(?:currently\s)?(?:{_NOT}|{_BAD}\b|not an?\s(?:supported|valid|known)\s{_KIND}"
    r"|only (?:allowed|supported|valid) (?:when|if|with))|\s(?:isn't|aren't) (?:supported|allowed|permitted)"
    rf"|(?::|\s->)?\s+(?:extra (?:inputs|fields)|{_NOT}|{_BAD} {_KIND}))"
)

# does not support temperature=0.1; don't accept the parameters: ['seed']; is not supported MaxTokens
_OBJECT = (
    r"\b(?:(?:does|do|did)(?:n't|\snot)\s(?:yet\s|currently\s)?(?:support|allow|accept|recogni[sz]e)"
    r"|model is not supported)(?:\s(?:the|a|any|custom|following|openai|request|setting|using|use of))*"
    rf"(?:\s{_KIND}(?=\W{{1,5}}[A-Za-z]))?[:\s(\[]{{1,4}}{_NAME}"
)

# Extra inputs are not permitted, field: 'user'
_APPENDED = rf"\b{_NOT},\s{_KIND}[^\w'\"`.]{{1,3}}{_NAME}"

# Argument not supported on this model: seed
_LISTED = (
    rf"\b{_KIND}\s(?:is\s|are\s)?{_NOT}(?:\s(?:on|with|for|by)\s(?:this|the)\smodel)?"
    rf"\s?:[^\w'\"`.]{{1,3}}{_NAME}"
)

#: A sentence of each of these refuses what stands at `name`.
_SENTENCES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (_UNKNOWN, _SUBJECT, _OBJECT, _APPENDED, _LISTED))

#: Words in whose clause the names are those of a tool's arguments, of a schema or of roles.
_OTHER_BEFORE = re.compile(r"(?<!\w)(?:tool|function|schema|role|template|grammar)s?(?!\w)[^.;\n]*$", re.IGNORECASE)
_OTHER_BEHIND = re.compile(
    r"['\"`]?\s(?:in|of|inside|for)\s(?:the\s|this\s)?(?:tool|function|schema)\b(?!.?call)", re.IGNORECASE
)

#: Names that are English words too: they count where a message quotes them or calls them a parameter.
_AMBIGUOUS_NAMES = frozenset({"user", "seed", "store", "metadata", "n"})
_PARAMETER_CONTEXT = re.compile(
    r"(['\"`]|body\W{1,4}|(parameter|argument|field|supplied|option|property)(s|\(s\))?\W{1,3})$", re.IGNORECASE
)

#: The request is refused for a parameter, whatever its value is.
_OF_PARAMETER = re.compile(
    rf"(unsupported|unknown)_parameter|extra_forbidden|extra (inputs|fields)|{_BAD} (request |keyword )*{_KIND}\b",
    re.IGNORECASE,
)
_OF_VALUE = re.compile(
    r"(unsupported|invalid)[_ ]value|\bbetween\b|\b(great|larg|small|high|low)er than\b|\bless than\b|values? from\b"
    r"|\bmust be (?!(used|made|removed|omitted|replaced|left|unset|dropped|passed|empty|null)\b)|\bat (most|least)\b"
    r"|exceed|\brange\b|too (large|big|small|high|low)\b|\b(max|min)imum (is|of|allowed|value)\b"
    r"|\b(this|that|such|of) values?\b|\bvalues? (for|of|is|are|in|other|must)\b",
    re.IGNORECASE,
)

#: Only the default (1) value is supported; only temperature=1 is supported.
_DEFAULT = re.compile(
    r"\bonly (?:the )?(?:default )?(?:value )?(?:\w+\s?=\s?)?\(?(?P<value>-?\d+(?:\.\d+)?|true|false|null|auto|none)\)?"
    r"(?: value)? is (?:supported|allowed|accepted)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RejectedParameter:
    """What a refusal refuses.

    Attributes:
        name: The parameter, as the server calls it.
        is_value_error: Whether it is refused for its value.
        default: The value that is taken nevertheless, in a tuple; empty where none is named.
    """

    name: str
    is_value_error: bool = False
    default: tuple[Any, ...] = ()


def find_rejected_parameter(
    error: MDStreamError, payload: Mapping[str, Any], is_known: Callable[[str], bool]
) -> RejectedParameter | None:
    """The parameter that an error rejects: the first that `is_known`. Texts of `payload` in it do not count."""
    raw = error.raw or ""
    message, param = _server_message(error, raw)
    message = _strip_quotations(message, payload)[:_MAX_LENGTH]
    if not _REJECTED.search(message) and "extra_forbidden" not in raw:
        return None
    if param:
        named: Iterator[str] = iter((_first_component(param),))
    elif located := _LOCATION.search(raw):
        named = iter((located[1],))
    else:
        named = _rejected_names(_SUPPORTED_VALUES.split(message)[0])
    name = next((name for name in named if is_known(name)), None)
    return None if name is None else _build(name, message, raw)


def _build(name: str, message: str, raw: str) -> RejectedParameter:
    if found := _DEFAULT.search(message):
        return RejectedParameter(name, is_value_error=True, default=(_value(found["value"]),))
    if re.search(rf"\b{name}\s?=\s?-?[\d.]", message):
        return RejectedParameter(name, is_value_error=True)
    of_parameter = _OF_PARAMETER.search(message) or "extra_forbidden" in raw
    return RejectedParameter(name, is_value_error=not of_parameter and _OF_VALUE.search(message) is not None)


def _value(text: str) -> Any:
    try:
        return _json.loads(text.lower())
    except ValueError:
        return text


def _rejected_names(message: str) -> Iterator[str]:
    """The names that the sentences of a message refuse.

    >>> list(_rejected_names("Unsupported parameter: 'stop'; only temperature and top_p are supported"))
    ['stop']
    >>> list(_rejected_names("tools.0.function.parameters.properties.temperature is not supported"))
    ['tools']
    """
    found = [match for sentence in _SENTENCES for match in sentence.finditer(message)]
    for match in sorted(found, key=lambda match: match.start("name")):
        before, behind = message[: match.start("name")], message[match.end("name") :]
        name = _first_component(match["name"])
        other = _OTHER_BEFORE.search(before) or _OTHER_BEHIND.match(behind)
        if not other and (name not in _AMBIGUOUS_NAMES or _PARAMETER_CONTEXT.search(before)):
            yield name


#: What a path of a parameter may begin with.
_ROOTS = frozenset({"body", "request", "chatrequest", "parameters"})


def _first_component(path: str) -> str:
    """The parameter in which a path begins.

    >>> _first_component("body.stream_options.include_usage"),
    _first_component("tools[0].function.parameters.properties.temperature")
    ('stream_options', 'tools')
    """
    parts = re.split(r"[.\[/]", path)
    return next((part for part in parts if part.lower() not in _ROOTS), "")


def _strip_quotations(message: str, body: Mapping[str, Any]) -> str:
    """What a server says, without the texts of the request in it; a single word may be a parameter's name."""
    texts = {text for text in _texts(body, 0) if len(text) <= len(message) and len(text.split()) > 1}
    for text in sorted(texts, key=len, reverse=True):
        message = message.replace(text, "…")
    return message


def _texts(value: Any, depth: int) -> Iterator[str]:
    """All texts in a body, but for names of fields."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping | list) and depth < _DEPTH:
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner, depth + 1)


def _server_message(error: MDStreamError, raw: str) -> tuple[str, str]:
    """What a server said, without what we add to it, and the parameter that it names beside its words."""
    document = _document(raw)
    if document is None or (words := parse_error_object(document)) is None:
        return f"{error.code or ''}\n{error}\n{raw}", ""
    return f"{words.code or ''} {error.code or ''}\n{words.message}", _param(document)


def _param(document: Mapping[str, Any], depth: int = 0) -> str:
    """`param` of the innermost error of a body, whose message may be another error's JSON."""
    names = {str(name).lower(): value for name, value in document.items()}
    for name in ("error", "message", "originalmessage", "error_msg", "detail"):
        value = names.get(name)
        inner = _document(value) if isinstance(value, str) else value
        if isinstance(inner, dict) and depth < _DEPTH and (param := _param(inner, depth + 1)):
            return param
    own = names.get("param")
    return own if isinstance(own, str) else ""


def _document(text: str) -> dict[str, Any] | None:
    try:
        found = _json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
