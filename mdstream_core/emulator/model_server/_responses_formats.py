"""Formats of `/v1/responses`: what the servers do differently, one row for each.

Sources: recorded streams of vLLM 0.32 and of `transformers serve` 5.23 (`samples/*-responses*.txt`), and the models of
OpenAI's SDK for the service's own format. Recordings of truncated responses and of reasoning are missing: those parts
follow OpenAI's documentation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResponsesFormat:
    """The format of one server.

    Attributes:
        document: Builds the response object from the request and the fields that every server has.
        usage: Builds the usage from the numbers of input, cached, output and reasoning tokens.
        has_event_names: Whether events have an `event:` line.
        type_first: Whether `type` and `sequence_number` are the first fields of an event, or the last ones.
        first_status: Status in `response.created`.
        message: More fields of a message.
        done_message: More fields of a complete message.
        call: More fields of a function call.
        text_parts: More fields of a text's part: in `content_part.added`, and in all later events.
        sends_call_whole: Whether a function call has no deltas and precedes a message.
        interleaves_calls: Whether the deltas of parallel calls alternate.
        has_summaries: Whether reasoning is a summary, if the request asks for one; else it is text.
        part_events: Prefix of the events of a reasoning text's part.
        pads: Whether deltas have the field `obfuscation`.
        is_strict: Whether requests are validated as OpenAI's service does: unknown and moved parameters, ids, items.
        incomplete_event: Event at the end of an incomplete response.
    """

    document: Callable[[Json, Json], Json]
    usage: Callable[[int, int, int, int], Json]
    has_event_names: bool = True
    type_first: bool = False
    first_status: str = "in_progress"
    message: Json = field(default_factory=dict)
    done_message: Json = field(default_factory=dict)
    call: Json = field(default_factory=dict)
    text_parts: tuple[Json, Json] = ({}, {})
    sends_call_whole: bool = False
    interleaves_calls: bool = False
    has_summaries: bool = False
    part_events: str = "response.content_part"
    pads: bool = False
    is_strict: bool = False
    incomplete_event: str = "response.incomplete"


def _usage(cached: Json, reasoning: Json, input_tokens: int, output_tokens: int) -> Json:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": cached,
        "output_tokens": output_tokens,
        "output_tokens_details": reasoning,
        "total_tokens": input_tokens + output_tokens,
    }


def _openai_usage(input_tokens: int, cached: int, output_tokens: int, reasoning: int) -> Json:
    details = {"cached_tokens": cached, "cache_write_tokens": 0}
    return _usage(details, {"reasoning_tokens": reasoning}, input_tokens, output_tokens)


def _transformers_usage(input_tokens: int, cached: int, output_tokens: int, reasoning: int) -> Json:
    details = {"cache_write_tokens": 0, "cached_tokens": cached}
    return _usage(details, {"reasoning_tokens": reasoning}, input_tokens, output_tokens)


def _vllm_usage(input_tokens: int, cached: int, output_tokens: int, reasoning: int) -> Json:
    before = {"cached_tokens": cached, "cache_write_tokens": 0}
    before |= {"input_tokens_per_turn": [], "cached_tokens_per_turn": []}  # type: ignore[dict-item]
    after = {"reasoning_tokens": reasoning, "tool_output_tokens": 0}
    after |= {"output_tokens_per_turn": [], "tool_output_tokens_per_turn": []}  # type: ignore[dict-item]
    return _usage(before, after, input_tokens, output_tokens)


_VLLM_TOOL = dict.fromkeys(("allowed_callers", "async", "defer_loading", "description", "output_schema"))
_VLLM_REQUEST = ("max_tool_calls", "previous_response_id", "prompt", "reasoning")


def _vllm_tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return tool
    fields = {"name": tool.get("name"), "parameters": tool.get("parameters"), "strict": tool.get("strict")}
    return {**fields, "type": "function", **_VLLM_TOOL, "description": tool.get("description")}


def _vllm_document(request: Json, fields: Json) -> Json:
    tools = [_vllm_tool(tool) for tool in request.get("tools") or ()]
    number = request.get("temperature")
    document: Json = {
        "id": fields["id"],
        "created_at": fields["created_at"],
        "incomplete_details": fields["incomplete_details"],
        "instructions": request.get("instructions"),
        "metadata": request.get("metadata"),
        "model": fields["model"],
        "object": "response",
        "output": fields["output"],
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "temperature": 1.0 if number is None else float(number),
        "tool_choice": request.get("tool_choice") or "auto" if tools else "none",
        "tools": tools,
        "top_p": 1.0 if request.get("top_p") is None else float(request["top_p"]),
        "background": bool(request.get("background")),
        "max_output_tokens": fields["max_output_tokens"],
        **{name: request.get(name) for name in _VLLM_REQUEST},
        "service_tier": request.get("service_tier") or "auto",
        "status": fields["status"],
        "text": request.get("text"),
        "top_logprobs": request.get("top_logprobs"),
        "truncation": request.get("truncation") or "disabled",
        "usage": fields["usage"],
        "user": request.get("user"),
        "presence_penalty": request.get("presence_penalty") or 0.0,
        "frequency_penalty": request.get("frequency_penalty") or 0.0,
        **dict.fromkeys(("kv_transfer_params", "ec_transfer_params", "input_messages", "output_messages")),
    }
    return document if fields["error"] is None else {**document, "error": fields["error"]}


def _transformers_document(request: Json, fields: Json) -> Json:
    document: Json = {
        "id": fields["id"],
        "created_at": float(fields["created_at"]) + 0.125,
        "model": f"{fields['model']}@main",
        "object": "response",
        "output": fields["output"],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "status": fields["status"],
    }
    optional = ("usage", "error", "incomplete_details")
    return document | {name: fields[name] for name in optional if fields[name] is not None}


_OPENAI_DEFAULTS: Json = {
    "instructions": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def _openai_tool(tool: Json) -> Json:
    return {"strict": True, **tool} if tool.get("type") == "function" else tool


def _openai_document(request: Json, fields: Json) -> Json:
    given = {name: request[name] for name in _OPENAI_DEFAULTS if request.get(name) is not None}
    text = {"format": {"type": "text"}, "verbosity": "medium", **(request.get("text") or {})}
    document: Json = {
        "id": fields["id"],
        "object": "response",
        "created_at": fields["created_at"],
        "status": fields["status"],
        "background": bool(request.get("background")),
        "completed_at": fields["created_at"] + 1 if fields["status"] == "completed" else None,
        "error": fields["error"],
        "incomplete_details": fields["incomplete_details"],
        "max_output_tokens": request.get("max_output_tokens"),
        "model": fields["model"],
        "output": fields["output"],
        **_OPENAI_DEFAULTS,
        **given,
        "reasoning": {"effort": None, "summary": None, **(request.get("reasoning") or {})},
        "service_tier": "default",
        "text": text,
        "usage": fields["usage"],
    }
    document["tools"] = [_openai_tool(tool) for tool in document["tools"]]
    conversation = fields["conversation"]
    return document if conversation is None else {**document, "conversation": {"id": conversation}}


VLLM = ResponsesFormat(
    document=_vllm_document,
    usage=_vllm_usage,
    message={"phase": None},
    call=dict.fromkeys(("async", "caller", "namespace")),
    text_parts=({"logprobs": []}, {"logprobs": None}),
    part_events="response.reasoning_part",
)
#: vLLM before 0.14 ends an incomplete response with `response.completed`; its status says `incomplete`.
VLLM_OLD = ResponsesFormat(
    document=_vllm_document,
    usage=_vllm_usage,
    text_parts=({"logprobs": []}, {"logprobs": None}),
    part_events="response.reasoning_part",
    incomplete_event="response.completed",
)
TRANSFORMERS = ResponsesFormat(
    document=_transformers_document,
    usage=_transformers_usage,
    has_event_names=False,
    first_status="queued",
    done_message={"annotations": []},
    sends_call_whole=True,
)
OPENAI = ResponsesFormat(
    document=_openai_document,
    usage=_openai_usage,
    type_first=True,
    text_parts=({"logprobs": []}, {"logprobs": []}),
    interleaves_calls=True,
    has_summaries=True,
    pads=True,
    is_strict=True,
)
