"""Merging the results of guardrails for the pieces of a long text."""

from collections.abc import Iterable
from dataclasses import replace

from mdstream_core.events.guardrails import CategoryScore, ContentModeration, GuardrailResults, PIIEntity


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
