"""GENERIC, the format in which OCI Generative AI speaks with models of Meta, xAI, OpenAI, Google and Mistral.

    data: {"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":" I"}]},"pad":"aaaaa"}
    data: {"finishReason":"stop","pad":"aa"}
    data: {"usage":{"promptTokens":18,"completionTokens":4,"totalTokens":22}}

`pad` hides how long the tokens are. The usage comes after the finish event, if it was asked for; `[DONE]` comes from
some models; the connection may stay open. Sources: see `_oci_reading`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from mdstream_core.dialects import _oci_requests as asking
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._choice_decoder import error_in_choice, has_output, is_error
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._oci_model_quirks import ModelQuirks, find_quirks, relax_oci_payload
from mdstream_core.dialects._oci_requests import Json, Row
from mdstream_core.dialects._oci_responses import OCIChoice, OCIDecoder, logprobs_event
from mdstream_core.dialects._oci_schema import resolve_references, tool_parameters
from mdstream_core.dialects._tool_results import CallPlace, pair_results, with_call_ids
from mdstream_core.dialects._whole_message import read_full_message
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, TextDelta

#: What a choice or its message may say beside the answer.
_PROVIDER_FIELDS = frozenset({"groundingMetadata", "serviceTier"})
#: The names of a message's fields in OpenAI's shape.
_OPENAI_NAMES = {"reasoningContent": "reasoning_content", "toolCalls": "tool_calls"}
_ANNOTATIONS = frozenset({"annotations"})


class GenericDecoder(OCIDecoder):
    """Reads one answer."""

    api_format: ClassVar[str] = "GENERIC"
    usage_follows: ClassVar[bool] = True

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Add the events of a payload."""
        response = payload.get("chatResponse") or payload
        choices = response.get("choices")
        if isinstance(choices, list):
            for wire in choices:
                self._one(wire, events, is_sum="chatResponse" in payload)
        elif isinstance(payload.get("message"), dict) or "finishReason" in payload:
            self._one(payload, events, is_sum=False)
        usage = response.get("usage")
        if usage is None and isinstance(choices, list) and choices:  # then a choice may have its own
            usage = choices[0].get("usage")
        if usage:
            self.add_usage(usage, events)
        if "modelId" in payload:
            self.add_metadata(events, payload["modelId"])

    def _one(self, wire: Mapping[str, Any], events: list[Event], *, is_sum: bool) -> None:
        message, choice = wire.get("message"), self.choice(wire.get("index"))
        if message and is_sum and choice.has_output:
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
            if isinstance(text, str) and text:  # a token
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
    """`/actions/chat` with `apiFormat` GENERIC.

    Args:
        family: `google` or `openai`, for their models under other names; by default the model's name says it.
    """

    route = "/actions/chat"

    def __init__(self, family: str = "") -> None:
        self.name = f"oci-generic-{family}" if family else "oci-generic"
        self._family = family

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """The `chatRequest`. The model's name stays in it: the platform puts it into the envelope."""
        facts = find_quirks(params.get("model"), self._family)
        limit = asking.rename_to(facts.limit)
        rows: dict[str, Row] = {
            **_PARAMETER_MAP,
            "max_tokens": limit,
            "max_output_tokens": asking.drop if params.get("max_tokens") else limit,  # Gemini's own name
            "messages": lambda messages: {"messages": _messages(messages, facts)},
            "response_format": lambda wanted: _format(wanted, facts),
            "tools": lambda tools: {"tools": [_tool(tool, facts) for tool in tools]} if tools else {},
        }
        translated = asking.translate_params(params, rows)
        return {"apiFormat": "GENERIC", **translated, **asking.stream_options(params, stream=stream)}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Without the one parameter that this model refuses, or under its other name; warns."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return GenericDecoder()


def _messages(messages: Sequence[Mapping[str, Any]], facts: ModelQuirks) -> list[Json]:
    named = with_call_ids(messages, across_turns=True)
    ordered = _split_parallel_calls(named) if facts.one_call_each else named
    return [_message(message) for message in ordered]


def _message(message: Mapping[str, Any]) -> Json:
    role = asking.map_role(message, _ROLES)
    content = filter_assistant_content(message, _PARTS)
    parts = (
        [{"type": "TEXT", "text": content or ""}] if content is None or isinstance(content, str) else _parts(content)
    )
    said: Json = {"role": role, "content": parts}
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    if calls:
        said["toolCalls"] = calls
        if not any(part.get("text") for part in parts):
            said["content"] = [{"type": "TEXT", "text": asking.PLACEHOLDER_TEXT}]
    for ours, theirs in _PARTS_BY_ROLE[role].items():
        if value := message.get(ours):
            said[theirs] = value
    return said


_ROLES = {
    "system": "SYSTEM",
    "developer": "DEVELOPER",
    "user": "USER",
    "assistant": "ASSISTANT",
    "tool": "TOOL",
    "function": "TOOL",
}

