"""Decoder for OpenAI's Responses API: typed events, and the document of a request that is not streamed.

    data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Par"}
    data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[…],"usage":{…}}}

Only `response.completed` and `response.incomplete` end a response successfully; its `status` decides, because vLLM
reports `incomplete` in a `response.completed`. A text or a call is compared with the whole ones that follow it, so that
what was sent only whole is not lost. The items of the output (reasoning, calls of built-in tools, ids of messages …)
are `ProviderData("output_items", …)`, which a later request sends back.

Sources: OpenAI's API reference ("Streaming events"); `openai` SDK 3.52 (`types/responses`); recordings of vLLM 0.32 and
transformers 5.23 (`tests/samples/*-responses*`).
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import (
    ChoiceDecoder,
    ChoiceState,
    finish_reason_failure,
    is_error,
)
from mdstream_core.dialects._detect import detect_dialect, wrong_dialect_error
from mdstream_core.dialects._responses_blocks import OutputBlocks
from mdstream_core.dialects._responses_failures import build_failure, build_response_failure, is_flat_error
from mdstream_core.dialects._responses_items import (
    InconsistentText,
    ItemPart,
    Json,
    OutputItem,
    OutputItems,
    reasoning_position,
)
from mdstream_core.dialects._responses_usage import read_usage
from mdstream_core.errors import IncompleteToolCall, MalformedStream, parse_error_object, quote_payload
from mdstream_core.events import Event, Logprobs, ProviderData, ResponseMetadata, TextDelta

#: Types of events that report an error.
_ERROR_EVENTS = frozenset({"error", "response.error"})

#: The status of a response whose event has none.
_STATUS_BY_EVENT = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}


class ResponsesDecoder(ChoiceDecoder[ChoiceState]):
    """Decoder for one response, streamed or whole."""

    reason_name: ClassVar[str] = "response.completed event"

    def __init__(self) -> None:
        super().__init__()
        self._items = OutputItems()
        self._blocks = OutputBlocks()
        self._has_new_items = False
        self._metadata: ResponseMetadata | None = None
        self._is_metadata_sent = False
        self._status = ""
        self._is_whole_document = False
        self._text_key: tuple[Any, ...] = ()
        self._text_part = ItemPart()
        self._text_item = OutputItem(0, "", {})
        self._text_position: tuple[Any, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the event that ends the response was received."""
        return self.is_finished

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response and its calls are complete; return the events that are still buffered."""
        if self.error is None and self.is_finished:
            self._check_calls()
        return super().finish(is_document=is_document)

    def flush(self) -> list[Event]:
        """Return the events that are still buffered: items whose end was not received, too."""
        events: list[Event] = []
        self._emit_items(events)
        return [*events, *super().flush()]

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        if not isinstance(payload, dict):
            raise wrong_dialect_error("openai-responses", payload, quote_payload(data))
        kind = payload.get("type") or event
        try:
            if read := _EVENTS.get(kind):
                choice = self._choices.get(0) or self._get_choice(0)
                if choice.reason:
                    self.reopen(choice)
                read(self, payload, choice, events)
            else:
                self._read_other(payload, data, kind, event, events)
        except InconsistentText as error:
            raise MalformedStream(f"the stream contradicts itself: {error}", code="InconsistentMessage") from error
        finally:
            if events and not self._is_metadata_sent:
                self._send_metadata(events)

    def _read_other(self, payload: Json, data: bytes, kind: Any, event: str, events: list[Event]) -> None:
        """Read an event about the whole response, an error, or one of an unknown type, which is ignored."""
        response = payload.get("response")
        if payload.get("object") == "response" or (not kind and isinstance(payload.get("output"), list)):
            self._is_whole_document = True
            self._read_response(payload, "", data, events)
        elif kind in _ERROR_EVENTS or event == "error" or is_error(payload.get("error")) or is_flat_error(payload):
            raise build_failure(payload, data)
        elif isinstance(response, dict) or kind in _STATUS_BY_EVENT:
            self._read_response(payload if response is None else response, str(kind), data, events)
        elif not kind:
            if parse_error_object(payload):
                raise build_failure(payload, data)
            if detect_dialect(payload):
                raise wrong_dialect_error("openai-responses", payload, quote_payload(data))

    def _read_response(self, response: Json, kind: str, data: bytes, events: list[Event]) -> None:
        """Read a whole response: the one of the last event, a document, or the empty one of an event before."""
        model, id = (value if isinstance(value := response.get(name), str) else None for name in ("model", "id"))
        known = ResponseMetadata(model, id)
        self._metadata = known if known.model or known.id else self._metadata
        status = response.get("status") or _STATUS_BY_EVENT.get(kind, "")
        if kind not in _STATUS_BY_EVENT and not self._is_whole_document:
            if is_error(response.get("error")):
                raise build_failure(response, data)
            return
        self._status = str(status)
        choice = self._get_choice(0)
        if choice.reason:
            self.reopen(choice)
        self._read_output(response.get("output") or [], choice, events)
        if usage := response.get("usage"):
            events.append(read_usage(usage))
        if conversation := response.get("conversation"):
            events.append(ProviderData("conversation", _json.check_depth(conversation)))
        if status in ("failed", "cancelled") or is_error(response.get("error")):
            raise build_response_failure(response, str(status), data)
        self._end(response, choice, events)

    def _end(self, response: Json, choice: ChoiceState, events: list[Event]) -> None:
        """Emit the items and the finish reason of a response that has ended; none for one that is in progress."""
        if self._status == "incomplete":
            details = response.get("incomplete_details") or {}
            reason = (details.get("reason") if isinstance(details, dict) else details) or "incomplete"
            if failure := finish_reason_failure(reason, {}):
                raise failure
        elif self._status == "completed":
            reason = "stop"
        else:
            return
        self._send_metadata(events)
        self._emit_items(events)
        self._take_reason(choice, reason, events)
        self.confirm(events)  # the event confirms a reason of any name

    def _read_output(self, output: list[Json], choice: ChoiceState, events: list[Event]) -> None:
        """Read the whole output, and emit what was not received before. An empty one does not deny what was."""
        for item in self._items.match_output(output):
            self._complete(item, choice, events)

    def _ends_without_reason(self, choice: ChoiceState) -> bool:
        """Return whether the response is a document without a status."""
        return self._is_whole_document and not self._status

    def _complete(self, item: OutputItem, choice: ChoiceState, events: list[Event]) -> None:
        """Emit what a whole item has beyond what was received of it."""
        self._has_new_items = True
        if complete := _WHOLE_ITEMS.get(item.kind):
            complete(self, item, choice, events)
        self._blocks.add_whole(item, events)

    def _complete_message(self, item: OutputItem, choice: ChoiceState, events: list[Event]) -> None:
        content = item.fields.get("content") or []
        for at, part in enumerate([{"text": content}] if isinstance(content, str) else content):
            self._complete_part(item, part, at, choice, events)

    def _complete_part(self, item: OutputItem, part: Json, at: Any, choice: ChoiceState, events: list[Event]) -> None:
        """Emit what a whole content part has beyond its deltas. A part of another type stays in the item only."""
        if text := part.get("refusal"):
            if rest := self._items.part(item, "refusal", at).add_rest(text, "refusal"):
                self._blocks.enter(item, "refusal", at, events)
                choice.add_refusal(rest, events)
            return
        if (text := part.get("text")) is None:
            return
        received = self._items.part(item, "text", at)
        if rest := received.add_rest(text, "text"):
            self._blocks.enter(item, "text", at, events)
            events.append(TextDelta(rest))
            choice.text.write(rest)
        self._add_logprobs(received, part.get("logprobs") if not received.has_logprobs else None, events)
        if annotations := (part.get("annotations") or [])[received.annotations :]:
            received.annotations += len(annotations)
            choice.add_media("annotations", annotations, events)

    def _complete_reasoning(self, item: OutputItem, _: ChoiceState, events: list[Event]) -> None:
        for field, name in (("summary", "summary"), ("reasoning", "content")):
            for at, part in enumerate(item.fields.get(name) or []):
                self._add_reasoning_rest(item, (field, at), part.get("text"), events)

    def _add_reasoning_rest(self, item: OutputItem, position: tuple[str, Any], whole: Any, events: list[Event]) -> None:
        if whole:
            is_new = position not in item.parts
            if rest := self._items.part(item, *position).add_rest(whole, "reasoning"):
                self._blocks.enter(item, *position, events)
                self._emit_reasoning(rest, events, is_new=is_new)

    def _emit_reasoning(self, text: str, events: list[Event], *, is_new: bool) -> None:
        """Emit reasoning; its parts are paragraphs."""
        choice = self._choices[0]
        if is_new and choice.reasoning.tell():
            choice.add_reasoning("\n\n", events)
        choice.add_reasoning(text, events)

    def _complete_call(self, item: OutputItem, _: ChoiceState, events: list[Event]) -> None:
        if not item.is_call_started and not item.fields.get("name"):
            return
        item.is_call_started = True
        self._blocks.add_whole(item, events)
        self._blocks.flush(events)
        self._merge_call(item.to_tool_call(), events)

    def _merge_call(self, entry: Json, events: list[Event]) -> None:
        """Emit what a whole call has beyond its deltas."""
        try:
            delta = self._choices[0].calls.complete(entry)
        except ValueError as error:
            raise InconsistentText(str(error)) from error
        if delta is not None:
            events.append(delta)

    def _add_logprobs(self, part: ItemPart, logprobs: Any, events: list[Event]) -> None:
        if logprobs:
            part.has_logprobs = True
            events.append(Logprobs(_json.check_depth(list(logprobs))))

    def _check_calls(self) -> None:
        """Raise if a call was not received whole: the arguments of half a call may be valid JSON."""
        for item in self._items:
            is_truncated = item.fields.get("status") == "incomplete" or (
                not item.is_done and self._status == "incomplete"
            )
            if item.kind in _CALLS and (is_truncated or not item.is_call_started):
                raise IncompleteToolCall(
                    f"the response ended inside the tool call {item.fields.get('name')!r}. The call must not be "
                    "executed (hint: raise max_tokens if the finish reason is 'length')",
                    code="IncompleteToolCall",
                )

    def _emit_items(self, events: list[Event]) -> None:
        self._blocks.flush(events)
        if self._has_new_items:
            self._has_new_items = False
            events.append(ProviderData("output_items", self._items.to_json()))

    def _send_metadata(self, events: list[Event]) -> None:
        """Emit the metadata before the first output: `response.created` alone must not prevent a retry."""
        if self._metadata is not None and not self._is_metadata_sent:
            self._is_metadata_sent = True
            events.insert(0, self._metadata)

    # The readers of the typed events, for the table below.

    def _read_text_delta(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        text = payload["delta"]
        key = (payload.get("item_id"), payload.get("output_index"), payload.get("content_index"))
        if key != self._text_key:
            self._text_item = self._items.find(payload, "message")
            self._text_part = self._items.part(self._text_item, "text", key[2])
            self._text_key, self._text_position = key, ()
            self._has_new_items = True
        self._text_part.text.write(text)
        if text:
            if self._blocks.position is not self._text_position:
                self._text_position = self._blocks.enter(self._text_item, "text", key[2], events)
            choice.text.write(text)
            events.append(TextDelta(text))
        if logprobs := payload.get("logprobs"):
            self._add_logprobs(self._text_part, logprobs, events)

    def _read_refusal_delta(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "message")
        self._items.part(item, "refusal", payload.get("content_index")).text.write(payload["delta"])
        self._has_new_items = True
        self._blocks.enter(item, "refusal", payload.get("content_index"), events)
        choice.add_refusal(payload["delta"], events)

    def _read_reasoning_delta(self, payload: Json, _: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "reasoning")
        position = reasoning_position(payload)
        is_new = position not in item.parts
        self._items.part(item, *position).text.write(payload["delta"])
        self._has_new_items = True
        if payload["delta"]:
            self._blocks.enter(item, *position, events)
            self._emit_reasoning(payload["delta"], events, is_new=is_new)

    def _read_reasoning_done(self, payload: Json, _: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "reasoning")
        text = payload.get("text") or (payload.get("part") or {}).get("text")
        self._add_reasoning_rest(item, reasoning_position(payload), text, events)

    def _read_part_done(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        """Read a whole content part, or the whole text of one."""
        part = payload.get("part") or {name: payload[name] for name in ("text", "refusal") if name in payload}
        if part.get("type") == "reasoning_text":
            self._read_reasoning_done(payload, choice, events)
        else:
            self._complete_part(
                self._items.find(payload, "message"), part, payload.get("content_index"), choice, events
            )

    def _read_annotation(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "message")
        self._items.part(item, "text", payload.get("content_index")).annotations += 1
        choice.add_media("annotations", [payload["annotation"]], events)

    def _read_arguments_delta(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "function_call")
        self._has_new_items = True
        if item.is_call_started:
            choice.add_calls([{"index": item.number, "function": {"arguments": payload["delta"]}}], events)
        else:  # name and id follow with the whole item
            self._items.part(item, "arguments", None).text.write(payload["delta"])

    def _read_arguments_done(self, payload: Json, _: ChoiceState, events: list[Event]) -> None:
        item = self._items.find(payload, "function_call")
        entry = {"index": item.number, "function": {"arguments": payload.get("arguments")}}
        if item.is_call_started:
            self._merge_call(entry, events)

    def _read_field_delta(self, payload: Json, _: ChoiceState, events: list[Event]) -> None:
        kind, field = _FIELD_DELTAS[payload["type"]]
        self._items.part(self._items.find(payload, kind), field, None).text.write(payload["delta"])
        self._has_new_items = True

    def _read_item_added(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        fields = payload["item"]
        item = self._items.start(fields, payload.get("output_index"))
        self._has_new_items = True
        if item.kind == "function_call" and fields.get("name") and not item.is_call_started:
            item.is_call_started = True
            self._blocks.flush(events)
            choice.add_calls([item.to_tool_call()], events)

    def _read_item_done(self, payload: Json, choice: ChoiceState, events: list[Event]) -> None:
        self._complete(self._items.end(payload["item"], payload.get("output_index")), choice, events)


#: Kinds of items that are calls of the user's own tools.
_CALLS = frozenset({"function_call", "custom_tool_call"})

_Reader = Callable[[ResponsesDecoder, Json, ChoiceState, list[Event]], None]

#: Deltas of a field of a tool call, and the kind of the item: they are part of its item only.
_FIELD_DELTAS = {
    "response.code_interpreter_call_code.delta": ("code_interpreter_call", "code"),
    "response.mcp_call_arguments.delta": ("mcp_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
}

#: Readers of the events that have output. `_read_other` reads all others.
_EVENTS: Mapping[Any, _Reader] = {
    "response.output_text.delta": ResponsesDecoder._read_text_delta,
    "response.output_text.done": ResponsesDecoder._read_part_done,
    "response.output_text.annotation.added": ResponsesDecoder._read_annotation,
    "response.content_part.done": ResponsesDecoder._read_part_done,
    "response.refusal.delta": ResponsesDecoder._read_refusal_delta,
    "response.refusal.done": ResponsesDecoder._read_part_done,
    "response.reasoning_text.delta": ResponsesDecoder._read_reasoning_delta,
    "response.reasoning_text.done": ResponsesDecoder._read_reasoning_done,
    "response.reasoning_summary_text.delta": ResponsesDecoder._read_reasoning_delta,
    "response.reasoning_summary_text.done": ResponsesDecoder._read_reasoning_done,
    "response.reasoning_summary_part.done": ResponsesDecoder._read_reasoning_done,
    "response.function_call_arguments.delta": ResponsesDecoder._read_arguments_delta,
    "response.function_call_arguments.done": ResponsesDecoder._read_arguments_done,
    "response.output_item.added": ResponsesDecoder._read_item_added,
    "response.output_item.done": ResponsesDecoder._read_item_done,
    **dict.fromkeys(_FIELD_DELTAS, ResponsesDecoder._read_field_delta),
}

_WHOLE_ITEMS: Mapping[str, Callable[[ResponsesDecoder, OutputItem, ChoiceState, list[Event]], None]] = {
    "message": ResponsesDecoder._complete_message,
    "reasoning": ResponsesDecoder._complete_reasoning,
    **dict.fromkeys(_CALLS, ResponsesDecoder._complete_call),
}
