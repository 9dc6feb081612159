"""Drop or rename request parameters that a server rejected.

Only parameters that change how the output is sampled or reported are dropped. Messages, tools, a forced tool choice, a
schema, stop sequences and the token limit are never dropped; the token limit has a second name instead.
"""

import logging
import re
import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

from mdstream_core import _log
from mdstream_core.dialects._rejected_parameters import (
    RejectedParameter,
    find_rejected_parameter,
    is_rejected_request,
)
from mdstream_core.errors import MDStreamError


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """The parameters of one request format.

    Attributes:
        optional: Parameters that may be dropped: OpenAI's name, and the name in the payload.
        renamed: Parameters that have another name for other models or servers: both names in the payload.
        droppable_values: The only values with which a parameter may be dropped; any value for parameters not in it.
        required_by: Further parameters to drop with a parameter, which are invalid without it.
    """

    optional: Mapping[str, str]
    renamed: Mapping[str, str]
    droppable_values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
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
    droppable_values={"tool_choice": ("auto",), "n": (1,), "best_of": (1,)},
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
    droppable_values={"toolChoice": ({"type": "AUTO"},)},
)


@dataclass(frozen=True, slots=True)
class DroppedParameter:
    """A parameter that is not sent.

    Attributes:
        name: The name in the payload.
        within: The field of the payload that contains the parameter; empty (the default) for the payload itself.
        dependents: Further parameters that are not sent with it.
        values: The values that are not sent; all values if empty (the default).
        accepted_values: The values that are sent nevertheless.
    """

    name: str
    within: str = ""
    dependents: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    accepted_values: tuple[Any, ...] = ()

    def apply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields without the parameter."""
        value = fields[self.name]
        is_accepted = value in self.accepted_values or (self.values and value not in self.values)
        return dict(fields) if is_accepted else remove_parameters(fields, (self.name, *self.dependents))


@dataclass(frozen=True, slots=True)
class RenamedParameter:
    """A parameter that is sent under another name.

    Attributes:
        name: The rejected name.
        new: The name that is sent.
        within: The field of the payload that contains the parameter; empty (the default) for the payload itself.
    """

    name: str
    new: str
    within: str = ""

    def apply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with the new name."""
        return rename_parameter(fields, self.name, self.new)


Change = DroppedParameter | RenamedParameter


class RelaxedPayload(dict[str, Any]):
    """A payload that was changed after error responses, with the changes in order."""

    changes: tuple[Change, ...] = ()

    @classmethod
    def from_changes(cls, payload: Mapping[str, Any], fields: Mapping[str, Any], *changes: Change) -> Self:
        """Create a payload with other fields; `payload` keeps its subclass and its earlier changes."""
        relaxed = copy(payload) if isinstance(payload, cls) else cls()
        relaxed.clear()
        relaxed.update(fields)
        relaxed.changes = (*relaxed.changes, *changes)
        return relaxed


