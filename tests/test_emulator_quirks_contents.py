"""Faults of what an answer holds and how it is coded, on the wire: read by hand, never by our decoders."""

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
    emulator,
    native,
    plain,
)

from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "plain"]  # fixtures


# Tool arguments that are not one object

BENT = {
    "two_objects": ARGUMENTS + '{"to":"Bob"}',
    "trailing_text": ARGUMENTS + " Done.",
    "list": f"[{ARGUMENTS}]",
    "number": "7",
    "string": json.dumps(ARGUMENTS, ensure_ascii=False),
}


@pytest.mark.parametrize(("spelling", "bent"), BENT.items())
def test_arguments_are_not_one_object(emulator: Emulator, spelling: str, bent: str) -> None:
    fault = Fault("tool_arguments", spelling)
    streamed = chat(emulator, fault, tools=[TOOL])
    whole = chat(emulator, fault, tools=[TOOL], stream=False).json["choices"][0]["message"]

    assert arguments(streamed) == {f"call_{n}": bent for n in range(2)}
    assert [bent] * 2 == [call["function"]["arguments"] for call in whole["tool_calls"]]


def test_the_second_object_may_be_ones_own(emulator: Emulator) -> None:
    fault = Fault("tool_arguments", "two_objects", data=b'{"city":"Rome"}')

    assert set(arguments(chat(emulator, fault, tools=[TOOL])).values()) == {ARGUMENTS + '{"city":"Rome"}'}


@pytest.mark.parametrize(
    "model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "openai.gpt-5", "google.gemini-2.5-pro"]
)
@pytest.mark.parametrize(("spelling", "bent"), BENT.items())
def test_arguments_of_generic_are_not_one_object(model: str, spelling: str, bent: str) -> None:
    tool = {"type": "FUNCTION", "name": "get_weather", "description": "?", "parameters": {"type": "object"}}
    fault = Fault("tool_arguments", spelling)
    with Emulator(model=built_in_model) as emulator:
        streamed = native(emulator, fault, model=model, tools=[tool])
        whole = native(emulator, fault, model=model, tools=[tool], stream=False).json["chatResponse"]["choices"][0]
    fragments = [
        call.get("arguments") or "" for e in streamed.events for call in e.get("message", {}).get("toolCalls") or ()
    ]

    assert "".join(fragments) == bent * 2
    assert [bent] * 2 == [call["arguments"] for call in whole["message"]["toolCalls"]]


# An error inside a choice


def test_a_choice_ends_with_an_error(emulator: Emulator) -> None:
    results = chat(emulator, Fault("choice_error", message="out of memory"))
    last = choices(results)[-1]

    assert last["error"] == {"code": 502, "message": "out of memory"}
    assert last["finish_reason"] == "error"
    assert all("error" not in event for event in results.events)
    assert len(choices(results)) == 2


def test_a_stop_follows_the_error(emulator: Emulator) -> None:
    results = chat(emulator, Fault("choice_error", "later_stop", after=2, message="out of memory"))
    failed = choices(results)[2]

    assert (failed["error"]["message"], failed["finish_reason"]) == ("out of memory", None)
    assert choices(results)[-1]["finish_reason"] == "stop"
    assert results.text == CONTENT


def test_the_error_stands_beside_the_stop(emulator: Emulator) -> None:
    last = choices(chat(emulator, Fault("choice_error", "with_stop")))[-1]

    assert (last["error"]["message"], last["finish_reason"]) == ("the model server failed", "stop")


@pytest.mark.parametrize(("spelling", "reason"), [("", "error"), ("later_stop", "stop"), ("with_stop", "stop")])
def test_a_whole_response_has_the_error_in_its_choice(emulator: Emulator, spelling: str, reason: str) -> None:
    (choice,) = chat(emulator, Fault("choice_error", spelling), stream=False).json["choices"]

    assert choice["error"]["message"] == "the model server failed"
    assert choice["finish_reason"] == reason
    assert choice["message"]["content"] == CONTENT


def test_generic_has_it_too(plain: Emulator) -> None:
    last = native(plain, Fault("choice_error")).events[-1]
    whole = native(plain, Fault("choice_error"), stream=False).json["chatResponse"]["choices"][0]

    assert (last["error"]["code"], last["finishReason"]) == (502, "error")
    assert (whole["error"]["code"], whole["finishReason"]) == (502, "error")


# Reasoning among the parts of the content

THOUGHTS: dict[str, Callable[[str], Json]] = {
    "": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "magistral": lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]},
    "thinking": lambda text: {"type": "thinking", "thinking": text},
    "reasoning": lambda text: {"type": "reasoning", "text": text},
}


