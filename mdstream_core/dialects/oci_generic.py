"""Dialect of GENERIC, OCI Generative AI's format for models of Meta, xAI, OpenAI, Google and Mistral.

    data: {"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":" I"}]},"pad":"aaaaa"}
    data: {"finishReason":"stop","pad":"aa"}
    data: {"usage":{"promptTokens":18,"completionTokens":4,"totalTokens":22}}

`pad` hides the length of tokens. The usage follows the finish event if it was requested; some models send `[DONE]`; the
connection may stay open. Sources: see `_oci_responses`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from mdstream_core.dialects import _oci_requests as oci
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._choice_decoder import error_in_choice, has_output, is_error
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._oci_model_quirks import ModelQuirks, find_quirks, relax_oci_payload
from mdstream_core.dialects._oci_requests import Json, ParameterRule
from mdstream_core.dialects._oci_responses import OCIChoice, OCIDecoder, logprobs_event
from mdstream_core.dialects._oci_schema import resolve_references, tool_parameters
from mdstream_core.dialects._tool_media import move_tool_media
from mdstream_core.dialects._tool_results import CallPosition, pair_results, with_call_ids
from mdstream_core.dialects._whole_message import read_full_message
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, TextDelta

#: Fields of a choice that are passed through as `ProviderData`.
_PROVIDER_FIELDS = frozenset({"groundingMetadata", "serviceTier"})
#: OpenAI's names for the fields of a message.
_OPENAI_NAMES = {"reasoningContent": "reasoning_content", "toolCalls": "tool_calls"}
_ANNOTATIONS = frozenset({"annotations"})


class GenericDecoder(OCIDecoder):
    """Decoder for one response in format GENERIC."""

    api_format: ClassVar[str] = "GENERIC"
    usage_follows: ClassVar[bool] = True

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Append the events of a payload to `events`."""
        response = payload.get("chatResponse") or payload
        choices = response.get("choices")
        if isinstance(choices, list):
            for wire in choices:
                self._read_choice(wire, events, is_whole="chatResponse" in payload)
        elif isinstance(payload.get("message"), dict) or "finishReason" in payload:
            self._read_choice(payload, events, is_whole=False)
        usage = response.get("usage")
        if usage is None and isinstance(choices, list) and choices:  # the first choice may have it
            usage = choices[0].get("usage")
        if usage:
            self.add_usage(usage, events)
        if "modelId" in payload:
            self.add_metadata(events, payload["modelId"])

    def _read_choice(self, wire: Mapping[str, Any], events: list[Event], *, is_whole: bool) -> None:
        message, choice = wire.get("message"), self.choice(wire.get("index"))
        if message and is_whole and choice.has_output:
            read_full_message({_OPENAI_NAMES.get(name, name): value for name, value in message.items()}, choice, events)
        elif message:
            before = len(events)
            self._message(message, choice, events)
            if choice.reason and has_output(events[before:]):
                self.reopen(choice)
        if probabilities := wire.get("logprobs"):
            logprobs_event(probabilities, choice, events)
        self.add_provider_data(wire, _PROVIDER_FIELDS, events, choice.index)
        if is_error(error := wire.get("error")):
            raise error_in_choice(error, wire)
        if reason := wire.get("finishReason"):
            self.finish_choice(choice, reason, events, wire)

    def _message(self, message: Mapping[str, Any], choice: OCIChoice, events: list[Event]) -> None:
        if reasoning := message.get("reasoningContent"):
            choice.add_reasoning(reasoning, events)
        content = message.get("content") or ()
        for part in content if isinstance(content, list) else [content] if content else ():
            text = part.get("text") if isinstance(part, dict) and part.get("type") == "TEXT" else None
            if isinstance(text, str) and text:  # the fast path: one token
                choice.text.write(text)
                events.append(TextDelta(text, choice.index))
            else:
                read_content([part], choice, events)
        if refusal := message.get("refusal"):
            choice.add_refusal(refusal, events)
        if calls := message.get("toolCalls"):
            choice.add_calls(calls, events)
        self.add_provider_data(message, _ANNOTATIONS, events, choice.index)


