"""Faults in the content and the encoding of a response, tested without mdstream's decoders."""

import gzip
import json
import re
from collections.abc import Callable

import pytest
from _emulator_quirks import (
    ARGUMENTS,
    CONTENT,
    GRIN,
    TOOL,
    Json,
    arguments,
    built_in_model,
    chat,
    choices,
    default_emulator,
    emulator,
    native,
)

from mdstream_core.emulator import Emulator, Fault

__all__ = ["default_emulator", "emulator"]  # fixtures


# Tool arguments that are not one object

ARGUMENT_FAULTS = {
    "two_objects": ARGUMENTS + '{"to":"Bob"}',
    "trailing_text": ARGUMENTS + " Done.",
    "list": f"[{ARGUMENTS}]",
    "number": "7",
    "string": json.dumps(ARGUMENTS, ensure_ascii=False),
}


@pytest.mark.parametrize(("spelling", "arguments_text"), ARGUMENT_FAULTS.items())
def test_arguments_are_not_one_object(emulator: Emulator, spelling: str, arguments_text: str) -> None:
    fault = Fault("tool_arguments", spelling)
    streamed = chat(emulator, fault, tools=[TOOL])
    whole = chat(emulator, fault, tools=[TOOL], stream=False).json["choices"][0]["message"]

    assert arguments(streamed) == {f"call_{n}": arguments_text for n in range(2)}
    assert [arguments_text] * 2 == [call["function"]["arguments"] for call in whole["tool_calls"]]


def test_the_second_object_is_configurable(emulator: Emulator) -> None:
    fault = Fault("tool_arguments", "two_objects", data=b'{"city":"Rome"}')

    assert set(arguments(chat(emulator, fault, tools=[TOOL])).values()) == {ARGUMENTS + '{"city":"Rome"}'}


@pytest.mark.parametrize(
    "model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "openai.gpt-5", "google.gemini-2.5-pro"]
)
@pytest.mark.parametrize(("spelling", "arguments_text"), ARGUMENT_FAULTS.items())
def test_arguments_of_generic_are_not_one_object(model: str, spelling: str, arguments_text: str) -> None:
    tool = {"type": "FUNCTION", "name": "get_weather", "description": "?", "parameters": {"type": "object"}}
    fault = Fault("tool_arguments", spelling)
    with Emulator(model=built_in_model) as emulator:
        streamed = native(emulator, fault, model=model, tools=[tool])
        whole = native(emulator, fault, model=model, tools=[tool], stream=False).json["chatResponse"]["choices"][0]
    fragments = [
        call.get("arguments") or "" for e in streamed.events for call in e.get("message", {}).get("toolCalls") or ()
    ]

    assert "".join(fragments) == arguments_text * 2
    assert [arguments_text] * 2 == [call["arguments"] for call in whole["message"]["toolCalls"]]


# Errors inside a choice


def test_a_choice_ends_with_an_error(emulator: Emulator) -> None:
    response = chat(emulator, Fault("choice_error", message="out of memory"))
    last = choices(response)[-1]

    assert last["error"] == {"code": 502, "message": "out of memory"}
    assert last["finish_reason"] == "error"
    assert all("error" not in event for event in response.events)
    assert len(choices(response)) == 2


def test_a_stop_follows_the_error(emulator: Emulator) -> None:
    response = chat(emulator, Fault("choice_error", "later_stop", after=2, message="out of memory"))
    failed = choices(response)[2]

    assert (failed["error"]["message"], failed["finish_reason"]) == ("out of memory", None)
    assert choices(response)[-1]["finish_reason"] == "stop"
    assert response.text == CONTENT


def test_the_error_is_beside_the_stop(emulator: Emulator) -> None:
    last = choices(chat(emulator, Fault("choice_error", "with_stop")))[-1]

    assert (last["error"]["message"], last["finish_reason"]) == ("the model server failed", "stop")


@pytest.mark.parametrize(("spelling", "reason"), [("", "error"), ("later_stop", "stop"), ("with_stop", "stop")])
def test_a_response_without_a_stream_has_the_error_in_its_choice(
    emulator: Emulator, spelling: str, reason: str
) -> None:
    (choice,) = chat(emulator, Fault("choice_error", spelling), stream=False).json["choices"]

    assert choice["error"]["message"] == "the model server failed"
    assert choice["finish_reason"] == reason
    assert choice["message"]["content"] == CONTENT


def test_an_error_inside_a_generic_choice(default_emulator: Emulator) -> None:
    last = native(default_emulator, Fault("choice_error")).events[-1]
    whole = native(default_emulator, Fault("choice_error"), stream=False).json["chatResponse"]["choices"][0]

    assert (last["error"]["code"], last["finishReason"]) == (502, "error")
    assert (whole["error"]["code"], whole["finishReason"]) == (502, "error")


# Reasoning in the parts of the content

