"""Faults in how a stream is split into events, tested without mdstream's decoders."""

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
    join_surrogates,
    native,
)
from _raw_client import HELLO, RawResponse, send_request

from mdstream_core.emulator import Emulator, Fault

__all__ = ["default_emulator", "emulator"]  # fixtures


# Pending finish reasons


@pytest.mark.parametrize("value", ["", "null", "None", "none", "NULL", "undefined", "in_progress"])
def test_every_event_has_a_pending_finish_reason(emulator: Emulator, value: str) -> None:
    *before, last = [
        choice["finish_reason"] for choice in choices(chat(emulator, Fault("pending_finish_reason", value)))
    ]

    assert before
    assert {value or "null"} == set(before)
    assert last == "stop"


@pytest.mark.parametrize("data", [b'""', b'{"type":"null"}', b"false"])
def test_a_pending_finish_reason_is_any_json(emulator: Emulator, data: bytes) -> None:
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
def test_pending_finish_reasons_combine_with_no_finish(emulator: Emulator, faults: tuple[Fault, ...]) -> None:
    response = chat(emulator, *faults)

    assert {"stop"}.isdisjoint(choice["finish_reason"] for choice in choices(response))
    assert response.text.startswith("Hi")
    assert response.whole
    assert b"[DONE]" not in response.body


