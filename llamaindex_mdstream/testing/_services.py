"""The emulated services: URLs, failures of streams, and scripted responses in the format of each service."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llamaindex_mdstream.testing._responses_api import HEAD_EVENTS, after_head, responses_document, responses_events
from mdstream_core.emulator import Emulator, Fault

Json = dict[str, Any]

PROMPT = "Name three rivers."
OUTPUT = "The Nile, the Amazon and the Danube."

#: Number of events before a stream fails: some text is received, most is not.
_AFTER = 3

_COMMON_ENDINGS: dict[str, Fault] = {
    "error event": Fault("error_event", after=_AFTER),
    "error event, flat": Fault("error_event", "flat", after=_AFTER),
    "cut": Fault("cut", after=_AFTER),
    "cut in a chunk": Fault("cut_chunk", after=_AFTER),
    "reset": Fault("reset", after=_AFTER),
    "no finish reason": Fault("no_finish", after=_AFTER),
    "[DONE] without a finish reason": Fault("early_done", after=_AFTER),
    "broken JSON": Fault("malformed_json", after=_AFTER),
}
_TRAILERS = {"trailer": Fault("trailer", after=_AFTER), "trailer after [DONE]": Fault("trailer")}
#: In framed streams a truncated HTTP chunk would not truncate a frame.
_FRAMED = {name: fault for name, fault in _COMMON_ENDINGS.items() if name != "cut in a chunk"}
_FRAMES = {
    "exception frame": Fault("exception_frame", "StreamBroken", after=_AFTER),
    "wrong checksum": Fault("damaged_frame", after=_AFTER),
    "half a frame": Fault("partial_frame", after=_AFTER),
}
_CLOSED = {"closed with 1011": Fault("trailer", after=_AFTER, name="close", data=b"1011 the engine died")}


def _openai_events(deltas: Sequence[Json], finish: str) -> list[Json]:
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices = [*chunks, {"index": 0, "delta": {}, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return [{**head, "choices": [choice]} for choice in choices]


def _openai_whole(message: Json, finish: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


def _generic(message: Json) -> Json:
    """Convert an OpenAI message to OCI's GENERIC format."""
    converted: Json = {"role": "ASSISTANT"}
    if message.get("content"):
        converted["content"] = [{"type": "TEXT", "text": message["content"]}]
    if "reasoning_content" in message:
        converted["reasoningContent"] = message["reasoning_content"]
    if "tool_calls" in message:
        converted["toolCalls"] = [_generic_call(call) for call in message["tool_calls"]]
    return converted


def _generic_call(call: Json) -> Json:
    return {"type": "FUNCTION", **({"id": call["id"]} if call.get("id") else {}), **call["function"]}


def _generic_events(deltas: Sequence[Json], finish: str) -> list[Json]:
    return [*({"index": 0, "message": _generic(delta)} for delta in deltas), {"finishReason": finish}]


def _generic_whole(message: Json, finish: str) -> Json:
    choice = {"index": 0, "message": _generic(message), "finishReason": finish}
    response = {"apiFormat": "GENERIC", "timeCreated": "2026-11-20T12:00:00.000Z", "choices": [choice]}
    return {"modelId": "m", "modelVersion": "1.0", "chatResponse": response}


def _openai_vectors(vectors: Sequence[tuple[int, Sequence[float]]]) -> Json:
    data = [{"object": "embedding", "index": index, "embedding": list(vector)} for index, vector in vectors]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _bare_vectors(vectors: Sequence[tuple[int, Sequence[float]]]) -> list[list[float]]:
    return [list(vector) for _, vector in vectors]


def _oci_vectors(vectors: Sequence[tuple[int, Sequence[float]]]) -> Json:
    return {"id": "1", "modelId": "m", "modelVersion": "1.0", "embeddings": _bare_vectors(vectors)}


def _openai_ranking(scores: Sequence[tuple[int, object]]) -> Json:
    return {"id": "1", "model": "m", "results": [{"index": index, "relevance_score": score} for index, score in scores]}


def _bare_ranking(scores: Sequence[tuple[int, object]]) -> list[Json]:
    return [{"index": index, "score": score} for index, score in scores]


