"""Writer of a response: as one document, or as the events of a stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any

from mdstream_core.emulator import _sse
from mdstream_core.emulator.model_server._responses_formats import Json, ResponsesFormat
from mdstream_core.emulator.model_server.responses._output import EventFields, OutputItem

CREATED = 1_795_188_580  # constant, so that transcripts can be compared
_PADDING = "aB3xK9mQ7tR1vW5z"  # `obfuscation` hides the length of a delta
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILED = {"code": "server_error", "message": "The model failed to generate a response."}


@dataclass(frozen=True, slots=True)
class ResponseParts:
    """What a response is made of.

    Attributes:
        id: Id of the response.
        request: The request.
        model: Name of the model.
        max_output_tokens: Limit of the output in tokens.
        items: Output items.
        finish: Finish reason of the model.
        usage: Usage of the whole response.
        conversation: Id of the conversation.
    """

    id: str
    request: Json
    model: str
    max_output_tokens: int
    items: Sequence[OutputItem]
    finish: str
    usage: Json
    conversation: str | None = None

    @property
    def status(self) -> str:
        """Status at the end of the response."""
        return "failed" if self.finish == "error" else "incomplete" if self.finish in _INCOMPLETE else "completed"


class ResponseWriter:
    """Writes one response in the format of one server."""

    def __init__(self, format: ResponsesFormat, parts: ResponseParts) -> None:
        self._format = format
        self._parts = parts
        options = parts.request.get("stream_options") or {}
        self._pads = format.pads and options.get("include_obfuscation") is not False

    def document(self, status: str | None = None) -> Json:
        """Build the response object; by default with its final status."""
        parts = self._parts
        is_final = status is None
        reason = _INCOMPLETE.get(parts.finish) if is_final else None
        fields: dict[str, Any] = {
            "id": parts.id,
            "created_at": CREATED,
            "model": parts.model,
            "status": status or parts.status,
            "output": self._final_output() if is_final else [],
            "max_output_tokens": parts.max_output_tokens,
            "usage": parts.usage if is_final and parts.status != "failed" else None,
            "error": _FAILED if is_final and parts.status == "failed" else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "conversation": parts.conversation,
        }
        return self._format.document(parts.request, fields)

    def _final_output(self) -> list[Json]:
        items = [item.final for item in self._parts.items]
        if self._format.sends_call_whole:  # transformers has the message first, whatever the order of the events
            items.sort(key=lambda item: {"reasoning": 0, "message": 1}.get(item["type"], 2))
        return items

    def encoded_events(self) -> Iterator[bytes]:
        """Yield the events of the stream, encoded."""
        for number, (kind, fields) in enumerate(self._events()):
            name = kind if self._format.has_event_names else ""
            yield _sse.event(self._event(number, kind, fields), name)

    def _event(self, number: int, kind: str, fields: Json) -> Json:
        if self._format.type_first:
            return {"type": kind, "sequence_number": number, **fields}
        event = {**fields, "sequence_number": number, "type": kind}  # the servers sort the fields, but append the name
        names = sorted(event, key=lambda field: (field == "name", field))
        return {name: event[name] for name in names}

    def _events(self) -> Iterator[EventFields]:
        background = bool(self._parts.request.get("background"))
        first = "queued" if background else self._format.first_status
        yield "response.created", {"response": self.document(first)}
        if background and self._format.is_strict:
            yield "response.queued", {"response": self.document("queued")}
        yield "response.in_progress", {"response": self.document("in_progress")}
        indexed = list(enumerate(self._parts.items))
        for is_call, run in groupby(indexed, key=lambda entry: entry[1].final["type"] == "function_call"):
            group = list(run)
            yield from self._alternate(group) if is_call and self._format.interleaves_calls else self._one_by_one(group)
        end = {"incomplete": self._format.incomplete_event}.get(self._parts.status, f"response.{self._parts.status}")
        yield end, {"response": self.document()}

    def _one_by_one(self, items: Sequence[tuple[int, OutputItem]]) -> Iterator[EventFields]:
        for index, item in items:
            yield from self._item_events(index, item)

    def _item_events(self, index: int, item: OutputItem) -> Iterator[EventFields]:
        if self._format.sends_call_whole:  # transformers counts calls from one, and the message after them
            index += item.final["type"] == "function_call"
        yield "response.output_item.added", {"item": item.opening, "output_index": index}
        for kind, fields in item.events:
            yield kind, self._pad(kind, {**fields, "output_index": index})
        yield "response.output_item.done", {"item": item.final, "output_index": index}

    def _alternate(self, items: Sequence[tuple[int, OutputItem]]) -> Iterator[EventFields]:
        """Yield the events of several calls in turn."""
        streams = [self._item_events(index, item) for index, item in items]
        for row in zip_longest(*streams):
            yield from (event for event in row if event is not None)

    def _pad(self, kind: str, fields: Json) -> Json:
        if not self._pads or not kind.endswith(".delta"):
            return fields
        return {**fields, "obfuscation": _PADDING[len(str(fields["delta"])) % 16 :]}
