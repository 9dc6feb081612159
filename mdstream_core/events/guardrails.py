"""Results of guardrails: what a service found in a text.

The names of the attributes are those of `oci.generative_ai_inference.models.GuardrailsResults`, so that code that reads
the SDK's results reads these too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """The score of one category of content moderation."""

    name: str
    """Name of the category: `OVERALL`, `BLOCKLIST`."""
    score: float
    """From 0.0 (safe) to 1.0 (unsafe); the service returns one of the two."""
    flagged_modalities: tuple[str, ...] | None = None
    """Which inputs caused the score, `TEXT` or `IMAGE`; `None` for a request with a text only."""


@dataclass(frozen=True, slots=True)
class ContentModeration:
    """Scores of content moderation."""

    categories: tuple[CategoryScore, ...] = ()
    """A score for each requested category."""


@dataclass(frozen=True, slots=True)
class PromptInjection:
    """The score of the check for prompt injection."""

    score: float
    """From 0.0 (none found) to 1.0 (found); the service returns one of the two."""
    flagged_modalities: tuple[str, ...] | None = None
    """Which inputs caused the score, `TEXT` or `IMAGE`; `None` for a request with a text only."""


@dataclass(frozen=True, slots=True)
class PIIEntity:
    """A piece of personally identifiable information. Its `repr` does not show the text."""

    label: str
    """Kind of information: `PERSON`, `EMAIL`, `TELEPHONE_NUMBER` …"""
    offset: int
    """Index of its first character in the text."""
    length: int
    """Number of characters."""
    score: float
    """Confidence, from 0.0 to 1.0."""
    text: str = field(default="", repr=False)
    """The information itself."""

    @property
    def end(self) -> int:
        """Index after its last character in the text."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class GuardrailResults:
    """What guardrails found in a text; a check that was not requested is `None`.

    >>> GuardrailResults.from_dict({"promptInjection": {"score": 1.0}}).prompt_injection.score
    1.0
    """

    content_moderation: ContentModeration | None = None
    """Scores of content moderation."""
    personally_identifiable_information: tuple[PIIEntity, ...] | None = None
    """Personally identifiable information, in the order of the text."""
    prompt_injection: PromptInjection | None = None
    """Score of the check for prompt injection."""
    guardrail_version: str | None = None
    """Version of the guardrails that checked the text, such as `1.0.1`, if the service returned it."""

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], version: str | None = None) -> "GuardrailResults":
        """Read `results` of a response of the service.

        Args:
            document: The object `results`, with the names of the service.
            version: Version of the guardrails.

        Raises:
            ValueError: A score, an offset or a length is missing or no number.
        """
        moderation = document.get("contentModeration")
        entities = document.get("personallyIdentifiableInformation")
        injection = document.get("promptInjection")
        categories = tuple(map(_category, (moderation or {}).get("categories") or ()))
        return cls(
            None if moderation is None else ContentModeration(categories),
            None if entities is None else tuple(sorted(map(_entity, entities), key=lambda entity: entity.offset)),
            None if injection is None else PromptInjection(_score(injection), _modalities(injection)),
            version,
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values, without the texts of the information that was found."""
        moderation, injection = self.content_moderation, self.prompt_injection
        entities = self.personally_identifiable_information
        return {
            "content_moderation": moderation and {item.name: item.score for item in moderation.categories},
            "prompt_injection": injection and injection.score,
            "personally_identifiable_information": None
            if entities is None
            else [
                {"label": item.label, "offset": item.offset, "length": item.length, "score": item.score}
                for item in entities
            ],
        }


def merge_results(results: Iterable[tuple[int, GuardrailResults]]) -> GuardrailResults:
    """Merge the results of overlapping pieces of a text: the highest scores, and each entity once.

    Args:
        results: The index of each piece's first character in the text, and its results.
    """
    merged = GuardrailResults()
    for start, piece in results:
        merged = GuardrailResults(
            _merge_moderation(merged.content_moderation, piece.content_moderation),
            _merge_entities(merged.personally_identifiable_information, piece, start),
            max(
                filter(None, (merged.prompt_injection, piece.prompt_injection)),
                key=lambda item: item.score,
                default=None,
            ),
            piece.guardrail_version or merged.guardrail_version,
        )
    return merged


def _merge_moderation(first: ContentModeration | None, second: ContentModeration | None) -> ContentModeration | None:
    if first is None or second is None:
        return first or second
    best: dict[str, CategoryScore] = {}
    for category in (*first.categories, *second.categories):
        known = best.get(category.name)
        best[category.name] = category if known is None or category.score > known.score else known
    return ContentModeration(tuple(best.values()))


def _merge_entities(
    known: tuple[PIIEntity, ...] | None, piece: GuardrailResults, start: int
) -> tuple[PIIEntity, ...] | None:
    if piece.personally_identifiable_information is None:
        return known
    found = {(item.offset, item.length, item.label): item for item in known or ()}
    for entity in piece.personally_identifiable_information:
        shifted = replace(entity, offset=entity.offset + start)
        found.setdefault((shifted.offset, shifted.length, shifted.label), shifted)
    return tuple(sorted(found.values(), key=lambda entity: entity.offset))


def _category(document: Mapping[str, Any]) -> CategoryScore:
    return CategoryScore(str(document["name"]), _score(document), _modalities(document))


def _entity(document: Mapping[str, Any]) -> PIIEntity:
    offset, length = (_count(document, name) for name in ("offset", "length"))
    text = document.get("text")
    return PIIEntity(str(document["label"]), offset, length, _score(document), text if isinstance(text, str) else "")


def _score(document: Mapping[str, Any]) -> float:
    score = document["score"]
    if not isinstance(score, int | float) or isinstance(score, bool) or not isfinite(score):
        raise ValueError(f"a score is {str(score)[:40]!r}, which is no finite number")
    return float(score)


def _count(document: Mapping[str, Any], name: str) -> int:
    value = document[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is {str(value)[:40]!r}, which is no index")
    return value


def _modalities(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    values = document.get("flaggedModalities")
    return tuple(map(str, values)) if values is not None else None