THOUGHTS: dict[str, Callable[[str], Json]] = {
    "": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "magistral": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "thinking": lambda text: {"type": "thinking", "thinking": text},
    "reasoning": lambda text: {"type": "reasoning", "text": text},
}


@pytest.mark.parametrize("flavour", ["vllm", "vllm-0.13", "sglang", "transformers"])
@pytest.mark.parametrize(("spelling", "part"), THOUGHTS.items())
def test_reasoning_is_a_part_of_the_content(flavour: str, spelling: str, part: Callable[[str], Json]) -> None:
    fault = Fault("reasoning_parts", spelling)
    with Emulator(model=built_in_model, flavour=flavour) as emulator:
        streamed = chat(emulator, fault, think=True)
        whole = chat(emulator, fault, think=True, stream=False).json["choices"][0]["message"]
    contents = [choice["delta"].get("content") for choice in choices(streamed)]

    assert [item for item in contents if item] == [
        [part(f"hm{GRIN}")],
        [part("m")],
        [{"type": "text", "text": "Hi"}],
        f" {GRIN}",
        f" you{GRIN}!",
    ]
    assert whole["content"] == [part(f"hm{GRIN}m"), {"type": "text", "text": CONTENT}]
    assert b'"reasoning' not in re.sub(rb'"reasoning_tokens"|"type":"reasoning"', b"", streamed.body)


def test_a_response_without_reasoning_gets_some(emulator: Emulator) -> None:
    content = chat(emulator, Fault("reasoning_parts"), stream=False).json["choices"][0]["message"]["content"]
    contents = [choice["delta"].get("content") for choice in choices(chat(emulator, Fault("reasoning_parts")))]

    assert ["thinking", "text"] == [item["type"] for item in content]
    assert ["thinking", "text"] == [item["type"] for item in next(filter(None, contents))]


# Missing finish reasons, and content encodings


def test_a_document_without_a_finish_reason(emulator: Emulator) -> None:
    response = chat(emulator, Fault("no_finish"), stream=False)

    assert "finish_reason" not in response.json["choices"][0]
    assert response.json["choices"][0]["message"]["content"] == CONTENT
    assert int(response.headers["content-length"]) == len(response.rest)


@pytest.mark.parametrize("model", ["xai.grok-4", "cohere.command-a-03-2025"])
def test_a_document_of_oci_without_a_finish_reason(default_emulator: Emulator, model: str) -> None:
    response = native(default_emulator, Fault("no_finish"), model=model, stream=False).json["chatResponse"]

    assert "finishReason" not in json.dumps(response)
    assert "Hello" in json.dumps(response) or "?" in json.dumps(response)


@pytest.mark.parametrize("stream", [True, False])
def test_each_event_is_a_gzip_member(emulator: Emulator, stream: bool) -> None:
    response = chat(emulator, Fault("encoded", "gzip-members"), stream=stream)

    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.body).startswith(b"data: {" if stream else b"{")
    assert response.body.count(b"\x1f\x8b\x08") == (len(response.chunks) if stream else 1)


def decode_brotli(data: bytes) -> bytes:
    """Decode Brotli (RFC 7932) that contains uncompressed meta-blocks only."""
    bits, position, out = int.from_bytes(data, "little"), 0, b""

    def take(count: int) -> int:
        nonlocal position
        position += count
        return bits >> position - count & (1 << count) - 1

    assert take(1) == 0  # a window of 16 bits
    while not take(1):  # ISLAST
        assert take(2) == 0  # MNIBBLES: four
        length = take(16) + 1
        assert take(1) == 1  # ISUNCOMPRESSED
        position = -(-position // 8) * 8
        out += data[position // 8 : position // 8 + length]
        position += 8 * length
    assert take(1) == 1  # ISLASTEMPTY
    assert -(-position // 8) == len(data)
    return out


@pytest.mark.parametrize("stream", [True, False])
def test_a_body_is_brotli(emulator: Emulator, stream: bool) -> None:
    response = chat(emulator, Fault("encoded", "br"), stream=stream)
    healthy = chat(emulator, stream=stream)

    assert response.headers["content-encoding"] == "br"
    assert len(decode_brotli(response.body)) == len(healthy.body)
    assert decode_brotli(response.body).startswith(b"data: {" if stream else b"{")


def test_brotli_matches_a_vector_of_the_reference_decoder(default_emulator: Emulator) -> None:
    """Node's zlib and curl, both with the reference decoder, decoded the vector to `hello world`."""
    response = chat(default_emulator, Fault("body", data=b"hello world", size=6), Fault("encoded", "br"))

    assert response.body.hex() == "50001068656c6c6f20200008776f726c6403"
    assert decode_brotli(response.body) == b"hello world"


def test_an_unknown_content_encoding_raises_an_error() -> None:
    with pytest.raises(ValueError, match=r"no spelling 'zstd'.*gzip-members, br"):
        Fault("encoded", "zstd")
