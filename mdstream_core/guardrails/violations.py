"""Violations of a policy: the error, and the line in the log."""

import logging
from collections.abc import Sequence
from typing import Literal

from mdstream_core import _log
from mdstream_core.errors import GuardrailViolation
from mdstream_core.events import GuardrailResults

#: Where a text comes from, as `GuardrailViolation.location` names it.
TextLocation = Literal["input", "output", "tool call", "citation", "tool result", "document"]


def build_violation(violations: Sequence[str], results: GuardrailResults, location: TextLocation) -> GuardrailViolation:
    """Create the error for a text that the policy does not allow."""
    error = GuardrailViolation(
        f"OCI guardrails blocked the {location}: {'; '.join(violations)} (hint: `results` of the error has the scores)"
    )
    error.results, error.violations, error.location = results, tuple(violations), location
    return error


def log_violation(error: GuardrailViolation) -> None:
    """Log a violation, without the text."""
    fields = {**_log.error_fields(error), "location": error.location, "violations": "; ".join(error.violations)}
    message = f"guardrails blocked the {error.location}: {_log.to_line('; '.join(error.violations))}"
    _log.log(_log.GUARDRAILS, logging.WARNING, "guardrail_violation", message, fields)