@pytest.mark.parametrize("flavour", ["vllm", "vllm-0.13", "sglang", "transformers"])
@pytest.mark.parametrize(("spelling", "part"), THOUGHTS.items())
def test_thoughts_are_parts_of_the_content(flavour: str, spelling: str, part: Callable[[str], Json]) -> None:
    fault = Fault("reasoning_parts", spelling)
    with Emulator(model=built_in_model, flavour=flavour) as emulator:
        streamed = chat(emulator, fault, think=True)
        whole = chat(emulator, fault, think=True, stream=False).json["choices"][0]["message"]
    contents = [choice["delta"].get("content") for choice in choices(streamed)]

    assert [one for one in contents if one] == [
        [part(f"hm{GRIN}")],
        [part("m")],
        [{"type": "text", "text": "Hi"}],
        f" {GRIN}",
        f" you{GRIN}!",
    ]
    assert whole["content"] == [part(f"hm{GRIN}m"), {"type": "text", "text": CONTENT}]
    assert b'"reasoning' not in re.sub(rb'"reasoning_tokens"|"type":"reasoning"', b"", streamed.body)


def test_who_did_not_think_is_given_a_thought(emulator: Emulator) -> None:
    content = chat(emulator, Fault("reasoning_parts"), stream=False).json["choices"][0]["message"]["content"]
    contents = [choice["delta"].get("content") for choice in choices(chat(emulator, Fault("reasoning_parts")))]

    assert ["thinking", "text"] == [one["type"] for one in content]
    assert ["thinking", "text"] == [one["type"] for one in next(filter(None, contents))]


# What is whole but for its finish reason, and codings


def test_a_whole_response_without_a_finish_reason(emulator: Emulator) -> None:
    results = chat(emulator, Fault("no_finish"), stream=False)

    assert "finish_reason" not in results.json["choices"][0]
    assert results.json["choices"][0]["message"]["content"] == CONTENT
    assert int(results.headers["content-length"]) == len(results.rest)


@pytest.mark.parametrize("model", ["xai.grok-4", "cohere.command-a-03-2025"])
def test_a_whole_response_of_oci_without_a_finish_reason(plain: Emulator, model: str) -> None:
    answer = native(plain, Fault("no_finish"), model=model, stream=False).json["chatResponse"]

    assert "finishReason" not in json.dumps(answer)
    assert "Hello" in json.dumps(answer) or "?" in json.dumps(answer)


@pytest.mark.parametrize("stream", [True, False])
def test_each_event_is_a_gzip_member(emulator: Emulator, stream: bool) -> None:
    results = chat(emulator, Fault("encoded", "gzip-members"), stream=stream)

    assert results.headers["content-encoding"] == "gzip"
    assert gzip.decompress(results.body).startswith(b"data: {" if stream else b"{")
    assert results.body.count(b"\x1f\x8b\x08") == (len(results.chunks) if stream else 1)


def unbrotli(data: bytes) -> bytes:
    """RFC 7932 read by hand, as far as nothing is compressed in it."""
    bits, at, out = int.from_bytes(data, "little"), 0, b""

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> at - count & (1 << count) - 1

    assert take(1) == 0  # a window of 16 bits
    while not take(1):  # ISLAST
        assert take(2) == 0  # MNIBBLES: four
        length = take(16) + 1
        assert take(1) == 1  # ISUNCOMPRESSED
        at = -(-at // 8) * 8
        out += data[at // 8 : at // 8 + length]
        at += 8 * length
    assert take(1) == 1  # ISLASTEMPTY
    assert -(-at // 8) == len(data)
    return out


@pytest.mark.parametrize("stream", [True, False])
def test_a_body_is_brotli(emulator: Emulator, stream: bool) -> None:
    results = chat(emulator, Fault("encoded", "br"), stream=stream)
    healthy = chat(emulator, stream=stream)

    assert results.headers["content-encoding"] == "br"
    assert len(unbrotli(results.body)) == len(healthy.body)
    assert unbrotli(results.body).startswith(b"data: {" if stream else b"{")


def test_brotli_is_what_googles_decoder_reads(plain: Emulator) -> None:
    """The vector was read by Node's zlib and by curl, both with the reference decoder: `hello world`."""
    results = chat(plain, Fault("body", data=b"hello world", size=6), Fault("encoded", "br"))

    assert results.body.hex() == "50001068656c6c6f20200008776f726c6403"
    assert unbrotli(results.body) == b"hello world"


def test_an_unknown_coding_is_named_when_the_fault_is_made() -> None:
    with pytest.raises(ValueError, match=r"no spelling 'zstd'.*gzip-members, br"):
        Fault("encoded", "zstd")