@pytest.mark.parametrize("model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "cohere.command-a-03-2025"])
def test_pending_finish_reasons_in_ocis_formats(default_emulator: Emulator, model: str) -> None:
    *before, last = [
        event["finishReason"] for event in native(default_emulator, Fault("pending_finish_reason"), model=model).events
    ]

    assert {"null"} == set(before)
    assert last in {"stop", "COMPLETE"}


def test_a_response_without_a_stream_keeps_its_finish_reason(emulator: Emulator) -> None:
    assert chat(emulator, Fault("pending_finish_reason"), stream=False).json["choices"][0]["finish_reason"] == "stop"


# A whole message at the end


def test_a_message_replaces_the_last_delta(emulator: Emulator) -> None:
    response = chat(emulator, Fault("whole_message"))
    *before, last = choices(response)

    assert "delta" not in last
    assert last["message"]["content"] == CONTENT
    assert last["finish_reason"] == "stop"
    assert response.events[-1]["object"] == "chat.completion"
    assert response.events[-1]["usage"]["total_tokens"]
    assert CONTENT.startswith("".join(choice["delta"].get("content") or "" for choice in before))
    assert all(choice.get("finish_reason") is None for choice in before)


def test_a_message_is_beside_an_empty_delta(emulator: Emulator) -> None:
    last = choices(chat(emulator, Fault("whole_message", "beside")))[-1]

    assert last["delta"] == {}
    assert last["message"]["content"] == CONTENT


def test_a_message_is_in_an_event_after_the_last(emulator: Emulator) -> None:
    *before, last = choices(chat(emulator, Fault("whole_message", "after")))

    assert "".join(choice["delta"].get("content") or "" for choice in before) == CONTENT == last["message"]["content"]
    assert [before[-1]["finish_reason"], last["finish_reason"]] == ["stop", "stop"]


def test_a_message_has_the_tool_calls_of_every_choice(emulator: Emulator) -> None:
    response = chat(emulator, Fault("whole_message"), tools=[TOOL], n=2)
    (frame,) = [event for event in response.events if event["object"] == "chat.completion"]

    assert [0, 1] == [choice["index"] for choice in frame["choices"]]
    for choice in frame["choices"]:
        assert [ARGUMENTS] * 2 == [call["function"]["arguments"] for call in choice["message"]["tool_calls"]]


@pytest.mark.parametrize("spelling", ["instead", "beside", "after"])
def test_other_formats_are_unchanged(default_emulator: Emulator, spelling: str) -> None:
    fault = Fault("whole_message", spelling)
    whole = chat(default_emulator, fault, stream=False).json
    default_emulator.script(fault)
    completion = send_request(default_emulator.openai_url + "/completions", {"prompt": "Hello", "stream": True})

    assert native(default_emulator, fault).body.split(b"\n")[-1] == native(default_emulator).body.split(b"\n")[-1]
    assert "message" in whole["choices"][0]
    assert {"text_completion"} == {event["object"] for event in completion.events}


# Split surrogate pairs


def test_characters_of_the_text_are_split(emulator: Emulator) -> None:
    response = chat(emulator, Fault("split_surrogates"))
    chunks = [choice["delta"].get("content") or "" for choice in choices(response)]

    assert join_surrogates(chunks) == CONTENT
    assert response.body.count(rb"\ud83d") == response.body.count(rb"\ude00") == 2
    assert GRIN.encode() not in response.body
    assert not any(re.search("[\ud800-\udfff]", chunk[1:-1]) for chunk in chunks)
    assert [choice["finish_reason"] for choice in choices(response) if choice.get("finish_reason")] == ["stop"]


@pytest.mark.parametrize("flavour", ["vllm", "vllm-0.13", "sglang", "transformers"])
def test_characters_of_reasoning_are_split(flavour: str) -> None:
    with Emulator(model=built_in_model, flavour=flavour) as emulator:
        response = chat(emulator, Fault("split_surrogates"), think=True)
    deltas = [choice["delta"] for choice in choices(response)]
    thoughts = [delta.get("reasoning") or delta.get("reasoning_content") or "" for delta in deltas]

    assert join_surrogates(thoughts) == f"hm{GRIN}m"


def test_characters_of_arguments_are_split(emulator: Emulator) -> None:
    response = chat(emulator, Fault("split_surrogates"), tools=[TOOL])

    assert rb"\ud83d" in response.body
    assert {id: join_surrogates([text]) for id, text in arguments(response).items()} == {
        f"call_{n}": ARGUMENTS for n in range(2)
    }


@pytest.mark.parametrize(
    ("model", "text_of"),
    [
        ("xai.grok-4", lambda event: "".join(p["text"] for p in event.get("message", {}).get("content") or ())),
        ("cohere.command-a-03-2025", lambda event: "" if "finishReason" in event else event["text"]),
    ],
)
def test_characters_of_ocis_formats_are_split(model: str, text_of: Callable[[Json], str]) -> None:
    with Emulator(model=built_in_model) as emulator:
        response = native(emulator, Fault("split_surrogates"), model=model)

    assert join_surrogates([text_of(event) for event in response.events]) == CONTENT
    assert response.body.count(rb"\ud83d") == 2


@pytest.mark.parametrize("after", [None, 1, 3])
def test_a_response_without_such_a_character_gets_one_inserted(default_emulator: Emulator, after: int | None) -> None:
    response = chat(default_emulator, Fault("split_surrogates", after=after))
    chunks = [choice["delta"].get("content") or "" for choice in choices(response)]

    assert chunks[after or 1 : (after or 1) + 2] == ["\ud83d", "\ude00"]
    assert join_surrogates(chunks).replace(GRIN, "") == "Hello! How can I help you today?"
    default_emulator.script(Fault("split_surrogates"))
    completion = send_request(default_emulator.openai_url + "/completions", {"prompt": "Hello", "stream": True})
    assert GRIN in join_surrogates([choice["text"] for choice in choices(completion)])


def test_a_response_without_a_stream_is_not_split(emulator: Emulator) -> None:
    assert chat(emulator, Fault("split_surrogates"), stream=False).json["choices"][0]["message"]["content"] == CONTENT


def parts(response: RawResponse) -> list[bytes]:
    """Parse the payload parts of SageMaker's event stream with botocore."""
    eventstream = pytest.importorskip(
        "botocore.eventstream", reason="botocore reads AWS's frames; install mdstream-llm[aws]"
    )
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(response.body)
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


def test_the_halves_are_in_two_messages_of_a_websocket(default_emulator: Emulator) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="websockets comes with mdstream-llm[emulator]")
    default_emulator.reset()
    default_emulator.script(Fault("split_surrogates"))
    url = default_emulator.modelarts.websocket_endpoint + "/v1/chat/completions"
    with client.connect(url, proxy=None) as socket:
        socket.send(json.dumps(HELLO))
        messages = list(socket)

    assert r"\ud83d" in messages[1]
    assert r"\ude00" in messages[2]
