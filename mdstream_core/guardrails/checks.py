"""`GuardrailChecks`: which checks are requested."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GuardrailChecks:
    """Which checks are requested, and their options.

    Raises:
        ValueError: Every check is switched off, which the service rejects.

    Example:
        >>> GuardrailChecks(pii_detection=False, version="1.0.1").to_params()
        {'content_moderation': (), 'prompt_injection': True, 'version': '1.0.1'}
    """

    content_moderation: bool = True
    """Whether harmful content is searched."""
    pii_detection: bool = True
    """Whether personally identifiable information is searched."""
    prompt_injection: bool = True
    """Whether prompt injections are searched."""
    categories: tuple[str, ...] = ()
    """Categories of content moderation: `OVERALL`, `BLOCKLIST`. Default: all."""
    pii_types: tuple[str, ...] = ()
    """Types of information, such as `EMAIL` or `PERSON`. Default: all."""
    language_code: str | None = None
    """Language of the texts, such as `en` or `zh-CN`. Default: detected by the service."""
    configs: Any = None
    """`guardrailConfigs` of the request, a dictionary or a `GuardrailConfigs` of the `oci` SDK, in place of the fields
    above except the language."""
    version: Any = None
    """Version of the guardrails such as `1.0.1`, or a `GuardrailVersionConfig` of the SDK. Default: the service's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "configs", to_plain(self.configs))
        version = to_plain(self.version)
        object.__setattr__(self, "version", version.get("guardrailVersion") if isinstance(version, dict) else version)
        if self.configs is None and not (self.content_moderation or self.pii_detection or self.prompt_injection):
            raise ValueError(
                "no guardrails are enabled (hint: enable content moderation, PII detection or prompt injection, or set "
                "guardrail_configs)"
            )

    def to_params(self) -> dict[str, Any]:
        """Return the parameters of a request, see `OCIApplyGuardrails`."""
        params = {
            "content_moderation": self.categories if self.content_moderation else None,
            "pii": self.pii_types if self.pii_detection else None,
            "prompt_injection": self.prompt_injection or None,
            "language_code": self.language_code,
            "guardrail_configs": self.configs,
            "version": self.version,
        }
        return {name: value for name, value in params.items() if value is not None}


def to_plain(value: Any) -> Any:
    """Convert an object of the `oci` SDK to plain JSON values; return others unchanged."""
    names = getattr(value, "attribute_map", None)
    if isinstance(names, Mapping):
        fields = ((wire, to_plain(getattr(value, name, None))) for name, wire in names.items())
        return {name: field for name, field in fields if field is not None}
    return [to_plain(item) for item in value] if isinstance(value, list | tuple) else value
