"""The formats of OCI Generative AI, read: text, tool calls in each family's way, usage, failures, and where to stop."""

import json
from typing import Any

import pytest
from _oci_genai import (
    BOTH,
    CALL,
    COHERE,
    COUNTED,
    DONE,
    GENERIC,
    JSON,
    OTHER,
    PARIS,
    USAGE,
    V2,
    V2_END,
    calls,
    cohere,
    document,
    finish,
    read,
    sse,
    text,
    v2,
)

from mdstream_core.dialects import dialect
from mdstream_core.errors import (
    MalformedStream,
    StreamInterrupted,
)
from mdstream_core.events import (
    Finish,
    ModelResponse,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    TextDelta,
    Usage,
)

#: name: (dialect, the bytes, text, tool calls, finish reason, usage)
RESPONSES: dict[str, tuple[str, bytes, str, list[Any], str, Usage | None]] = {
    "text, usage, the body ends": (
        GENERIC,
        sse(text(" I"), text(" stream ü€🌊"), finish("stop"), {"usage": COUNTED}),
        " I stream ü€🌊", [], "stop", USAGE,
    ),
    "text, usage, [DONE]": (
        GENERIC,
        sse(text("Hi"), finish("stop"), {"usage": COUNTED}) + DONE,
        "Hi", [], "stop", USAGE,
    ),
    "without usage": (GENERIC, sse(text("Hi"), finish("stop")), "Hi", [], "stop", None),
    "without usage, [DONE]": (GENERIC, sse(text("Hi"), finish("stop")) + DONE, "Hi", [], "stop", None),
    "a finish event that says something": (
        GENERIC,
        sse(text("wor"), {**text("LD!"), "finishReason": "stop", "usage": COUNTED}),
        "worLD!", [], "stop", USAGE,
    ),
    "cut at the limit": (GENERIC, sse(text("Hi"), finish("length")), "Hi", [], "length", None),
    "Gemini in capital letters": (GENERIC, sse(text("Hi"), finish("MAX_TOKENS")), "Hi", [], "length", None),
    "GPT: the id first, then pieces without one, one call after the other at position 0": (
        GENERIC,
        sse(
            calls({**CALL, "arguments": ""}), calls({"arguments": '{"city":'}), calls({"arguments": ' "Paris"}'}),
            calls({**OTHER, "arguments": ""}), calls({"arguments": '{"city": "Rome"}'}), finish("tool_calls"),
        ),
        "", BOTH, "tool_calls", None,
    ),
    "Llama: empty names later, ids or none, and stop": (
        GENERIC,
        sse(
            calls({**CALL, "arguments": ""}), calls({"name": "", "arguments": '{"city": '}),
            calls({"id": "call_1", "name": "", "arguments": '"Paris"}'}),
            {**calls({"name": "", "arguments": ""}), "finishReason": "stop"},
        ),
        "", PARIS, "tool_calls", None,
    ),
    "Llama: two calls side by side, their pieces by position": (
        GENERIC,
        sse(
            calls({**CALL, "arguments": ""}, {**OTHER, "arguments": ""}),
            calls({"arguments": '{"city": "Par'}, {"arguments": '{"city": "Ro'}),
            calls({"arguments": 'is"}'}, {"arguments": 'me"}'}), finish("tool_calls"),
        ),
        "", BOTH, "tool_calls", None,
    ),
    "Grok: each call whole, each at position 0": (
        GENERIC, sse(calls(CALL), calls(OTHER), finish("tool_calls")), "", BOTH, "tool_calls", None,
    ),
    "Gemini: whole calls without any id": (
        GENERIC,
        sse(*(calls({n: v for n, v in one.items() if n != "id"}) for one in (CALL, OTHER)), finish("stop")),
        "", BOTH, "tool_calls", None,
    ),
    "Gemini: the same call without arguments twice": (
        GENERIC,
        sse(calls({"name": "now", "arguments": "{}"}), calls({"name": "now", "arguments": "{}"}), finish("stop")),
        "", [("now", {}), ("now", {})], "tool_calls", None,
    ),
    "all calls in the finish event": (
        GENERIC, sse({**calls(CALL, OTHER), "finishReason": "stop"}), "", BOTH, "tool_calls", None,
    ),
    "Cohere says everything again": (
        COHERE,
        sse(cohere("Why"), cohere(" not?"), cohere("Why not?", finishReason="COMPLETE", usage=COUNTED)),
        "Why not?", [], "stop", USAGE,
    ),
    "Cohere says it again in other spaces": (
        COHERE, sse(cohere(" Why"), cohere(" not?\n"), cohere("Why not?", finishReason="COMPLETE")), " Why not?\n", [], "stop", None,
    ),
    "Cohere says it again where a character was cut": (
        COHERE,
        sse(cohere("Water: 🌊 and \ufffd"), cohere("\ufffd."), cohere("Water: 🌊 and €.", finishReason="COMPLETE")),
        "Water: 🌊 and \ufffd\ufffd.", [], "stop", None,
    ),
    "Cohere says everything at the end only": (
        COHERE, sse(cohere("Why not?", finishReason="MAX_TOKENS")), "Why not?", [], "length", None,
    ),
    "Cohere says the rest at the end, in other spaces": (
        COHERE, sse(cohere(" Why"), cohere("Why not?", finishReason="COMPLETE")), " Why not?", [], "stop", None,
    ),
    "a finish event that comes twice": (GENERIC, sse(text("Hi"), finish("stop"), finish("stop")), "Hi", [], "stop", None),
    "Cohere's calls, one more of the same at the end": (
        COHERE,
        sse(
            cohere("", toolCalls=[{"name": "now", "parameters": {}}]),
            cohere("", finishReason="COMPLETE", toolCalls=[{"name": "now", "parameters": {}}] * 2),
        ),
        "", [("now", {}), ("now", {})], "tool_calls", None,
    ),
    "Cohere says the rest at the end": (
        COHERE, sse(cohere("Why"), cohere("Why not?", finishReason="COMPLETE")), "Why not?", [], "stop", None,
    ),
    "a last piece that is no repetition": (
        COHERE, sse(cohere("wor"), cohere("LD!", finishReason="COMPLETE")), "worLD!", [], "stop", None,
    ),
    "Cohere's calls, repeated": (
        COHERE,
        sse(
            cohere("", toolCalls=[{"name": "get_weather", "parameters": {"city": "Paris"}}]),
            cohere("", finishReason="COMPLETE", toolCalls=[{"name": "get_weather", "parameters": {"city": "Paris"}}]),
        ),
        "", PARIS, "tool_calls", None,
    ),
    "Cohere's calls at the end: the same tool twice, one without arguments": (
        COHERE,
        sse(
            cohere(
                "", finishReason="COMPLETE",
                toolCalls=[
                    {"name": "get_weather", "parameters": {"city": "Paris"}},
                    {"name": "get_weather", "parameters": {"city": "Rome"}},
                    {"name": "now", "parameters": {}}, {"name": "now", "parameters": {}},
                ],
            )
        ),
        "", [*BOTH, ("now", {}), ("now", {})], "tool_calls", None,
    ),
    "Cohere, [DONE] behind": (COHERE, sse(cohere("Hi"), cohere("Hi", finishReason="COMPLETE")) + DONE, "Hi", [], "stop", None),
    "COHEREV2": (V2, sse(v2({"type": "TEXT", "text": "H"}), v2({"type": "TEXT", "text": "i"}), V2_END), "Hi", [], "stop", None),
    "COHEREV2 with usage and the text again": (
        V2,
        sse(v2({"type": "TEXT", "text": "Hi"}), v2({"type": "TEXT", "text": "Hi"}, finishReason="COMPLETE", usage=COUNTED)),
        "Hi", [], "stop", USAGE,
    ),
    "COHEREV2 calls": (
        V2,
        sse(
            {"apiFormat": "COHEREV2", "message": {"toolCalls": [
                {"id": one["id"], "type": "FUNCTION", "function": {"name": one["name"], "arguments": one["arguments"]}}
                for one in (CALL, OTHER)
            ]}},
            {**V2_END, "finishReason": "TOOL_CALL"},
        ),
        "", BOTH, "tool_calls", None,
    ),
    "generateText, as seen in 2024": (
        "oci-generate-text-cohere",
        sse({"id": "a", "text": " Why"}, {"id": "a", "text": " not"}, {"id": "a", "text": "", "finishReason": "COMPLETE"}),
        " Why not", [], "stop", None,
    ),
    "generateText of Llama": (
        "oci-generate-text-llama",
        sse({"text": "Why"}, {"text": " not", "finishReason": "length"}), "Why not", [], "length", None,
    ),
    "generateText of Llama in choices": (
        "oci-generate-text-llama",
        sse({"choices": [{"index": 0, "text": "Why"}]}, {"choices": [{"index": 0, "text": "", "finishReason": "stop"}]}),
        "Why", [], "stop", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize(("name", "wire", "content", "called", "reason", "usage"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_decoded_the_same_for_any_split(
    name: str, wire: bytes, content: str, called: list[Any], reason: str, usage: Usage | None, step: int
) -> None:
    """Text, calls, finish reason and usage are emitted once, wherever the bytes are split."""
    outcome = read(name, wire, step=step)
    model_response = outcome.model_response

    assert outcome.error is None
    assert (content, reason, usage) == (model_response.text, model_response.finish_reason, model_response.usage)
    assert called == [(call.name, call.parse_arguments()) for call in model_response.tool_calls]
    assert len(called) == len({call.id for call in model_response.tool_calls if call.id})
    assert 1 == sum(isinstance(event, Finish) for event in outcome.events)


@pytest.mark.parametrize(("name", "wire"), [row[:2] for row in RESPONSES.values()], ids=RESPONSES)
def test_a_stream_without_a_finish_event_is_interrupted(name: str, wire: bytes) -> None:
    """Every prefix of a response is an error with a partial that never looks complete."""
    events = wire.replace(DONE, b"").split(b"\n\n")[:-1]
    last = next(at for at, event in enumerate(events) if b'"finishReason"' in event)
    for count in range(last + 1):
        outcome = read(name, b"".join(event + b"\n\n" for event in events[:count]))
        assert isinstance(outcome.error, StreamInterrupted)
        assert (outcome.error.partial or ModelResponse()).text == outcome.model_response.text


#: name: (dialect, the payloads before the end, the payloads that end it)
STOPS: dict[str, tuple[str, list[Any], list[Any]]] = {
    "GENERIC: usage": (GENERIC, [text("Hi"), finish("stop")], [{"usage": COUNTED}]),
    "GENERIC: [DONE]": (GENERIC, [text("Hi"), finish("stop")], [b"[DONE]"]),
    "GENERIC: usage on the finish event": (GENERIC, [text("Hi")], [{**finish("stop"), "usage": COUNTED}]),
    "COHERE: finish": (COHERE, [cohere("Hi")], [cohere("Hi", finishReason="COMPLETE")]),
    "COHEREV2: finish": (V2, [v2({"type": "TEXT", "text": "Hi"})], [V2_END]),
    "generateText: finish": ("oci-generate-text-cohere", [{"id": "a", "text": "Hi"}], [{"id": "a", "finishReason": "COMPLETE"}]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "before", "end"), STOPS.values(), ids=STOPS)
def test_the_decoder_is_complete_at_the_last_event(name: str, before: list[Any], end: list[Any]) -> None:
    """The connection may stay open after it."""
    decoder = dialect(name).create_decoder()
    for payload in before:
        decoder.feed(json.dumps(payload).encode())
        assert not decoder.is_complete
    for payload in end:
        decoder.feed(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    assert decoder.is_complete
    assert [] == decoder.finish()


def test_a_finished_response_without_usage_is_complete() -> None:
    """Until the usage is received the decoder is finished, not complete; its end is no error."""
    decoder: Any = dialect(GENERIC).create_decoder()
    assert not decoder.is_finished
    decoder.feed(json.dumps(text("Hi")).encode())
    decoder.feed(json.dumps(finish("stop")).encode())

    assert (True, False) == (decoder.is_finished, decoder.is_complete)
    assert [] == decoder.finish()


def test_reasoning_and_refusals_have_their_events() -> None:
    """
    `reasoningContent`, Cohere's thinking and its tool plan, and a refusal.
    """
    generic = read(
        GENERIC,
        sse(
            {"index": 0, "message": {"reasoningContent": "Hm."}},
            {"index": 0, "message": {"refusal": "No."}},
            finish("stop"),
        ),
    )
    thought = read(V2, sse(v2({"type": "THINKING", "thinking": "Hm."}), v2({"type": "TEXT", "text": "Hi"}), V2_END))
    planned = read(V2, sse({"apiFormat": "COHEREV2", "message": {"toolPlan": "I look."}}, V2_END))

    assert [ReasoningDelta("Hm."), RefusalDelta("No."), Finish("stop")] == generic.events
    assert [ReasoningDelta("Hm."), TextDelta("Hi"), Finish("stop")] == thought.events
    assert [ReasoningDelta("I look."), Finish("stop")] == planned.events


def test_several_choices_are_kept_apart() -> None:
    """With `numGenerations`; a finish reason without an index belongs to the first unfinished choice."""
    outcome = read(GENERIC, sse(text("A"), text("B", 1), finish("stop"), finish("length"), {"usage": COUNTED}))

    assert [("A", "stop"), ("B", "length")] == [(one.text, one.finish_reason) for one in outcome.model_response.choices]


def test_details_of_usage() -> None:
    """
    Cached and reasoning tokens are parts of what was counted.
    """
    details = {"promptTokensDetails": {"cachedTokens": 16}, "completionTokensDetails": {"reasoningTokens": 2}}
    outcome = read(GENERIC, sse(text("Hi"), finish("stop"), {"usage": COUNTED | details}))

    assert Usage(18, 4, 22, cached=16, reasoning=2) == outcome.model_response.usage


def test_a_whole_generic_response() -> None:
    """
    The same decoder reads the document of a request that did not stream.
    """
    message = {
        "role": "ASSISTANT",
        "content": [{"type": "TEXT", "text": "Hi"}],
        "toolCalls": [CALL],
        "reasoningContent": "Hm.",
    }
    choice = {
        "index": 0,
        "message": message,
        "finishReason": "stop",
        "logprobs": {"tokens": ["Hi"], "tokenLogprobs": [-0.5]},
    }
    response = {"apiFormat": "GENERIC", "timeCreated": "2026-11-20T12:00:00Z", "choices": [choice], "usage": COUNTED}
    model_response = read(GENERIC, document("chatResponse", response), JSON).model_response

    assert ("Hi", "Hm.", "tool_calls", USAGE) == (
        model_response.text,
        model_response.reasoning,
        model_response.finish_reason,
        model_response.usage,
    )
    assert [{"token": "Hi", "logprob": -0.5}] == list(model_response.choices[0].logprobs)
    assert ("call_1", {"city": "Paris"}) == (
        model_response.tool_calls[0].id,
        model_response.tool_calls[0].parse_arguments(),
    )
    assert ResponseMetadata("m") == model_response.metadata


def test_a_whole_response_with_null_fields() -> None:
    """
    Without text the content is null, as are the fields that a model does not have.
    """
    message = {"role": "ASSISTANT", "content": None, "name": None, "refusal": None, "toolCalls": [{**CALL, "id": None}]}
    response = {
        "apiFormat": "GENERIC",
        "choices": [{"index": 0, "message": message, "finishReason": "stop", "logprobs": None}],
    }
    model_response = read(GENERIC, document("chatResponse", response), JSON).model_response

    assert ("", "tool_calls") == (model_response.text, model_response.finish_reason)
    assert model_response.tool_calls[0].id


@pytest.mark.parametrize(
    ("name", "response"),
    [
        (COHERE, {"apiFormat": "COHERE", "text": "Hi", "finishReason": "COMPLETE", "usage": COUNTED}),
        (V2, {"apiFormat": "COHEREV2", "id": "x", "message": {"content": [{"type": "TEXT", "text": "Hi"}]}, "finishReason": "COMPLETE", "usage": COUNTED}),
    ],
)  # fmt: skip
def test_a_whole_cohere_response(name: str, response: dict[str, Any]) -> None:
    """
    Of either format.
    """
    outcome = read(name, document("chatResponse", response), JSON)

    assert (None, "Hi", "stop", USAGE) == (
        outcome.error,
        outcome.model_response.text,
        outcome.model_response.finish_reason,
        outcome.model_response.usage,
    )
    assert "m" == outcome.model_response.metadata.model


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("oci-generate-text-cohere", {"runtimeType": "COHERE", "generatedTexts": [{"id": "x", "text": "Hi", "finishReason": None}]}),
        ("oci-generate-text-llama", {"runtimeType": "LLAMA", "choices": [{"index": 0, "text": "Hi", "finishReason": "stop"}]}),
    ],
)  # fmt: skip
def test_a_whole_generated_text(name: str, response: dict[str, Any]) -> None:
    """
    Of either runtime; old models leave out why they finished, and a document that can be read is whole.
    """
    model_response = read(name, document("inferenceResponse", response), JSON).model_response

    assert ("Hi", "stop", "m") == (model_response.text, model_response.finish_reason, model_response.metadata.model)


def test_fields_beside_the_output_are_provider_data() -> None:
    """Citations, documents and search queries of Cohere, annotations and grounding of the others."""
    cited = [{"start": 0, "end": 2, "text": "Hi", "documentIds": ["0"]}]
    last = cohere("Hi", finishReason="COMPLETE", citations=cited, documents=[{"id": "0"}])
    model_response = ModelResponse.from_events(dialect(COHERE).create_decoder().feed(json.dumps(last).encode()))
    piece = json.dumps({**text("Hi"), "groundingMetadata": {"webSearchQueries": ["x"]}, "serviceTier": "FLEX"}).encode()
    generic = dialect(GENERIC).create_decoder()
    first, second = generic.feed(piece), generic.feed(piece)

    assert {"citations": cited, "documents": [{"id": "0"}]} == model_response.choices[0].provider_data
    grounded = {"groundingMetadata": {"webSearchQueries": ["x"]}, "serviceTier": "FLEX"}
    assert grounded == {event.name: event.value for event in first if isinstance(event, ProviderData)}
    assert not any(isinstance(event, ProviderData) for event in second)


LAST = {
    "the same": ("The Nile flows", "The Nile flows", ""),
    "without spaces": (" The Nile flows ", "The Nile flows", ""),
    "longer": ("The Nile flows", "The Nile flows north.", " north."),
    "a character that was cut": ("The Nile\ufffd\ufffd flows", "The Nileé flows north.", " north."),
    "a first character that was cut": ("\ufffdcole et vie", "École et vie.", "."),
    "an early character that was cut": ("L'\ufffd\ufffdcole et vie", "L'école et vie", ""),
    "the beginning": ("The Nile flows", "The Nile", ""),
    "the next piece": ("The Nile flows", " north.", " north."),
}


@pytest.mark.parametrize(("content", "last", "rest"), LAST.values(), ids=LAST)
def test_only_the_rest_of_a_last_text_is_emitted(content: str, last: str, rest: str) -> None:
    """Nothing is emitted twice, and nothing of the last text is lost."""
    decoder = dialect(COHERE).create_decoder()
    decoder.feed(json.dumps(cohere(content)).encode())
    events = decoder.feed(json.dumps(cohere(last, finishReason="COMPLETE")).encode())

    assert rest == ModelResponse.from_events(events).text


def test_a_last_text_that_contradicts_the_output_is_malformed() -> None:
    """It starts like the output and continues differently: one of the two lacks something."""
    decoder = dialect(COHERE).create_decoder()
    decoder.feed(json.dumps(cohere("The Nile, the Danube")).encode())

    with pytest.raises(MalformedStream, match="another output"):
        decoder.feed(json.dumps(cohere("The Nile, the Amazon, the Danube", finishReason="COMPLETE")).encode())
