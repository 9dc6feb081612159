"""Output items of a response, each with the events of its stream."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.emulator.model_server._chat import fake_logprob
from mdstream_core.emulator.model_server._responses_formats import Json, ResponsesFormat
from mdstream_core.emulator.model_server.responses._conversion import custom_tool_names
from mdstream_core.emulator.model_server.responses._hosted_tools import hosted_events, opening_fields, visible_item
from mdstream_core.emulator.model_server.responses._reasoning import encrypt

EventFields = tuple[str, Json]
"""Type of an event and its fields, without `sequence_number` and `output_index`."""


@dataclass(frozen=True, slots=True)
class OutputItem:
    """An output item.

    Attributes:
        final: The complete item.
        opening: The item in `response.output_item.added`.
        events: Events between `added` and `done`.
    """

    final: Json
    opening: Json
    events: Sequence[EventFields] = field(default=())


class OutputBuilder:
    """Builds the output items of a response in the format of one server.

    Args:
        format: Format of the server.
        request: The request.
        response_id: Id of the response, from which those of the items are derived.
        output: Output of the model.
    """

    def __init__(self, format: ResponsesFormat, request: Json, response_id: str, output: ModelOutput) -> None:
        self._format = format
        self._request = request
        self._response_id = response_id
        self._output = output
        self._custom = custom_tool_names(request)
        self._include = frozenset(request.get("include") or ())

    def build(self) -> list[OutputItem]:
        """Build the items: reasoning, built-in tools, calls and message in the server's order."""
        output = self._output
        is_truncated = output.finish in {"length", "content_filter", "error"}
        has_message = bool(output.text or output.refusal or not (output.tool_calls or output.items))
        calls = [(self._call, call) for call in output.tool_calls]
        parts: list[tuple[Callable[[Any, bool], OutputItem], Any]] = []
        if output.reasoning:
            parts.append((self._reasoning, None))
        parts += [(self._hosted, item) for item in output.items]
        if self._format.sends_call_whole:
            parts += [*calls, (self._message, None)]
        else:
            parts += [*([(self._message, None)] if has_message else []), *calls]
        last = len(parts) - 1
        return [build(argument, is_truncated and index == last) for index, (build, argument) in enumerate(parts)]

    def _id(self, prefix: str, key: str = "") -> str:
        if not self._format.has_event_names:  # transformers
            return f"{prefix}_{self._response_id.removeprefix('resp_')}"
        digest = hashlib.sha256(f"{self._response_id}/{prefix}/{key}".encode()).hexdigest()
        return f"{prefix}_{digest[:16]}"

    # Reasoning

    def _reasoning(self, _: None, is_truncated: bool) -> OutputItem:
        text, status = "".join(self._output.reasoning), "incomplete" if is_truncated else "completed"
        id = self._id("rs")
        opening: Json = {"id": id, "type": "reasoning", "summary": []}
        encrypted = {"encrypted_content": encrypt(text)} if "reasoning.encrypted_content" in self._include else {}
        if not self._format.has_summaries or "gpt-oss" in str(self._request.get("model")):
            content = [{"text": text, "type": "reasoning_text"}]
            opening |= {"content": None, "encrypted_content": None, "status": "in_progress"}
            final = {**opening, "content": content, **encrypted, "status": status}
            return OutputItem(final, opening, list(self._reasoning_text_events(id, text)))
        summaries = self._summaries()
        summary = [{"type": "summary_text", "text": "".join(tokens)} for tokens in summaries]
        first = {"encrypted_content": ""} if encrypted else {}
        return OutputItem(
            {**opening, **encrypted, "summary": summary}, {**opening, **first}, list(_summary_events(id, summaries))
        )

    def _summaries(self) -> list[list[str]]:
        """Split the reasoning at its line ends into the parts of a summary; none if the request asks for none."""
        if not (self._request.get("reasoning") or {}).get("summary"):
            return []
        parts: list[list[str]] = [[]]
        for token in self._output.reasoning:
            if token.startswith("\n"):
                parts.append([])
            parts[-1].append(token.removeprefix("\n"))
        return [part for part in parts if part]

    def _reasoning_text_events(self, id: str, text: str) -> Iterator[EventFields]:
        position: Json = {"content_index": 0, "item_id": id}
        prefix = self._format.part_events
        yield f"{prefix}.added", {**position, "part": {"text": "", "type": "reasoning_text"}}
        for token in self._output.reasoning:
            yield "response.reasoning_text.delta", {**position, "delta": token}
        yield "response.reasoning_text.done", {**position, "text": text}
        yield f"{prefix}.done", {**position, "part": {"text": text, "type": "reasoning_text"}}

    # Messages

    def _message(self, _: None, is_truncated: bool) -> OutputItem:
        output, id = self._output, self._id("msg")
        status = "incomplete" if is_truncated else "completed"
        opening: Json = {
            "id": id,
            "content": [],
            "role": "assistant",
            "status": "in_progress",
            "type": "message",
            **self._format.message,
        }
        contents: list[Json] = []
        events: list[EventFields] = []
        if output.text or not output.refusal:
            contents.append(self._text_part())
            events += self._text_events(id, contents[0])
        if output.refusal:
            refusal = "".join(output.refusal)
            events += _refusal_events({"content_index": len(contents), "item_id": id}, output.refusal)
            contents.append({"type": "refusal", "refusal": refusal})
        final = {**opening, "content": contents, "status": status, **self._format.done_message}
        return OutputItem(final, opening, events)

    def _text_part(self) -> Json:
        annotations = [*self._output.annotations]
        part = {"annotations": annotations, "text": "".join(self._output.text), "type": "output_text"}
        return {**part, **self._format.text_parts[1], **self._logprobs(self._output.text, {})}

    def _logprobs(self, tokens: Sequence[str], default: Json) -> Json:
        if "message.output_text.logprobs" not in self._include:
            return default
        return {"logprobs": [fake_logprob(token, self._request.get("top_logprobs") or 0) for token in tokens]}

    def _text_events(self, id: str, part: Json) -> Iterator[EventFields]:
        position: Json = {"content_index": 0, "item_id": id}
        opening = {"annotations": [], "text": "", "type": "output_text", **self._format.text_parts[0]}
        yield "response.content_part.added", {**position, "part": opening}
        for token in self._output.text:
            fields = {"content_index": 0, "delta": token, "item_id": id}
            yield "response.output_text.delta", {**fields, **self._logprobs([token], {"logprobs": []})}
        for index, annotation in enumerate(self._output.annotations):
            fields = {**position, "annotation_index": index, "annotation": annotation}
            yield "response.output_text.annotation.added", fields
        logprobs = self._logprobs(self._output.text, {"logprobs": []})
        yield "response.output_text.done", {**position, **logprobs, "text": part["text"]}
        yield "response.content_part.done", {**position, "part": part}

    # Calls

    def _call(self, call: ToolCall, is_truncated: bool) -> OutputItem:
        arguments = "".join(call.arguments)
        if call.name in self._custom and not is_truncated:
            return self._custom_call(call, arguments)
        id, call_id = self._id("fc", call.id), call.id
        if not self._format.has_event_names:
            number = self._output.tool_calls.index(call)
            id = call_id = f"{self._response_id.removeprefix('resp_')}_tool_call_{number}"
        item = {"arguments": arguments, "call_id": call_id, "name": call.name, "type": "function_call", "id": id}
        item |= self._format.call
        final = {**item, "status": "incomplete" if is_truncated else "completed"}
        done = "response.function_call_arguments.done", {"arguments": arguments, "item_id": id, "name": call.name}
        if self._format.sends_call_whole:
            return OutputItem(final, final, [done])
        opening = {**item, "arguments": "", "status": "in_progress"}
        deltas = [
            ("response.function_call_arguments.delta", {"delta": token, "item_id": id}) for token in call.arguments
        ]
        return OutputItem(final, opening, deltas if is_truncated else [*deltas, done])

    def _custom_call(self, call: ToolCall, arguments: str) -> OutputItem:
        """Build the call of a custom tool, whose input is a text."""
        text, id = str(json.loads(arguments).get("input", "")), self._id("ctc", call.id)
        item = {"id": id, "type": "custom_tool_call", "call_id": call.id, "name": call.name, "status": "completed"}
        events = [
            ("response.custom_tool_call_input.delta", {"item_id": id, "delta": text}),
            ("response.custom_tool_call_input.done", {"item_id": id, "input": text}),
        ]
        return OutputItem({**item, "input": text}, {**item, "input": "", "status": "in_progress"}, events)

    # Built-in tools

    def _hosted(self, item: Json, is_truncated: bool) -> OutputItem:
        final = visible_item(item, self._include)
        counts = (tool.get("partial_images") for tool in self._request.get("tools") or ())
        return OutputItem(final, opening_fields(final), list(hosted_events(final, next(filter(None, counts), 0))))


def _summary_events(id: str, parts: Sequence[Sequence[str]]) -> Iterator[EventFields]:
    for index, tokens in enumerate(parts):
        position: Json = {"item_id": id, "summary_index": index}
        text = "".join(tokens)
        yield "response.reasoning_summary_part.added", {**position, "part": {"type": "summary_text", "text": ""}}
        for token in tokens:
            yield "response.reasoning_summary_text.delta", {**position, "delta": token}
        yield "response.reasoning_summary_text.done", {**position, "text": text}
        yield "response.reasoning_summary_part.done", {**position, "part": {"type": "summary_text", "text": text}}


def _refusal_events(position: Json, tokens: Sequence[str]) -> Iterator[EventFields]:
    refusal = "".join(tokens)
    yield "response.content_part.added", {**position, "part": {"type": "refusal", "refusal": ""}}
    for token in tokens:
        yield "response.refusal.delta", {**position, "delta": token}
    yield "response.refusal.done", {**position, "refusal": refusal}
    yield "response.content_part.done", {**position, "part": {"type": "refusal", "refusal": refusal}}