#: Which further fields a message of a role may have.
_PARTS_BY_ROLE: dict[str, dict[str, str]] = {
    "SYSTEM": {"name": "name"},
    "DEVELOPER": {"name": "name"},
    "USER": {"name": "name"},
    "ASSISTANT": {"name": "name", "refusal": "refusal", "reasoning_content": "reasoningContent"},
    "TOOL": {"tool_call_id": "toolCallId"},
}


def _call(call: Mapping[str, Any]) -> Json:
    """Flat: OCI has no `function` object."""
    name = call["function"]["name"]
    return {"id": call.get("id"), "type": "FUNCTION", "name": name, "arguments": asking.serialize_arguments(call)}


def _parts(content: Sequence[Any]) -> list[Json]:
    return [_part({"type": "text", "text": part} if isinstance(part, str) else part) for part in content] or [
        {"type": "TEXT", "text": ""}
    ]


def _part(part: Mapping[str, Any]) -> Json:
    make = _PARTS.get(str(part.get("type")))
    if make is None:
        raise asking.unsupported_part(part, ", ".join(_PARTS))
    made: Json = make(part)
    return made


def _url_part(kind: str, wire: str, ours: str) -> Any:
    """A part that is a URL or a data URL, with the detail that is wanted of it."""

    def build(part: Mapping[str, Any]) -> Json:
        given = part[ours]
        given = given if isinstance(given, Mapping) else {"url": given}
        detail = {"detail": str(given["detail"]).upper()} if given.get("detail") else {}
        return {"type": kind, wire: {"url": given["url"], **detail}}

    return build


def _audio_part(part: Mapping[str, Any]) -> Json:
    sound = part["input_audio"]
    url = f"data:audio/{sound.get('format', 'wav')};base64,{sound['data']}"
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


def _tool(tool: Mapping[str, Any], facts: ModelQuirks) -> Json:
    function = asking.tool_function(tool)
    schema = tool_parameters(function.get("parameters"), facts.rejected, strict=bool(function.get("strict")))
    description = {"description": function["description"]} if function.get("description") else {}
    return {"type": "FUNCTION", "name": function["name"], **description, "parameters": schema}


def _split_parallel_calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each of several parallel calls in a message of its own, followed by its own results."""
    pairs = pair_results(messages)
    results: dict[CallPlace, list[Mapping[str, Any]]] = {}
    for at, place in pairs.items():
        results.setdefault(place, []).append(messages[at])
    for at, message in enumerate(messages):
        calls = message.get("tool_calls")
        if not calls and at not in pairs:
            yield message
        for number, call in enumerate(calls or ()):
            yield {**message, **(_EMPTY_FIELDS if number else {}), "tool_calls": [call]}
            yield from results.get((at, number), ())


#: What only the first of several messages that were one says.
_EMPTY_FIELDS = {"content": None, "reasoning_content": None}


def _choice(choice: Any) -> Json:
    if isinstance(choice, dict):
        return {"toolChoice": {"type": "FUNCTION", "name": (choice.get("function") or choice)["name"]}}
    return {"toolChoice": {"type": {"any": "REQUIRED"}.get(choice, str(choice).upper())}}


def _format(wanted: Mapping[str, Any], facts: ModelQuirks) -> Json:
    kind = str(wanted.get("type", "text")).upper()
    if kind != "JSON_SCHEMA":
        return {"responseFormat": {"type": kind}}
    given = wanted["json_schema"]
    schema: Json = {
        "name": given.get("name") or "answer",
        "schema": resolve_references(given.get("schema"), facts.rejected),
    }
    if given.get("description"):
        schema["description"] = given["description"]
    if given.get("strict") is not None:
        schema["isStrict"] = given["strict"]
    return {"responseFormat": {"type": kind, "jsonSchema": schema}}


def _prediction(given: Mapping[str, Any]) -> Json:
    content = given.get("content")
    parts = [{"type": "TEXT", "text": content}] if isinstance(content, str) else _parts(content or ())
    return {"prediction": {"type": "CONTENT", "content": parts}}


_PARAMETER_MAP: dict[str, Row] = {
    **asking.NAMES,
    "max_completion_tokens": asking.rename_to("maxCompletionTokens"),
    "n": asking.rename_to("numGenerations"),
    "seed": asking.rename_to("seed"),
    "stop": asking.list_as("stop"),
    "logit_bias": asking.rename_to("logitBias"),
    "logprobs": lambda wanted: {"logProbs": 1} if wanted is True else {"logProbs": wanted} if wanted else {},
    "top_logprobs": asking.rename_to("logProbs"),
    "parallel_tool_calls": asking.rename_to("isParallelToolCalls"),
    "reasoning_effort": asking.uppercase_as("reasoningEffort"),
    "verbosity": asking.uppercase_as("verbosity"),
    "service_tier": asking.uppercase_as("serviceTier"),
    "tool_choice": _choice,
    "prediction": _prediction,
}
