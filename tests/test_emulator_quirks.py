"""Faults of how a stream is cut into events, as they are on the wire: read by hand, never by our decoders."""

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
    joined,
    native,
    plain,
)
from _raw_client import HELLO, RawResponse, send_request

from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "plain"]  # fixtures


# Finish reasons that are none


@pytest.mark.parametrize("word", ["", "null", "None", "none", "NULL", "undefined", "in_progress"])
def test_every_event_has_a_finish_reason_that_is_none(emulator: Emulator, word: str) -> None:
    *before, last = [
        choice["finish_reason"] for choice in choices(chat(emulator, Fault("pending_finish_reason", word)))
    ]

    assert before
    assert {word or "null"} == set(before)
    assert last == "stop"


@pytest.mark.parametrize("data", [b'""', b'{"type":"null"}', b"false"])
def test_the_finish_reason_may_be_anything(emulator: Emulator, data: bytes) -> None:
    reasons = [choice["finish_reason"] for choice in choices(chat(emulator, Fault("pending_finish_reason", data=data)))]

    assert reasons[0] == json.loads(data)
    assert reasons[-1] == "stop"


@pytest.mark.parametrize(
    "faults",
    [
        (Fault("pending_finish_reason"), Fault("no_finish")),
        (Fault("no_finish"), Fault("pending_finish_reason")),
        (Fault("pending_finish_reason", "None"), Fault("no_finish")),
    ],
)
def test_and_then_the_stream_may_end(emulator: Emulator, faults: tuple[Fault, ...]) -> None:
    results = chat(emulator, *faults)

    assert {"stop"}.isdisjoint(choice["finish_reason"] for choice in choices(results))
    assert results.text.startswith("Hi")
    assert results.whole
    assert b"[DONE]" not in results.body


