"""Events of a stream for summaries of reasoning and for refusals."""

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
EventFields = tuple[str, Json]
"""Type of an event and its fields, without `sequence_number` and `output_index`."""


def summary_events(id: str, parts: Sequence[Sequence[str]]) -> Iterator[EventFields]:
    """Yield the events of a summary of reasoning."""
    for index, tokens in enumerate(parts):
        position: Json = {"item_id": id, "summary_index": index}
        text = "".join(tokens)
        yield "response.reasoning_summary_part.added", {**position, "part": {"type": "summary_text", "text": ""}}
        for token in tokens:
            yield "response.reasoning_summary_text.delta", {**position, "delta": token}
        yield "response.reasoning_summary_text.done", {**position, "text": text}
        yield "response.reasoning_summary_part.done", {**position, "part": {"type": "summary_text", "text": text}}


def refusal_events(position: Json, tokens: Sequence[str]) -> Iterator[EventFields]:
    """Yield the events of a refusal."""
    refusal = "".join(tokens)
    yield "response.content_part.added", {**position, "part": {"type": "refusal", "refusal": ""}}
    for token in tokens:
        yield "response.refusal.delta", {**position, "delta": token}
    yield "response.refusal.done", {**position, "refusal": refusal}
    yield "response.content_part.done", {**position, "part": {"type": "refusal", "refusal": refusal}}
