"""Guardrails: checks of inputs and outputs by a service, and what to do with what it finds.

`Guardrails` sends texts to the service and applies a `GuardrailPolicy`; `protect` adds both to the clients of a model's
`Service`. A streamed output is checked in windows, see `GuardedOutput`.
"""

from mdstream_core.guardrails.checks import GuardrailChecks
from mdstream_core.guardrails.event_texts import CITATIONS, cited_texts, replace_cited_texts
from mdstream_core.guardrails.fields import GuardrailFields
from mdstream_core.guardrails.guard import Guardrails
from mdstream_core.guardrails.inputs import content_texts, replace_content_texts
from mdstream_core.guardrails.output import GuardedOutput
from mdstream_core.guardrails.policy import SEPARATOR, GuardrailPolicy, PIIAction
from mdstream_core.guardrails.violations import TextLocation

__all__ = [
    "CITATIONS",
    "SEPARATOR",
    "GuardedOutput",
    "GuardrailChecks",
    "GuardrailFields",
    "GuardrailPolicy",
    "Guardrails",
    "PIIAction",
    "TextLocation",
    "cited_texts",
    "content_texts",
    "replace_cited_texts",
    "replace_content_texts",
]