def apply_change(payload: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Apply a change to a payload; return a copy if there is nothing to change."""
    fields = payload.get(change.within) if change.within else payload
    if not isinstance(fields, Mapping) or change.name not in fields:
        return dict(payload)
    changed = change.apply(fields)
    return {**payload, change.within: changed} if change.within else changed


def relax_payload(
    payload: Mapping[str, Any], error: MDStreamError, table: ParameterTable, within: str = ""
) -> dict[str, Any] | None:
    """Drop or rename the parameter that an error response rejects, with a warning.

    Args:
        payload: The payload of the rejected request.
        error: The error response.
        table: The parameters of the request format.
        within: The field of the payload that contains the parameters; empty (the default) for the payload itself.

    Returns:
        A `RelaxedPayload`; `None` if the error names no parameter, or one that must not be changed.
    """
    fields = (payload.get(within) or {}) if within else payload
    if not isinstance(fields, Mapping) or not is_rejected_request(error):
        return None
    aliases = _aliases(fields, table)
    rejected = find_rejected_parameter(error, payload, lambda name: _normalize_name(name) in aliases)
    if rejected is None:
        return None
    name = aliases[_normalize_name(rejected.name)]
    change = _change(name, fields[name], rejected, table, within)
    if change is None or _reverts_rename(payload, change):
        return None
    action = f"with {change.new}" if isinstance(change, RenamedParameter) else "without it"
    details = ", ".join(str(detail) for detail in (error.status, _short_code(error.code)) if detail)
    parameter = describe_parameter(name, fields[name])
    message = f"the model rejects {parameter}{details and f' ({details})'}: the request is sent again {action}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)
    event = "parameter_renamed" if isinstance(change, RenamedParameter) else "parameter_dropped"
    _log.log(_log.RETRIES, logging.WARNING, event, message, {"parameter": name, **_log.error_fields(error)})
    return RelaxedPayload.from_changes(payload, apply_change(payload, change), change)


def relax_parameters(payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    """Drop the field of `parameters` that TGI or LMI rejected, with a warning."""
    return relax_payload(payload, error, HUGGING_FACE, within="parameters")


def remove_parameters(payload: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the payload without these parameters."""
    return {key: value for key, value in payload.items() if key not in names}


def rename_parameter(payload: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return the payload with a parameter renamed; without it if the new name is present already."""
    return (
        remove_parameters(payload, (old,))
        if new in payload
        else {(new if key == old else key): payload[key] for key in payload}
    )


#: String values that a warning may quote, because they cannot be secrets.
_CHOICES = frozenset({"auto", "none", "required", "any", "default", "flex", "priority", "standard", "scale"})


def describe_parameter(name: str, value: Any) -> str:
    """Describe a parameter in a warning, with its value if that is a number, a flag or a known choice, and no secret.

    >>> describe_parameter("seed", 7), describe_parameter("tool_choice", "auto"), describe_parameter("user", "Jane")
    ('seed=7', 'tool_choice=auto', 'user')
    """
    if isinstance(value, str):
        return f"{name}={value}" if value in _CHOICES else name
    is_short = isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64)
    return f"{name}={value}" if is_short else name


def _short_code(code: str | None) -> str:
    return code if code and re.fullmatch(r"[\w.-]{1,64}", code) else ""


def _change(name: str, value: Any, rejected: RejectedParameter, table: ParameterTable, within: str) -> Change | None:
    """Return the change for a rejected parameter. A token limit with an invalid value is not renamed."""
    if new := table.renamed.get(name):
        return None if rejected.is_value_error else RenamedParameter(name, new, within)
    if name not in table.optional.values() or value not in table.droppable_values.get(name, (value,)):
        return None
    dependents = table.required_by.get(name, ())
    if rejected.default and value not in rejected.default:
        return DroppedParameter(name, within, dependents, accepted_values=rejected.default)
    only_this_value = rejected.is_value_error or name in table.droppable_values
    return DroppedParameter(name, within, dependents, values=(value,) if only_this_value else ())


def _reverts_rename(payload: Mapping[str, Any], change: Change) -> bool:
    """Return whether a change reverts an earlier renaming: both names were rejected."""
    changes = payload.changes if isinstance(payload, RelaxedPayload) else ()
    return isinstance(change, RenamedParameter) and any(
        isinstance(earlier, RenamedParameter) and earlier.new == change.name for earlier in changes
    )


def _aliases(payload: Mapping[str, Any], table: ParameterTable) -> dict[str, str]:
    """Map the normalized names that an error may use to the names in the payload."""
    pairs = [*table.optional.items(), *((name, name) for name in table.renamed)]
    return {_normalize_name(alias): name for public, name in pairs if name in payload for alias in (public, name)}


def _normalize_name(name: str) -> str:
    """Normalize OpenAI's and OCI's spelling of a name.

    >>> _normalize_name("isParallelToolCalls"), _normalize_name("top_p"), _normalize_name("topP")
    ('paralleltoolcalls', 'topp', 'topp')
    """
    return re.sub(r"^is(?=[A-Z_])", "", name).replace("_", "").lower()