class OCIGeneric(NotResumableMixin):
    """Dialect of `/actions/chat` with `apiFormat` GENERIC.

    Args:
        family: The model family, `google` or `openai`; empty (the default) to detect it by the model name.
    """

    route = "/actions/chat"

    def __init__(self, family: str = "") -> None:
        self.name = f"oci-generic-{family}" if family else "oci-generic"
        self._family = family

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """Build the `chatRequest`. It contains the model name, which the platform moves to the envelope."""
        quirks = find_quirks(params.get("model"), self._family)
        max_tokens = oci.rename_to(quirks.max_tokens_name)
        rules: dict[str, ParameterRule] = {
            **_PARAMETER_RULES,
            "max_tokens": max_tokens,
            "max_output_tokens": oci.drop if params.get("max_tokens") else max_tokens,  # Gemini's name
            "messages": lambda messages: {"messages": _messages(messages, quirks)},
            "response_format": lambda response_format: _response_format(response_format, quirks),
            "tools": lambda tools: {"tools": [_tool(tool, quirks) for tool in tools]} if tools else {},
        }
        translated = oci.translate_params(params, rules)
        return {"apiFormat": "GENERIC", **translated, **oci.stream_options(params, stream=stream)}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Drop or rename the parameter that the model rejected, with a warning."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return GenericDecoder()


def _messages(messages: Sequence[Mapping[str, Any]], quirks: ModelQuirks) -> list[Json]:
    with_ids = move_tool_media(with_call_ids(messages, across_turns=True))
    ordered = _split_parallel_calls(with_ids) if quirks.sequential_tool_calls else with_ids
    return [_message(message) for message in ordered]


def _message(message: Mapping[str, Any]) -> Json:
    role = oci.map_role(message, _ROLES)
    content = filter_assistant_content(message, _PARTS)
    parts = (
        [{"type": "TEXT", "text": content or ""}] if content is None or isinstance(content, str) else _parts(content)
    )
    converted: Json = {"role": role, "content": parts}
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    if calls:
        converted["toolCalls"] = calls
        if not any(part.get("text") for part in parts):
            converted["content"] = [{"type": "TEXT", "text": oci.PLACEHOLDER_TEXT}]
    for name, oci_name in _FIELDS_BY_ROLE[role].items():
        if value := message.get(name):
            converted[oci_name] = value
    return converted


_ROLES = {
    "system": "SYSTEM",
    "developer": "DEVELOPER",
    "user": "USER",
    "assistant": "ASSISTANT",
    "tool": "TOOL",
    "function": "TOOL",
}

#: Further fields that a message of a role may have, and their OCI names.
_FIELDS_BY_ROLE: dict[str, dict[str, str]] = {
    "SYSTEM": {"name": "name"},
    "DEVELOPER": {"name": "name"},
    "USER": {"name": "name"},
    "ASSISTANT": {"name": "name", "refusal": "refusal", "reasoning_content": "reasoningContent"},
    "TOOL": {"tool_call_id": "toolCallId"},
}


def _call(call: Mapping[str, Any]) -> Json:
    """Convert a tool call: OCI has no `function` object."""
    name = call["function"]["name"]
    return {"id": call.get("id"), "type": "FUNCTION", "name": name, "arguments": oci.serialize_arguments(call)}


def _parts(content: Sequence[Any]) -> list[Json]:
    return [_part({"type": "text", "text": part} if isinstance(part, str) else part) for part in content] or [
        {"type": "TEXT", "text": ""}
    ]


def _part(part: Mapping[str, Any]) -> Json:
    convert = _PARTS.get(str(part.get("type")))
    if convert is None:
        raise oci.unsupported_part_error(part, ", ".join(_PARTS))
    converted: Json = convert(part)
    return converted


def _url_part(kind: str, oci_name: str, name: str) -> Any:
    """Return the converter of a part with a URL or data URL and an optional `detail`."""

    def build(part: Mapping[str, Any]) -> Json:
        media = part[name]
        media = media if isinstance(media, Mapping) else {"url": media}
        detail = {"detail": str(media["detail"]).upper()} if media.get("detail") else {}
        return {"type": kind, oci_name: {"url": media["url"], **detail}}

    return build