def _oci_ranking(scores: Sequence[tuple[int, object]]) -> Json:
    ranks = [{"index": index, "relevanceScore": score} for index, score in scores]
    return {"id": "1", "modelId": "m", "modelVersion": "1.0", "documentRanks": ranks}


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the emulator.

    Attributes:
        address: Returns the `url` that `llm`, `embedding` and `reranker` receive.
        endings: Failures of a stream, by name.
        transient_error: An error response that allows an immediate retry.
        events: Converts deltas in the OpenAI format and a finish reason to the events of a stream.
        response_body: Converts a message in the OpenAI format and a finish reason to the body of a response.
        vectors: Converts pairs of index and vector to the body of a response.
        ranking: Converts pairs of index and score to the body of a response.
        has_indices: Whether tool calls and vectors have an index in this format.
        head_events: Number of events before the first text, beside the one that a chat of the OpenAI format has.
    """

    address: Callable[[Emulator], str]
    endings: Mapping[str, Fault] = field(default_factory=lambda: _COMMON_ENDINGS)
    transient_error: Fault = field(default_factory=lambda: Fault("refuse", "unavailable", retry_after="0"))
    events: Callable[[Sequence[Json], str], list[Json]] = _openai_events
    response_body: Callable[[Json, str], Json] = _openai_whole
    vectors: Callable[[Sequence[tuple[int, Sequence[float]]]], object] = _openai_vectors
    ranking: Callable[[Sequence[tuple[int, object]]], object] = _openai_ranking
    has_indices: bool = True
    head_events: int = 0

    def after_text(self, fault: Fault) -> Fault:
        """Return a fault with `after` counted in events of a chat of the OpenAI format."""
        return fault if fault.after is None else replace(fault, after=fault.after + self.head_events)

    def stream_fault(self, *deltas: Json, finish: str = "tool_calls") -> Fault:
        """Create a stream with exactly these deltas."""
        events = "".join(f"data: {json.dumps(event)}\n\n" for event in self.events(deltas, finish))
        return Fault("body", data=f"{events}data: [DONE]\n\n".encode())

    def response_fault(self, message: Json, finish: str = "tool_calls") -> Fault:
        """Create a response with exactly this message."""
        return Fault("body", data=json.dumps(self.response_body(message, finish)).encode())

    def embedding_fault(self, *vectors: tuple[int, Sequence[float]]) -> Fault:
        """Create a response with exactly these vectors."""
        return Fault("body", data=json.dumps(self.vectors(vectors)).encode())

    def ranking_fault(self, *scores: tuple[int, object]) -> Fault:
        """Create a response with exactly these scores."""
        return Fault("body", data=json.dumps(self.ranking(scores)).encode())


_AMAZON = Fault("refuse_aws", "ServiceUnavailable", retry_after="0")
_HUAWEI = Fault("refuse", "modelarts_backend", retry_after="0")

SERVICES: dict[str, Service] = {
    "openai": Service(lambda emulator: emulator.openai_url),
    "oci_model_deployment": Service(lambda emulator: emulator.endpoint, {**_COMMON_ENDINGS, **_TRAILERS}),
    "oci_genai": Service(
        lambda emulator: emulator.oci_genai.endpoint,
        events=_generic_events,
        response_body=_generic_whole,
        vectors=_oci_vectors,
        ranking=_oci_ranking,
        has_indices=False,
    ),
    "sagemaker": Service(
        lambda emulator: emulator.sagemaker.endpoint_url,
        {**_FRAMED, **_FRAMES},
        _AMAZON,
    ),
    "sagemaker_tei": Service(
        lambda emulator: emulator.sagemaker.endpoint_url,
        transient_error=_AMAZON,
        vectors=_bare_vectors,
        ranking=_bare_ranking,
        has_indices=False,
    ),
    "modelarts": Service(lambda emulator: emulator.modelarts.endpoint, transient_error=_HUAWEI),
    "modelarts_websocket": Service(
        lambda emulator: emulator.modelarts.websocket_endpoint, {**_FRAMED, **_CLOSED}, transient_error=_HUAWEI
    ),
}
SERVICES |= {
    f"{name}_responses": replace(
        SERVICES[name],
        endings=after_head(SERVICES[name].endings),
        events=responses_events,
        response_body=responses_document,
        has_indices=True,
        head_events=HEAD_EVENTS,
    )
    for name in ("oci_model_deployment", "oci_genai", "sagemaker", "modelarts", "modelarts_websocket")
}
"""The services that the suites can use, selected by `service`. `sagemaker_tei` is an endpoint for embeddings and
rankings; names that end with `_responses` are OpenAI's Responses API of a service.

The `url` of SageMaker and of OCI Generative AI is the base URL of the service.
"""