@pytest.mark.parametrize("model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "cohere.command-a-03-2025"])
def test_ocis_formats_have_it_too(plain: Emulator, model: str) -> None:
    *before, last = [
        event["finishReason"] for event in native(plain, Fault("pending_finish_reason"), model=model).events
    ]

    assert {"null"} == set(before)
    assert last in {"stop", "COMPLETE"}


def test_a_whole_response_has_its_reason(emulator: Emulator) -> None:
    assert chat(emulator, Fault("pending_finish_reason"), stream=False).json["choices"][0]["finish_reason"] == "stop"


# A whole message at the end


def test_a_message_stands_in_position_of_the_last_delta(emulator: Emulator) -> None:
    results = chat(emulator, Fault("whole_message"))
    *before, last = choices(results)

    assert "delta" not in last
    assert last["message"]["content"] == CONTENT
    assert last["finish_reason"] == "stop"
    assert results.events[-1]["object"] == "chat.completion"
    assert results.events[-1]["usage"]["total_tokens"]
    assert CONTENT.startswith("".join(choice["delta"].get("content") or "" for choice in before))
    assert all(choice.get("finish_reason") is None for choice in before)


def test_a_message_stands_beside_an_empty_delta(emulator: Emulator) -> None:
    last = choices(chat(emulator, Fault("whole_message", "beside")))[-1]

    assert last["delta"] == {}
    assert last["message"]["content"] == CONTENT


def test_a_message_stands_in_an_event_of_its_own(emulator: Emulator) -> None:
    *before, last = choices(chat(emulator, Fault("whole_message", "after")))

    assert "".join(choice["delta"].get("content") or "" for choice in before) == CONTENT == last["message"]["content"]
    assert [before[-1]["finish_reason"], last["finish_reason"]] == ["stop", "stop"]


def test_a_message_has_the_calls_and_every_choice(emulator: Emulator) -> None:
    results = chat(emulator, Fault("whole_message"), tools=[TOOL], n=2)
    (frame,) = [event for event in results.events if event["object"] == "chat.completion"]

    assert [0, 1] == [choice["index"] for choice in frame["choices"]]
    for choice in frame["choices"]:
        assert [ARGUMENTS] * 2 == [call["function"]["arguments"] for call in choice["message"]["tool_calls"]]


@pytest.mark.parametrize("spelling", ["instead", "beside", "after"])
def test_other_formats_are_left_alone(plain: Emulator, spelling: str) -> None:
    fault = Fault("whole_message", spelling)
    whole = chat(plain, fault, stream=False).json
    plain.script(fault)
    completion = send_request(plain.openai_url + "/completions", {"prompt": "Hello", "stream": True})

    assert native(plain, fault).body.split(b"\n")[-1] == native(plain).body.split(b"\n")[-1]
    assert "message" in whole["choices"][0]
    assert {"text_completion"} == {event["object"] for event in completion.events}


# Half a character in each event


def test_characters_are_split(emulator: Emulator) -> None:
    results = chat(emulator, Fault("split_surrogates"))
    pieces = [choice["delta"].get("content") or "" for choice in choices(results)]

    assert joined(pieces) == CONTENT
    assert results.body.count(rb"\ud83d") == results.body.count(rb"\ude00") == 2
    assert GRIN.encode() not in results.body
    assert not any(re.search("[\ud800-\udfff]", piece[1:-1]) for piece in pieces)
    assert [choice["finish_reason"] for choice in choices(results) if choice.get("finish_reason")] == ["stop"]


@pytest.mark.parametrize("flavour", ["vllm", "vllm-0.13", "sglang", "transformers"])
def test_characters_of_reasoning_are_split(flavour: str) -> None:
    with Emulator(model=built_in_model, flavour=flavour) as emulator:
        results = chat(emulator, Fault("split_surrogates"), think=True)
    deltas = [choice["delta"] for choice in choices(results)]
    thoughts = [delta.get("reasoning") or delta.get("reasoning_content") or "" for delta in deltas]

    assert joined(thoughts) == f"hm{GRIN}m"


def test_characters_of_arguments_are_split(emulator: Emulator) -> None:
    results = chat(emulator, Fault("split_surrogates"), tools=[TOOL])

    assert rb"\ud83d" in results.body
    assert {id: joined([text]) for id, text in arguments(results).items()} == {f"call_{n}": ARGUMENTS for n in range(2)}


@pytest.mark.parametrize(
    ("model", "text_of"),
    [
        ("xai.grok-4", lambda event: "".join(p["text"] for p in event.get("message", {}).get("content") or ())),
        ("cohere.command-a-03-2025", lambda event: "" if "finishReason" in event else event["text"]),
    ],
)
def test_characters_of_ocis_formats_are_split(model: str, text_of: Callable[[Json], str]) -> None:
    with Emulator(model=built_in_model) as emulator:
        results = native(emulator, Fault("split_surrogates"), model=model)

    assert joined([text_of(event) for event in results.events]) == CONTENT
    assert results.body.count(rb"\ud83d") == 2


@pytest.mark.parametrize("after", [None, 1, 3])
def test_a_response_without_such_a_character_gets_one(plain: Emulator, after: int | None) -> None:
    results = chat(plain, Fault("split_surrogates", after=after))
    pieces = [choice["delta"].get("content") or "" for choice in choices(results)]

    assert pieces[after or 1 : (after or 1) + 2] == ["\ud83d", "\ude00"]
    assert joined(pieces).replace(GRIN, "") == "Hello! How can I help you today?"
    plain.script(Fault("split_surrogates"))
    completion = send_request(plain.openai_url + "/completions", {"prompt": "Hello", "stream": True})
    assert GRIN in joined([choice["text"] for choice in choices(completion)])


def test_a_whole_response_is_not_split(emulator: Emulator) -> None:
    assert chat(emulator, Fault("split_surrogates"), stream=False).json["choices"][0]["message"]["content"] == CONTENT


def parts(results: RawResponse) -> list[bytes]:
    """The payload parts of SageMaker's event stream, as botocore reads them."""
    eventstream = pytest.importorskip(
        "botocore.eventstream", reason="botocore reads AWS's frames; install mdstream-llm[aws]"
    )
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(results.body)
    return [event.payload for event in buffer]


@pytest.mark.parametrize(("name", "start"), [("emulated", b"data: {"), ("lmi", b"{"), ("tgi-old", b"data: {")])
def test_the_halves_are_in_two_payload_parts(name: str, start: bytes) -> None:
    body = {"inputs": "?", "stream": True} if name == "tgi-old" else {**HELLO}
    with Emulator(model=built_in_model) as emulator:
        emulator.script(Fault("split_surrogates"))
        payloads = parts(send_request(f"{emulator.url}/endpoints/{name}/invocations-response-stream", body))
    (first, *_) = [at for at, payload in enumerate(payloads) if rb"\ud83d" in payload]

    assert payloads[first].startswith(start)
    assert rb"\ude00" in payloads[first + 1]
    assert rb"\ude00" not in payloads[first]


def test_the_halves_are_in_two_messages_of_a_websocket(plain: Emulator) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="websockets comes with mdstream-llm[emulator]")
    plain.reset()
    plain.script(Fault("split_surrogates"))
    url = plain.modelarts.websocket_endpoint + "/v1/chat/completions"
    with client.connect(url, proxy=None) as socket:
        socket.send(json.dumps(HELLO))
        messages = list(socket)

    assert r"\ud83d" in messages[1]
    assert r"\ude00" in messages[2]
