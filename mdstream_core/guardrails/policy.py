"""`GuardrailPolicy`: which results of guardrails are violations, and how outputs are checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mdstream_core._choices import find_choice
from mdstream_core.events import GuardrailResults
from mdstream_core.guardrails.redaction import is_located, redact
from mdstream_core.guardrails.violations import TextLocation, build_violation

#: What is done with personally identifiable information.
PIIAction = Literal["ignore", "redact", "block"]

#: Between texts that are checked together.
SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class GuardrailPolicy:
    """Which results are violations, and how the output of a model is checked.

    Raises:
        ValueError: A threshold is not between 0 and 1, a size is too small, or personally identifiable information is
            to be redacted in text that is not held back.

    Example:
        >>> GuardrailPolicy(pii="redact", window_size=400).pii
        'redact'
    """

    prompt_injection_threshold: float = 0.5
    """Score from which a prompt injection is a violation, from 0 to 1. The default is langchain-oci's."""
    content_moderation_threshold: float = 0.5
    """Score from which a category of content moderation is a violation, from 0 to 1. The default is langchain-oci's."""
    pii: PIIAction = "ignore"
    """What is done with personally identifiable information: `ignore`, `redact` (it is replaced by its label, such as
    `[REDACTED_EMAIL]`) or `block` (it is a violation)."""
    pii_threshold: float = 0.0
    """Confidence from which information is redacted or a violation, from 0 to 1. Default: any."""
    check_input: bool = True
    """Whether the input of a model is checked: user messages and tool results since its last response; with
    `pii="redact"` those of the whole conversation."""
    check_output: bool = True
    """Whether the output of a model is checked: text, reasoning and refusals, and what the next two fields name."""
    check_tool_calls: bool = True
    """Whether the arguments of tool calls in an output are checked, as the JSON text that the model wrote."""
    check_citations: bool = True
    """Whether the texts of citations in an output are checked: titles and quotes, which repeat texts."""
    window_size: int = 200
    """Number of characters of a stream's first window. Text is held back until its window was checked."""
    max_window_size: int = 2000
    """Number of characters that windows grow to; each is twice as long as the one before."""
    overlap: int = 100
    """Number of characters at the end of a window that stay held back until the next check, so that a name or a phrase
    that the window's end cuts is checked as a whole."""
    hold_back: bool = True
    """Whether text of a stream is held back until it was checked. `False` delivers it at once, and stops the stream
    after a violation; the violation has been delivered by then."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pii", find_choice("pii", self.pii, get_args(PIIAction)))
        for name in ("prompt_injection_threshold", "content_moderation_threshold", "pii_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is no score (hint: use a number from 0 to 1)")
        for name, least in (("window_size", 1), ("max_window_size", self.window_size), ("overlap", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is too small (hint: use {least} or more)")
        if self.pii == "redact" and not self.hold_back:
            raise ValueError(
                "pii='redact' needs hold_back=True: what was delivered cannot be redacted (hint: use pii='block')"
            )

    def find_violations(self, results: GuardrailResults) -> tuple[str, ...]:
        """Describe what the policy does not allow, without the text.

        Args:
            results: Results of this package, or of the `oci` SDK.
        """
        violations = []
        injection = results.prompt_injection
        if injection is not None and injection.score >= self.prompt_injection_threshold:
            violations.append(f"prompt_injection score={injection.score:.2f}")
        moderation = results.content_moderation
        violations += [
            f"content_moderation:{category.name} score={category.score:.2f}"
            for category in (moderation.categories if moderation is not None else None) or ()
            if category.score >= self.content_moderation_threshold
        ]
        if self.pii == "block" and (labels := self.find_pii_labels(results)):
            violations.append(f"pii entities={len(labels)}: {', '.join(sorted(set(labels)))}")
        return tuple(violations)

    def find_pii_labels(self, results: GuardrailResults) -> list[str]:
        """Return the label of each piece of information that the policy redacts or blocks."""
        entities = results.personally_identifiable_information or ()
        return [entity.label for entity in entities if entity.score >= self.pii_threshold]

    def enforce(self, texts: Sequence[str], results: GuardrailResults, location: TextLocation) -> list[str]:
        """Return the texts, redacted where the policy says so.

        Args:
            texts: The texts that were checked together, joined by `SEPARATOR`.
            results: What was found in them, with offsets in the joined text.
            location: Where the texts come from.

        Raises:
            GuardrailViolation: The policy does not allow the texts.
        """
        if violations := self.find_violations(results):
            raise build_violation(violations, results, location)
        return self.redact(texts, results, location)

    def redact(self, texts: Sequence[str], results: GuardrailResults, location: TextLocation) -> list[str]:
        """Return the texts, redacted if `pii` is `redact`; other violations are ignored. Arguments as for `enforce`.

        Raises:
            GuardrailViolation: Information was found, and its offset does not lead to it.
        """
        if self.pii != "redact":
            return list(texts)
        spans = self.redaction_spans(SEPARATOR.join(texts), results, location)
        redacted, start = [], 0
        for text in texts:
            redacted.append(redact(text, start, spans))
            start += len(text) + len(SEPARATOR)
        return redacted

    def redaction_spans(
        self, text: str, results: GuardrailResults, location: TextLocation
    ) -> list[tuple[int, int, str]]:
        """Return start, end and label of each span of a text to redact, in their order; none unless `pii` is `redact`.

        Raises:
            GuardrailViolation: Information was found, and its offset does not lead to it.
        """
        if self.pii != "redact":
            return []
        entities = results.personally_identifiable_information or ()
        found = [entity for entity in entities if entity.score >= self.pii_threshold]
        if lost := [entity.label for entity in found if not is_located(text, entity)]:
            violation = f"pii that could not be redacted: {', '.join(sorted(set(lost)))}"
            raise build_violation((violation,), results, location)
        return sorted((entity.offset, entity.end, entity.label) for entity in found)
