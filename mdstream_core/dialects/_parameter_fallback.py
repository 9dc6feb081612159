"""Request parameters that a server may refuse: which of them can be left out, and which have another name.

A parameter is left out only where the answer is then drawn or reported in another way, and is not another one: never
messages, tools, a forced tool choice, a schema, stop sequences or a limit of tokens (which has a second name instead).
"""

import re
import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

from mdstream_core.dialects._rejected_parameters import RejectedParameter, find_rejected_parameter
from mdstream_core.errors import (
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServiceError,
    StreamFailure,
)


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """The parameters of one request format.

    Attributes:
        optional: What may be left out: its name for users (OpenAI's), and its name in the body.
        renamed: What has another name in the body of other models or servers.
        accepted_values: The values of a parameter without which the answer is the same; with any other it stays.
        required_by: What goes with a parameter that is left out, because it means nothing without it.
    """

    optional: Mapping[str, str]
    renamed: Mapping[str, str]
    accepted_values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    required_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_OPENAI_NAMES = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty"),
    *("logprobs", "top_logprobs", "parallel_tool_calls", "stream_options", "tool_choice", "n", "best_of"),
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
)

OPENAI = ParameterTable(
    optional={name: name for name in _OPENAI_NAMES},
    renamed={"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"},
    accepted_values={"tool_choice": ("auto",), "n": (1,), "best_of": (1,)},
    required_by={"logprobs": ("top_logprobs",)},
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
    accepted_values={"toolChoice": ({"type": "AUTO"},)},
)