def _audio_part(part: Mapping[str, Any]) -> Json:
    audio = part["input_audio"]
    url = f"data:audio/{audio.get('format', 'wav')};base64,{audio['data']}"
    return {"type": "AUDIO", "audioUrl": {"url": url}}


def _file_part(part: Mapping[str, Any]) -> Json:
    return {"type": "DOCUMENT", "documentUrl": {"url": part["file"]["file_data"]}}


_PARTS: dict[str, Any] = {
    "text": lambda part: {"type": "TEXT", "text": part["text"]},
    "refusal": lambda part: {"type": "TEXT", "text": part["refusal"]},
    "image_url": _url_part("IMAGE", "imageUrl", "image_url"),
    "video_url": _url_part("VIDEO", "videoUrl", "video_url"),
    "audio_url": _url_part("AUDIO", "audioUrl", "audio_url"),
    "document_url": _url_part("DOCUMENT", "documentUrl", "document_url"),
    "input_audio": _audio_part,
    "file": _file_part,
}


def _tool(tool: Mapping[str, Any], quirks: ModelQuirks) -> Json:
    function = oci.tool_function(tool)
    schema = tool_parameters(function.get("parameters"), quirks.rejected_keywords, strict=bool(function.get("strict")))
    description = {"description": function["description"]} if function.get("description") else {}
    return {"type": "FUNCTION", "name": function["name"], **description, "parameters": schema}


def _split_parallel_calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Split messages with parallel tool calls: one message for each call, followed by the results of that call."""
    pairs = pair_results(messages)
    results: dict[CallPosition, list[Mapping[str, Any]]] = {}
    for at, position in pairs.items():
        results.setdefault(position, []).append(messages[at])
    for at, message in enumerate(messages):
        calls = message.get("tool_calls")
        if not calls and at not in pairs:
            yield message
        for number, call in enumerate(calls or ()):
            yield {**message, **(_EMPTY_FIELDS if number else {}), "tool_calls": [call]}
            yield from results.get((at, number), ())


#: Fields that only the first of the split messages keeps.
_EMPTY_FIELDS = {"content": None, "reasoning_content": None}


def _choice(choice: Any) -> Json:
    if isinstance(choice, dict):
        return {"toolChoice": {"type": "FUNCTION", "name": (choice.get("function") or choice)["name"]}}
    return {"toolChoice": {"type": {"any": "REQUIRED"}.get(choice, str(choice).upper())}}


def _response_format(response_format: Mapping[str, Any], quirks: ModelQuirks) -> Json:
    kind = str(response_format.get("type", "text")).upper()
    if kind != "JSON_SCHEMA":
        return {"responseFormat": {"type": kind}}
    json_schema = response_format["json_schema"]
    schema: Json = {
        "name": json_schema.get("name") or "answer",
        "schema": resolve_references(json_schema.get("schema"), quirks.rejected_keywords),
    }
    if json_schema.get("description"):
        schema["description"] = json_schema["description"]
    if json_schema.get("strict") is not None:
        schema["isStrict"] = json_schema["strict"]
    return {"responseFormat": {"type": kind, "jsonSchema": schema}}


def _prediction(prediction: Mapping[str, Any]) -> Json:
    content = prediction.get("content")
    parts = [{"type": "TEXT", "text": content}] if isinstance(content, str) else _parts(content or ())
    return {"prediction": {"type": "CONTENT", "content": parts}}


_PARAMETER_RULES: dict[str, ParameterRule] = {
    **oci.COMMON_PARAMETERS,
    "max_completion_tokens": oci.rename_to("maxCompletionTokens"),
    "n": oci.rename_to("numGenerations"),
    "seed": oci.rename_to("seed"),
    "stop": oci.list_as("stop"),
    "logit_bias": oci.rename_to("logitBias"),
    "logprobs": lambda value: {"logProbs": 1} if value is True else {"logProbs": value} if value else {},
    "top_logprobs": oci.rename_to("logProbs"),
    "parallel_tool_calls": oci.rename_to("isParallelToolCalls"),
    "reasoning_effort": oci.uppercase_as("reasoningEffort"),
    "verbosity": oci.uppercase_as("verbosity"),
    "service_tier": oci.uppercase_as("serviceTier"),
    "tool_choice": _choice,
    "prediction": _prediction,
}
