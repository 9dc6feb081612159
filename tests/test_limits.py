"""The cost of a response is proportional to its bytes, and limited."""

import contextlib
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from _samples import read

from llamaindex_mdstream._responses import ChatResponseBuilder
from mdstream_core import OpenAIChat, TextDelta, TextParsingDialect, ToolCallDelta, dialect
from mdstream_core.dialects._limits import MAX_CHOICES, MAX_ENTRIES, MAX_NAME_CHARS, MAX_TOOL_CALLS
from mdstream_core.errors import MalformedStream, StreamInterrupted
from mdstream_core.events import ModelResponse, ProviderData, Usage
from mdstream_core.resume import ResumePoint

Payloads = list[bytes]


def dumped(*payloads: Any) -> Payloads:
    return [json.dumps(payload).encode() for payload in payloads]


def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields}]}


def call(index: int, **fields: Any) -> dict[str, Any]:
    return {"index": index, **fields}


def whole_call(at: int) -> dict[str, Any]:
    return call(at, id=f"i{at}", function={"name": "f", "arguments": "{}"})


#: Dialect and payloads by size. Each size is four times the previous one.
CASES: dict[str, tuple[str, int, Callable[[int], Payloads]]] = {
    "calls in one payload": ("openai-chat", 1000, lambda n: dumped(delta(tool_calls=[whole_call(at) for at in range(n)]))),
    "calls without an index": (
        "openai-chat", 1000, lambda n: dumped(delta(tool_calls=[{"id": f"i{at}", "function": {"name": "f", "arguments": "{}"}} for at in range(n)])),
    ),
    "a call a payload": ("openai-chat", 500, lambda n: dumped(*(delta(tool_calls=[whole_call(at)]) for at in range(n)))),
    "pieces of one call": (
        "openai-chat", 1500, lambda n: dumped(delta(tool_calls=[whole_call(0) | {"function": {"name": "f", "arguments": '{"'}}]), *[delta(tool_calls=[call(0, function={"arguments": "xxxxxxxx"})])] * n),
    ),
    "pieces that name the call again": (
        "openai-chat", 1000, lambda n: dumped(*[delta(tool_calls=[call(0, id="a", function={"name": "f", "arguments": '{"}'})])] * n),
    ),
    "a long call that is repeated shorter": (
        "openai-chat", 500, lambda n: dumped(*[delta(tool_calls=[call(0, id="a", function={"name": "f", "arguments": text})]) for text in [json.dumps({"a": "x" * 400 * n}), *["{}"] * n]]),
    ),
    "choices in one payload": (
        "openai-chat", 2000, lambda n: dumped({"choices": [{"index": at, "delta": {"content": "a"}} for at in range(n)]}),
    ),
    "choices, and many marks of the end": (
        "openai-chat", 1000, lambda n: [*dumped({"choices": [{"index": at, "delta": {"content": "a"}} for at in range(n)]}), *[b"[DONE]"] * n],
    ),
    "halves of characters in many choices": (
        "openai-chat", 750, lambda n: dumped(*({"choices": [{"index": at, "delta": {"content": "a\ud83d"}}]} for at in range(n)), *({"choices": [{"index": at, "delta": {}, "finish_reason": "stop"}]} for at in range(n))),
    ),
    "parts of an unknown type": (
        "openai-chat", 1500, lambda n: dumped(delta(content=[{"type": "x", "a": at} for at in range(n)])),
    ),
    "a citation a payload": ("openai-chat", 1000, lambda n: dumped(*(delta(annotations=[{"url": at}]) for at in range(n)))),
    "log probabilities": (
        "openai-chat", 1500, lambda n: dumped({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a", "top_logprobs": []}] * n}}]}),
    ),
    "messages in place of deltas": (
        "openai-chat", 1000, lambda n: dumped(*[{"choices": [{"index": 0, "message": {"content": "some text "}}]}] * n),
    ),
    "GENERIC's calls": (
        "oci-generic", 1000, lambda n: dumped({"message": {"toolCalls": [{"id": f"i{at}", "name": "f", "arguments": "{}"} for at in range(n)]}}),
    ),
    "GENERIC's parts": (
        "oci-generic", 2000, lambda n: dumped({"message": {"content": [{"type": "TEXT", "text": "a"}] * n}}),
    ),
    "choices of GENERIC that have finished": (
        "oci-generic", 750, lambda n: dumped({"choices": [{"index": at, "message": {}, "finishReason": "stop"} for at in range(n)]}, *[{"message": {"content": "a"}}] * n),
    ),
    "a finish reason with every text of Cohere's": (
        "oci-cohere", 1000, lambda n: dumped(*({"text": f"{at} and some words", "finishReason": "COMPLETE"} for at in range(n))),
    ),
    "the response's beginning repeatedly": (
        "oci-cohere", 1000, lambda n: dumped({"text": "The Nile " * n}, *[{"text": "The Nile", "finishReason": "COMPLETE"}] * n),
    ),
    "Cohere's calls": (
        "oci-cohere", 1000, lambda n: dumped({"toolCalls": [{"name": "f", "parameters": {"a": at}} for at in range(n)]}),
    ),
    "TGI's tokens": ("tgi", 2000, lambda n: dumped(*[{"token": {"text": "word"}}] * n)),
    "TGI's choices": ("tgi", 2000, lambda n: dumped([{"token": {"text": "word"}}] * n)),
    "LMI's outputs": ("lmi", 2000, lambda n: dumped({"outputs": ["a"] * n})),
    "vectors": ("tei-embeddings", 2500, lambda n: dumped([[0.1]] * n)),
    "vectors with an index": (
        "openai-embeddings", 2000, lambda n: dumped({"data": [{"index": at, "embedding": [0.1]} for at in range(n)]}),
    ),
    "scores": ("rerank", 2500, lambda n: dumped({"results": [{"index": at, "relevance_score": 0.1} for at in range(n)]})),
    **{
        f"calls in text, {name}": (name, 300, lambda n, text=text: dumped(*[delta(content=text)] * n))
        for name, text in {
            "hermes": '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>',
            "mistral": '[TOOL_CALLS]f{"a": 1}',
            "llama3_json": '{"name": "f", "parameters": {"a": 1}};',
        }.items()
    },
    "brackets in Python": ("pythonic", 1000, lambda n: dumped(*[delta(content="[f(a=[[[[[[[[")] * n)),
    "beginnings of marks": ("hermes", 1000, lambda n: dumped(*[delta(content="<tool_<tool")] * n)),
}  # fmt: skip


def decoder(name: str) -> Any:
    if name in {"hermes", "mistral", "llama3_json", "pythonic"}:
        return TextParsingDialect(OpenAIChat(), tool_calls=name).create_decoder()
    return dialect(name).create_decoder()


def cost(name: str, payloads: Payloads) -> float:
    """Return the CPU time of decoding the payloads, in seconds."""
    gc.collect()
    gc.disable()  # its rounds come at sizes of their own
    reader, start = decoder(name), time.process_time()
    for payload in payloads:
        reader.feed(payload)
        if reader.error:
            break
    reader.flush()
    gc.enable()
    return time.process_time() - start


def is_linear(cost_of: Callable[[int], float], size: int) -> bool:
    """Whether four times the size takes less than nine times as long; a square would take sixteen. The best of three."""
    return any(cost_of(4 * size) < 9 * cost_of(size) + 0.1 for _ in range(3))


@pytest.mark.parametrize(("name", "size", "payloads"), CASES.values(), ids=CASES)
def test_the_time_is_linear_in_the_bytes(name: str, size: int, payloads: Callable[[int], Payloads]) -> None:
    """Four times as much takes about four times as long."""
    assert is_linear(lambda n: cost(name, payloads(n)), size)


@pytest.mark.parametrize(
    ("name", "payload", "what"),
    [
        ("openai-chat", delta(tool_calls=[whole_call(at) for at in range(MAX_TOOL_CALLS + 1)]), "tool calls"),
        ("oci-cohere", {"toolCalls": [{"name": f"f{at}"} for at in range(MAX_TOOL_CALLS + 1)]}, "tool calls"),
        (
            "oci-generic",
            {"message": {"toolCalls": [{"id": f"i{at}", "name": "f"} for at in range(MAX_TOOL_CALLS + 1)]}},
            "tool calls",
        ),
        ("openai-chat", {"choices": [{"index": at, "delta": {}} for at in range(MAX_CHOICES + 1)]}, "choices"),
        ("oci-generic", {"choices": [{"index": at} for at in range(MAX_CHOICES + 1)]}, "choices"),
        ("tgi", [{"token": {"text": "a"}}] * (MAX_CHOICES + 1), "choices"),
        ("lmi", {"outputs": ["a"] * (MAX_CHOICES + 1)}, "choices"),
        ("openai-chat", delta(annotations=[1] * (MAX_ENTRIES + 1)), "entries"),
        ("openai-chat", delta(content=["a"] * (MAX_ENTRIES + 1)), "content parts"),
    ],
)
def test_more_than_a_limit_is_an_error_with_a_hint(name: str, payload: Any, what: str) -> None:
    """The error names the limit, and the events before it are delivered."""
    reader, events = decoder(name), []
    with contextlib.suppress(MalformedStream):  # raised at once where nothing came before it
        events = reader.feed(json.dumps(payload).encode())
    error = reader.error

    assert isinstance(error, MalformedStream)
    assert error.code == "LimitExceeded"
    assert what in str(error)
    assert "hint:" in str(error)
    assert len(events) <= max(MAX_TOOL_CALLS, MAX_CHOICES) + 1
    if what == "tool calls":
        assert len([event for event in events if isinstance(event, ToolCallDelta)]) == MAX_TOOL_CALLS


@pytest.mark.parametrize("format", ["hermes", "mistral"])
def test_tool_calls_in_text_have_the_same_limit(format: str) -> None:
    """A model that writes one call after another is stopped, and its calls are delivered."""
    text = {"hermes": '<tool_call>{"name": "f", "arguments": {}}</tool_call>', "mistral": "[TOOL_CALLS]f{}"}[format]
    reader, events = decoder(format), []
    payload = json.dumps(delta(content=text * 99)).encode()
    while not reader.error and len(events) < 10 * MAX_TOOL_CALLS:
        events += reader.feed(payload)

    assert reader.error.code == "LimitExceeded"
    assert len({event.index for event in events if isinstance(event, ToolCallDelta)}) == MAX_TOOL_CALLS


def test_a_tool_name_in_pieces_is_limited() -> None:
    """A server that never ends a tool's name gets an error."""
    reader = decoder("openai-chat")
    reader.feed(dumped(delta(tool_calls=[call(0, id="a", function={"name": "n"})]))[0])
    with pytest.raises(MalformedStream, match="characters of a tool's name"):
        for at in range(MAX_NAME_CHARS):
            reader.feed(dumped(delta(tool_calls=[call(0, function={"name": f"{at:04}" * 8})]))[0])


def test_events_of_a_growing_list_are_limited() -> None:
    """Events of a long list have together a few times its length, and the last one is complete."""
    body = b"".join(
        b"data: " + one + b"\n\n" for one in dumped(*(delta(content="a", annotations=[at]) for at in range(5000)))
    )
    done = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    whole, broken = read(body + done), read(body)

    lists = [event.value for event in whole.events if isinstance(event, ProviderData)]
    assert lists[:3] == [[0], [0, 1], [0, 1, 2]]
    assert sum(map(len, lists)) < 30 * 5000
    assert whole.model_response.first.provider_data["annotations"] == [*range(5000)]
    assert broken.error is not None
    assert broken.error.partial.first.provider_data["annotations"] == [*range(5000)]  # type: ignore[union-attr]


class Same:
    """A decoder that returns the same events each time."""

    broken = None
    finished = over = False

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def feed(self, data: bytes, event: str = "") -> list[Any]:
        return self.events


@pytest.mark.parametrize(
    "events", [[TextDelta("  ")], [Usage(1, 2, 3)], [TextDelta("")]], ids=["blanks", "usage", "empty"]
)
def test_a_continuation_is_compared_in_linear_time(events: list[Any]) -> None:
    """Each piece is examined once, however long the earlier text was."""

    def took(n: int) -> float:
        resume_point = ResumePoint(
            StreamInterrupted("cut"), ModelResponse.from_events([TextDelta("The Nile is long. " * n)])
        )
        half, start = resume_point.wrap_decoder(Same(events)), time.process_time()
        for _ in range(n):
            assert half.feed(b"") == []
        return time.process_time() - start

    assert is_linear(took, 2000)


def test_chunks_of_llamaindex_share_unchanged_calls() -> None:
    """Each chunk has all calls so far; unchanged ones are not built again."""
    kept = ChatResponseBuilder("m")
    first, second, third = (
        kept.add_event(event)
        for event in (
            ToolCallDelta(0, "a", "f", "{}"),
            ToolCallDelta(1, "b", "g", "{"),
            ToolCallDelta(1, None, None, "}"),
        )
    )

    assert second.message.blocks[1] is first.message.blocks[1] is third.message.blocks[1]  # type: ignore[union-attr]
    assert [second.message.blocks[2].tool_kwargs, third.message.blocks[2].tool_kwargs] == ["{", "{}"]  # type: ignore[union-attr]
    assert len(third.message.additional_kwargs["tool_calls"]) == 2  # type: ignore[union-attr]
