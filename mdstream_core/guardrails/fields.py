"""`GuardrailFields`: what the guardrails of both framework packages do with their fields."""

from collections.abc import Callable
from typing import Any

from mdstream_core.guardrails.checks import GuardrailChecks
from mdstream_core.guardrails.guard import Guardrails
from mdstream_core.guardrails.policy import GuardrailPolicy
from mdstream_core.service import Service


class GuardrailFields:
    """Base class of objects that have the fields of `GuardrailPolicy`, and of `GuardrailChecks` under longer names."""

    max_text_chars: int

    @property
    def policy(self) -> GuardrailPolicy:
        """The fields that decide what is a violation."""
        return GuardrailPolicy(**{name: getattr(self, name) for name in GuardrailPolicy.__dataclass_fields__})

    def _checks(self) -> GuardrailChecks:
        return GuardrailChecks(**{name: getattr(self, field) for name, field in _CHECK_FIELDS.items()})

    def _build_guardrails(self, get_service: Callable[[], Service]) -> Guardrails:
        return Guardrails(get_service, self.policy, checks=self._checks(), max_text_chars=self.max_text_chars)

    def _validate_guardrails(self) -> None:
        """Convert objects of the SDK to plain values, which can be serialized.

        Raises:
            ValueError: Fields contradict each other.
        """
        checks = self._checks()
        self.__dict__.update(guardrail_configs=checks.configs, guardrail_version_config=checks.version)
        self.policy  # noqa: B018


#: Parameter of `GuardrailChecks` to field.
_CHECK_FIELDS: dict[str, Any] = {
    "content_moderation": "enable_content_moderation",
    "pii_detection": "enable_pii_detection",
    "prompt_injection": "enable_prompt_injection",
    "categories": "categories",
    "pii_types": "pii_types",
    "language_code": "language_code",
    "configs": "guardrail_configs",
    "version": "guardrail_version_config",
}
