"""Request parameters that a server may refuse: which of them can be left out, and which have another name.

A parameter is left out only where the answer is then drawn or reported in another way, and is not another one: never
messages, tools, a forced tool choice, a schema, stop sequences or a limit of tokens (which has a second name instead).

How servers name what they refuse: OpenAI and OCI by `param`; vLLM, SGLang and FastAPI by `loc` of `extra_forbidden`;
serde (TGI, TEI), Go (Ollama), Azure and LiteLLM in their message.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core import _json
from mdstream_core.errors import (
    ContentRefused,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServiceError,
    StreamFailure,
    words_of,
)


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """The parameters of one request format.

    Attributes:
        optional: What may be left out: its name for users (OpenAI's), and its name in the body.
        renamed: What has another name in the body of other models or servers.
        only: The values of a parameter without which the answer is the same; with any other it stays.
        needed_by: What goes with a parameter that is left out, because it means nothing without it.
    """

    optional: Mapping[str, str]
    renamed: Mapping[str, str]
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    needed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_OPENAI_NAMES = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty"),
    *("logprobs", "top_logprobs", "parallel_tool_calls", "stream_options", "tool_choice", "n", "best_of"),
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
)

OPENAI = ParameterTable(
    optional={name: name for name in _OPENAI_NAMES},
    renamed={"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"},
    only={"tool_choice": ("auto",), "n": (1,), "best_of": (1,)},
    needed_by={"logprobs": ("top_logprobs",)},
)

#: `parameters` of TGI and LMI.
HUGGING_FACE = ParameterTable(
    optional={name: name for name in (*_OPENAI_NAMES[:9], "top_n_tokens", "watermark")}, renamed={}
)

OCI = ParameterTable(
    optional={
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "frequency_penalty": "frequencyPenalty",
        "presence_penalty": "presencePenalty",
        "seed": "seed",
        "logprobs": "logProbs",
        "top_logprobs": "logProbs",
        "parallel_tool_calls": "isParallelToolCalls",
        "stream_options": "streamOptions",
        "tool_choice": "toolChoice",
    },
    renamed={"maxTokens": "maxCompletionTokens"},
    only={"toolChoice": ({"type": "AUTO"},)},
)

#: Parameters of which only the value that was refused is left out again.
BOUND_TO_VALUE = frozenset(name for table in (OPENAI, OCI) for name in table.only)

_REFUSED = re.compile(
    r"unsupported|not (yet )?(supported|permitted|allowed|implemented|accepted|available|recogni[sz]ed)"
    r"|(does|do|did)(n't| not|es not)? (support|allow|accept)|unknown|unrecogni[sz]ed|unexpected|extra_forbidden"
    r"|extra (inputs|fields)|invalid (field|parameter|argument)|only (allowed|supported|valid) (when|if|with)",
    re.IGNORECASE,
)

#: What stands behind this in a message is the list of what the server does take.
_TAKEN = re.compile(
    r"expected one of|(supported|allowed|valid|known|permitted) (parameters|fields|arguments|names|values)"
    r"|did you mean|\buse ['\"`]|must be one of",
    re.IGNORECASE,
)

#: Names that are English words too: they count where a message quotes them or calls them a parameter.
_WORDS = frozenset({"user", "seed", "store", "metadata", "n"})

_LOCATION = re.compile(r"\bloc\W{1,8}body\W{1,8}(\w+)")


def relaxed(body: Mapping[str, Any], error: MDStreamError, table: ParameterTable) -> dict[str, Any] | None:
    """The body without the one parameter that `error` says is refused, or with its other name. Warns.

    Returns:
        `None` where no parameter is named, or one that the answer cannot do without.
    """
    if not _is_refusal(error):
        return None
    name = _refused_parameter(error, body, table)
    if name is None:
        return None
    new = table.renamed.get(name)
    if new is None and (name not in table.optional.values() or body[name] not in table.only.get(name, (body[name],))):
        return None
    then = f"it is asked again with {new}" if new else "it is asked again without it"
    warnings.warn(f"the model refuses {name}={body[name]!r:.200} ({error}): {then}", RuntimeWarning, stacklevel=3)
    return renamed(body, name, new) if new else without(body, (name, *table.needed_by.get(name, ())))


def relaxed_inside(body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """The same for the `parameters` of TGI and LMI."""
    simpler = relaxed(body.get("parameters") or {}, error, HUGGING_FACE)
    return None if simpler is None else {**body, "parameters": simpler}


def without(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The body without these parameters."""
    return {key: value for key, value in body.items() if key not in names}


def renamed(body: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The body with a parameter under its other name, unless that is there too."""
    return without(body, (old,)) if new in body else {(new if key == old else key): body[key] for key in body}


def _is_refusal(error: MDStreamError) -> bool:
    """Whether the request was refused, and not for what is in it. Containers of DJL and streams have other classes."""
    if isinstance(error, ContextOverflow | ContentRefused):
        return False
    wrapped = isinstance(error, ServiceError | StreamFailure) and error.status in {400, 422, 424}
    return isinstance(error, InvalidRequest) or wrapped


def _refused_parameter(error: MDStreamError, body: Mapping[str, Any], table: ParameterTable) -> str | None:
    """The name in the body of the parameter that a refusal names."""
    aliases = _aliases(body, table)
    raw = error.raw or ""
    said, param = _said(error, raw)
    if not _REFUSED.search(said) and "extra_forbidden" not in raw:
        return None
    if param:
        return next((aliases[part] for part in map(_plain, param.split(".")) if part in aliases), None)
    if located := _LOCATION.search(raw):
        return aliases.get(_plain(located[1]))
    message = _TAKEN.split(said)[0]
    return next((aliases[_plain(name)] for name in _mentioned(message, aliases)), None)


def _said(error: MDStreamError, raw: str) -> tuple[str, str]:
    """What a server said, without what we add to it, and the parameter that it names beside its words."""
    document = _document(raw)
    if document is None or (words := words_of(document)) is None:
        return f"{error.code or ''} {error} {raw}", ""
    return f"{words.code or ''} {error.code or ''} {words.message}", _param(document)


def _aliases(body: Mapping[str, Any], table: ParameterTable) -> dict[str, str]:
    """How the parameters of this body may be called: in the user's words, and in the body's."""
    pairs = [*table.optional.items(), *((name, name) for name in table.renamed)]
    named = {alias: name for pair in pairs for alias, name in ((pair[0], pair[1]), (pair[1], pair[1])) if name in body}
    return {_plain(alias): name for alias, name in named.items()}


def _plain(name: str) -> str:
    """`isParallelToolCalls` and `parallel_tool_calls` alike.

    >>> _plain("isParallelToolCalls"), _plain("top_p"), _plain("topP")
    ('paralleltoolcalls', 'topp', 'topp')
    """
    return re.sub(r"^is(?=[A-Z_])", "", name).replace("_", "").lower()


def _mentioned(message: str, aliases: Mapping[str, str]) -> Iterator[str]:
    """The names of parameters in a message, in its order."""
    for found in re.finditer(r"[A-Za-z]+(?:_[A-Za-z]+)*", message):
        name, before = found[0], message[max(0, found.start() - 24) : found.start()]
        if _plain(name) in aliases and (name not in _WORDS or _CALLED.search(before)):
            yield name


#: How deeply errors are unwrapped.
_DEPTH = 8

_CALLED = re.compile(
    r"(['\"`]|body\W{1,4}|(parameter|argument|field|supplied|option|property)s?\W{1,3})$", re.IGNORECASE
)


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