@dataclass(frozen=True, slots=True)
class DroppedParameter:
    """A parameter is left out.

    Attributes:
        name: Its name in the body.
        within: The field of the body that holds it; empty for the body itself.
        also: What goes with it.
        values: The values that are left out; all where it is empty.
        accepted_values: The values that are sent nevertheless.
    """

    name: str
    within: str = ""
    also: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    accepted_values: tuple[Any, ...] = ()

    def change(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields without it."""
        value = fields[self.name]
        spared = value in self.accepted_values or (self.values and value not in self.values)
        return dict(fields) if spared else remove_parameters(fields, (self.name, *self.also))


@dataclass(frozen=True, slots=True)
class RenamedParameter:
    """A parameter has another name, `new`; `within` is the field of the body that holds it."""

    name: str
    new: str
    within: str = ""

    def change(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the other name."""
        return rename_parameter(fields, self.name, self.new)


Change = DroppedParameter | RenamedParameter


class RelaxedPayload(dict[str, Any]):
    """A body that was changed after refusals, and the changes in their order."""

    changes: tuple[Change, ...] = ()

    @classmethod
    def from_changes(cls, payload: Mapping[str, Any], fields: Mapping[str, Any], *changes: Change) -> Self:
        """A body with other fields. A subclass stays what it is."""
        relaxed = copy(payload) if isinstance(payload, cls) else cls()
        relaxed.clear()
        relaxed.update(fields)
        relaxed.changes = (*relaxed.changes, *changes)
        return relaxed


def apply_change(payload: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The body after a change; the same where there is nothing to change."""
    fields = payload.get(change.within) if change.within else payload
    if not isinstance(fields, Mapping) or change.name not in fields:
        return dict(payload)
    changed = change.change(fields)
    return {**payload, change.within: changed} if change.within else changed


def relax_payload(
    payload: Mapping[str, Any], error: MDStreamError, table: ParameterTable, within: str = ""
) -> dict[str, Any] | None:
    """The body without the one parameter that `error` says is refused, or with its other name. Warns.

    Args:
        payload: What was refused.
        error: The refusal.
        table: The parameters of this format.
        within: The field of the body that holds them; empty for the body itself.

    Returns:
        A `RelaxedPayload`; `None` where no parameter is named, or one that the answer cannot do without.
    """
    fields = (payload.get(within) or {}) if within else payload
    if not isinstance(fields, Mapping) or not _is_parameter_error(error):
        return None
    aliases = _aliases(fields, table)
    refusal = find_rejected_parameter(error, payload, lambda name: _normalize_name(name) in aliases)
    if refusal is None:
        return None
    name = aliases[_normalize_name(refusal.name)]
    change = _change(name, fields[name], refusal, table, within)
    if change is None or _reverts_rename(payload, change):
        return None
    then = f"with {change.new}" if isinstance(change, RenamedParameter) else "without it"
    facts = ", ".join(str(fact) for fact in (error.status, _short(error.code)) if fact)
    told = (
        f"the model refuses {describe_parameter(name, fields[name])}{facts and f' ({facts})'}: it is asked again {then}"
    )
    warnings.warn(told, RuntimeWarning, stacklevel=3)
    return RelaxedPayload.from_changes(payload, apply_change(payload, change), change)


def relax_parameters(payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """The same for the `parameters` of TGI and LMI."""
    return relax_payload(payload, error, HUGGING_FACE, within="parameters")


def remove_parameters(payload: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The body without these parameters."""
    return {key: value for key, value in payload.items() if key not in names}


def rename_parameter(payload: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The body with a parameter under its other name, unless that is there too."""
    return (
        remove_parameters(payload, (old,))
        if new in payload
        else {(new if key == old else key): payload[key] for key in payload}
    )


#: Values of parameters that are a choice of few.
_CHOICES = frozenset({"auto", "none", "required", "any", "default", "flex", "priority", "standard", "scale"})


def describe_parameter(name: str, value: Any) -> str:
    """A parameter in a warning: with its value where that is a number, a flag or a known choice, and no secret.

    >>> describe_parameter("seed", 7), describe_parameter("tool_choice", "auto"), describe_parameter("user", "Jane"),
    describe_parameter("metadata", {"key": "x"})
    ('seed=7', 'tool_choice=auto', 'user', 'metadata')
    """
    if isinstance(value, str):
        return f"{name}={value}" if value in _CHOICES else name
    is_short = isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64)
    return f"{name}={value}" if is_short else name


def _short(code: str | None) -> str:
    return code if code and re.fullmatch(r"[\w.-]{1,64}", code) else ""


def _change(name: str, value: Any, refusal: RejectedParameter, table: ParameterTable, within: str) -> Change | None:
    """What is done about a refusal; a limit of tokens that is too high is no case for its other name."""
    if new := table.renamed.get(name):
        return None if refusal.is_value_error else RenamedParameter(name, new, within)
    if name not in table.optional.values() or value not in table.accepted_values.get(name, (value,)):
        return None
    also = table.required_by.get(name, ())
    if refusal.default and value not in refusal.default:
        return DroppedParameter(name, within, also, accepted_values=refusal.default)
    bound = refusal.is_value_error or name in table.accepted_values
    return DroppedParameter(name, within, also, values=(value,) if bound else ())


def _reverts_rename(body: Mapping[str, Any], change: Change) -> bool:
    """Whether both names were refused: the same question is not asked under the first one again."""
    before = body.changes if isinstance(body, RelaxedPayload) else ()
    return isinstance(change, RenamedParameter) and any(
        isinstance(earlier, RenamedParameter) and earlier.new == change.name for earlier in before
    )


def _is_parameter_error(error: MDStreamError) -> bool:
    """Whether the request was refused, and not for what is in it. Containers of DJL and streams have other classes."""
    if isinstance(error, ContextOverflow | ContentFiltered):
        return False
    wrapped = isinstance(error, ServiceError | StreamFailure) and error.status in {400, 422, 424}
    return isinstance(error, InvalidRequest) or wrapped


def _aliases(body: Mapping[str, Any], table: ParameterTable) -> dict[str, str]:
    """How the parameters of this body may be called: in the user's words, and in the body's."""
    pairs = [*table.optional.items(), *((name, name) for name in table.renamed)]
    named = {alias: name for pair in pairs for alias, name in ((pair[0], pair[1]), (pair[1], pair[1])) if name in body}
    return {_normalize_name(alias): name for alias, name in named.items()}


def _normalize_name(name: str) -> str:
    """`isParallelToolCalls` and `parallel_tool_calls` alike.

    >>> _normalize_name("isParallelToolCalls"), _normalize_name("top_p"), _normalize_name("topP")
    ('paralleltoolcalls', 'topp', 'topp')
    """
    return re.sub(r"^is(?=[A-Z_])", "", name).replace("_", "").lower()
