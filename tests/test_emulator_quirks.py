"""What each fault of a server's own habits puts on the wire, in each format: read by hand, never by our decoders."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _raw_client import HELLO, Heard, ask

from mdstream_core.emulator import FLAVOURS, Answer, Emulator, Fault, ToolCall

GRIN = "\N{GRINNING FACE}"
SAID = f"Hi {GRIN} you{GRIN}!"
ARGUMENTS = f'{{"city": "Par{GRIN}is"}}'
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
Json = dict[str, Any]


def brain(request: Json) -> Answer:
    """Thinks, speaks, or calls two tools, each with a character beyond U+FFFF."""
    if request.get("tools"):
        calls = [ToolCall(f"call_{n}", "get_weather", (ARGUMENTS[:10], ARGUMENTS[10:])) for n in range(2)]
        return Answer(tool_calls=tuple(calls), finish="tool_calls")
    return Answer(text=("Hi", f" {GRIN}", f" you{GRIN}!"), reasoning=(f"hm{GRIN}", "m") if request.get("think") else ())


@pytest.fixture(scope="module", params=FLAVOURS)
def cloud(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator of each flavour."""
    with Emulator(brain=brain, flavour=request.param) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def plain() -> Iterator[Emulator]:
    """One that answers by itself."""
    with Emulator() as cloud:
        yield cloud


def chat(cloud: Emulator, *faults: Fault, **more: Any) -> Heard:
    """A chat with the bare server."""
    cloud.reset()
    cloud.script(faults)
    return ask(cloud.openai_url + "/chat/completions", {**HELLO, **more})


def native(cloud: Emulator, *faults: Fault, model: str = "xai.grok-4", stream: bool = True, **more: Any) -> Heard:
    """A chat with OCI Generative AI: GENERIC, or Cohere's formats."""
    request: Json = {"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "?"}]}]}
    if model.startswith("cohere."):
        request = {"apiFormat": "COHERE", "message": "?"}
    mode = {"servingType": "ON_DEMAND", "modelId": model}
    cloud.reset()
    cloud.script(faults)
    compartment = cloud.oci_generative_ai.compartment_id
    chat_request = {**request, "isStream": stream, **more}
    body = {"compartmentId": compartment, "servingMode": mode, "chatRequest": chat_request}
    return ask(f"{cloud.url}/20231130/actions/chat", body)


def choices(heard: Heard) -> list[Json]:
    """The choices of each event."""
    return [choice for event in heard.events for choice in event.get("choices", ())]


def joined(parts: list[str]) -> str:
    """Halves of characters put together."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16")


def arguments(heard: Heard) -> dict[str, str]:
    """What each call of a stream was given, by its id, or by its index."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    for choice in choices(heard):
        for entry in choice["delta"].get("tool_calls") or ():
            names[entry["index"]] = entry.get("id") or names[entry["index"]]
            id = names[entry["index"]]
            found[id] = found.get(id, "") + (entry["function"].get("arguments") or "")
    return found


# Finish reasons that are none


@pytest.mark.parametrize("word", ["", "null", "None", "none", "NULL", "undefined", "in_progress"])
def test_every_event_has_a_finish_reason_that_is_none(cloud: Emulator, word: str) -> None:
    *before, last = [choice["finish_reason"] for choice in choices(chat(cloud, Fault("pending_finish_reason", word)))]

    assert before
    assert {word or "null"} == set(before)
    assert last == "stop"


@pytest.mark.parametrize("data", [b'""', b'{"type":"null"}', b"false"])
def test_the_finish_reason_may_be_anything(cloud: Emulator, data: bytes) -> None:
    reasons = [choice["finish_reason"] for choice in choices(chat(cloud, Fault("pending_finish_reason", data=data)))]

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
def test_and_then_the_stream_may_end(cloud: Emulator, faults: tuple[Fault, ...]) -> None:
    heard = chat(cloud, *faults)

    assert {"stop"}.isdisjoint(choice["finish_reason"] for choice in choices(heard))
    assert heard.text.startswith("Hi")
    assert heard.whole
    assert b"[DONE]" not in heard.body


@pytest.mark.parametrize("model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "cohere.command-a-03-2025"])
def test_ocis_formats_have_it_too(plain: Emulator, model: str) -> None:
    *before, last = [
        event["finishReason"] for event in native(plain, Fault("pending_finish_reason"), model=model).events
    ]

    assert {"null"} == set(before)
    assert last in {"stop", "COMPLETE"}


def test_a_whole_answer_has_its_reason(cloud: Emulator) -> None:
    assert chat(cloud, Fault("pending_finish_reason"), stream=False).json["choices"][0]["finish_reason"] == "stop"


# A whole message at the end


def test_a_message_stands_in_place_of_the_last_delta(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("whole_message"))
    *before, last = choices(heard)

    assert "delta" not in last
    assert last["message"]["content"] == SAID
    assert last["finish_reason"] == "stop"
    assert heard.events[-1]["object"] == "chat.completion"
    assert heard.events[-1]["usage"]["total_tokens"]
    assert SAID.startswith("".join(choice["delta"].get("content") or "" for choice in before))
    assert all(choice.get("finish_reason") is None for choice in before)


def test_a_message_stands_beside_an_empty_delta(cloud: Emulator) -> None:
    last = choices(chat(cloud, Fault("whole_message", "beside")))[-1]

    assert last["delta"] == {}
    assert last["message"]["content"] == SAID


def test_a_message_stands_in_an_event_of_its_own(cloud: Emulator) -> None:
    *before, last = choices(chat(cloud, Fault("whole_message", "after")))

    assert "".join(choice["delta"].get("content") or "" for choice in before) == SAID == last["message"]["content"]
    assert [before[-1]["finish_reason"], last["finish_reason"]] == ["stop", "stop"]


def test_a_message_has_the_calls_and_every_choice(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("whole_message"), tools=[TOOL], n=2)
    (frame,) = [event for event in heard.events if event["object"] == "chat.completion"]

    assert [0, 1] == [choice["index"] for choice in frame["choices"]]
    for choice in frame["choices"]:
        assert [ARGUMENTS] * 2 == [call["function"]["arguments"] for call in choice["message"]["tool_calls"]]


@pytest.mark.parametrize("spelling", ["instead", "beside", "after"])
def test_other_formats_are_left_alone(plain: Emulator, spelling: str) -> None:
    fault = Fault("whole_message", spelling)
    whole = chat(plain, fault, stream=False).json
    plain.script(fault)
    completion = ask(plain.openai_url + "/completions", {"prompt": "Hello", "stream": True})

    assert native(plain, fault).body.split(b"\n")[-1] == native(plain).body.split(b"\n")[-1]
    assert "message" in whole["choices"][0]
    assert {"text_completion"} == {event["object"] for event in completion.events}


# Half a character in each event


def test_characters_are_split(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("split_surrogates"))
    pieces = [choice["delta"].get("content") or "" for choice in choices(heard)]

    assert joined(pieces) == SAID
    assert heard.body.count(rb"\ud83d") == heard.body.count(rb"\ude00") == 2
    assert GRIN.encode() not in heard.body
    assert not any(re.search("[\ud800-\udfff]", piece[1:-1]) for piece in pieces)
    assert [choice["finish_reason"] for choice in choices(heard) if choice.get("finish_reason")] == ["stop"]


@pytest.mark.parametrize("flavour", ["vllm", "vllm-0.13", "sglang", "transformers"])
def test_characters_of_reasoning_are_split(flavour: str) -> None:
    with Emulator(brain=brain, flavour=flavour) as cloud:
        heard = chat(cloud, Fault("split_surrogates"), think=True)
    deltas = [choice["delta"] for choice in choices(heard)]
    thoughts = [delta.get("reasoning") or delta.get("reasoning_content") or "" for delta in deltas]

    assert joined(thoughts) == f"hm{GRIN}m"


def test_characters_of_arguments_are_split(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("split_surrogates"), tools=[TOOL])

    assert rb"\ud83d" in heard.body
    assert {id: joined([text]) for id, text in arguments(heard).items()} == {f"call_{n}": ARGUMENTS for n in range(2)}


@pytest.mark.parametrize(
    ("model", "text_of"),
    [
        ("xai.grok-4", lambda event: "".join(p["text"] for p in event.get("message", {}).get("content") or ())),
        ("cohere.command-a-03-2025", lambda event: "" if "finishReason" in event else event["text"]),
    ],
)
def test_characters_of_ocis_formats_are_split(model: str, text_of: Callable[[Json], str]) -> None:
    with Emulator(brain=brain) as cloud:
        heard = native(cloud, Fault("split_surrogates"), model=model)

    assert joined([text_of(event) for event in heard.events]) == SAID
    assert heard.body.count(rb"\ud83d") == 2


@pytest.mark.parametrize("after", [None, 1, 3])
def test_an_answer_without_such_a_character_gets_one(plain: Emulator, after: int | None) -> None:
    heard = chat(plain, Fault("split_surrogates", after=after))
    pieces = [choice["delta"].get("content") or "" for choice in choices(heard)]

    assert pieces[after or 1 : (after or 1) + 2] == ["\ud83d", "\ude00"]
    assert joined(pieces).replace(GRIN, "") == "Hello! How can I help you today?"
    plain.script(Fault("split_surrogates"))
    completion = ask(plain.openai_url + "/completions", {"prompt": "Hello", "stream": True})
    assert GRIN in joined([choice["text"] for choice in choices(completion)])


def test_a_whole_answer_is_not_split(cloud: Emulator) -> None:
    assert chat(cloud, Fault("split_surrogates"), stream=False).json["choices"][0]["message"]["content"] == SAID


def parts(heard: Heard) -> list[bytes]:
    """The payload parts of SageMaker's event stream, as botocore reads them."""
    eventstream = pytest.importorskip(
        "botocore.eventstream", reason="botocore reads AWS's frames; install mdstream-llm[aws]"
    )
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(heard.body)
    return [event.payload for event in buffer]


@pytest.mark.parametrize(("name", "start"), [("emulated", b"data: {"), ("lmi", b"{"), ("tgi-old", b"data: {")])
def test_the_halves_are_in_two_payload_parts(name: str, start: bytes) -> None:
    body = {"inputs": "?", "stream": True} if name == "tgi-old" else {**HELLO}
    with Emulator(brain=brain) as cloud:
        cloud.script(Fault("split_surrogates"))
        payloads = parts(ask(f"{cloud.url}/endpoints/{name}/invocations-response-stream", body))
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


# Tool arguments that are not one object

BENT = {
    "two_objects": ARGUMENTS + '{"to":"Bob"}',
    "trailing_text": ARGUMENTS + " Done.",
    "list": f"[{ARGUMENTS}]",
    "number": "7",
    "string": json.dumps(ARGUMENTS, ensure_ascii=False),
}


@pytest.mark.parametrize(("spelling", "bent"), BENT.items())
def test_arguments_are_not_one_object(cloud: Emulator, spelling: str, bent: str) -> None:
    fault = Fault("tool_arguments", spelling)
    streamed = chat(cloud, fault, tools=[TOOL])
    whole = chat(cloud, fault, tools=[TOOL], stream=False).json["choices"][0]["message"]

    assert arguments(streamed) == {f"call_{n}": bent for n in range(2)}
    assert [bent] * 2 == [call["function"]["arguments"] for call in whole["tool_calls"]]


def test_the_second_object_may_be_ones_own(cloud: Emulator) -> None:
    fault = Fault("tool_arguments", "two_objects", data=b'{"city":"Rome"}')

    assert set(arguments(chat(cloud, fault, tools=[TOOL])).values()) == {ARGUMENTS + '{"city":"Rome"}'}


@pytest.mark.parametrize(
    "model", ["xai.grok-4", "meta.llama-3.3-70b-instruct", "openai.gpt-5", "google.gemini-2.5-pro"]
)
@pytest.mark.parametrize(("spelling", "bent"), BENT.items())
def test_arguments_of_generic_are_not_one_object(model: str, spelling: str, bent: str) -> None:
    tool = {"type": "FUNCTION", "name": "get_weather", "description": "?", "parameters": {"type": "object"}}
    fault = Fault("tool_arguments", spelling)
    with Emulator(brain=brain) as cloud:
        streamed = native(cloud, fault, model=model, tools=[tool])
        whole = native(cloud, fault, model=model, tools=[tool], stream=False).json["chatResponse"]["choices"][0]
    fragments = [
        call.get("arguments") or "" for e in streamed.events for call in e.get("message", {}).get("toolCalls") or ()
    ]

    assert "".join(fragments) == bent * 2
    assert [bent] * 2 == [call["arguments"] for call in whole["message"]["toolCalls"]]


# An error inside a choice


def test_a_choice_ends_with_an_error(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("choice_error", message="out of memory"))
    last = choices(heard)[-1]

    assert last["error"] == {"code": 502, "message": "out of memory"}
    assert last["finish_reason"] == "error"
    assert all("error" not in event for event in heard.events)
    assert len(choices(heard)) == 2


def test_a_stop_follows_the_error(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("choice_error", "later_stop", after=2, message="out of memory"))
    failed = choices(heard)[2]

    assert (failed["error"]["message"], failed["finish_reason"]) == ("out of memory", None)
    assert choices(heard)[-1]["finish_reason"] == "stop"
    assert heard.text == SAID


def test_the_error_stands_beside_the_stop(cloud: Emulator) -> None:
    last = choices(chat(cloud, Fault("choice_error", "with_stop")))[-1]

    assert (last["error"]["message"], last["finish_reason"]) == ("the model server failed", "stop")


@pytest.mark.parametrize(("spelling", "reason"), [("", "error"), ("later_stop", "stop"), ("with_stop", "stop")])
def test_a_whole_answer_has_the_error_in_its_choice(cloud: Emulator, spelling: str, reason: str) -> None:
    (choice,) = chat(cloud, Fault("choice_error", spelling), stream=False).json["choices"]

    assert choice["error"]["message"] == "the model server failed"
    assert choice["finish_reason"] == reason
    assert choice["message"]["content"] == SAID


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
    with Emulator(brain=brain, flavour=flavour) as cloud:
        streamed = chat(cloud, fault, think=True)
        whole = chat(cloud, fault, think=True, stream=False).json["choices"][0]["message"]
    contents = [choice["delta"].get("content") for choice in choices(streamed)]

    assert [one for one in contents if one] == [
        [part(f"hm{GRIN}")],
        [part("m")],
        [{"type": "text", "text": "Hi"}],
        f" {GRIN}",
        f" you{GRIN}!",
    ]
    assert whole["content"] == [part(f"hm{GRIN}m"), {"type": "text", "text": SAID}]
    assert b'"reasoning' not in re.sub(rb'"reasoning_tokens"|"type":"reasoning"', b"", streamed.body)


def test_who_did_not_think_is_given_a_thought(cloud: Emulator) -> None:
    content = chat(cloud, Fault("reasoning_parts"), stream=False).json["choices"][0]["message"]["content"]
    contents = [choice["delta"].get("content") for choice in choices(chat(cloud, Fault("reasoning_parts")))]

    assert ["thinking", "text"] == [one["type"] for one in content]
    assert ["thinking", "text"] == [one["type"] for one in next(filter(None, contents))]


# What is whole but for its finish reason, and codings


def test_a_whole_answer_without_a_finish_reason(cloud: Emulator) -> None:
    heard = chat(cloud, Fault("no_finish"), stream=False)

    assert "finish_reason" not in heard.json["choices"][0]
    assert heard.json["choices"][0]["message"]["content"] == SAID
    assert int(heard.headers["content-length"]) == len(heard.rest)


@pytest.mark.parametrize("model", ["xai.grok-4", "cohere.command-a-03-2025"])
def test_a_whole_answer_of_oci_without_a_finish_reason(plain: Emulator, model: str) -> None:
    answer = native(plain, Fault("no_finish"), model=model, stream=False).json["chatResponse"]

    assert "finishReason" not in json.dumps(answer)
    assert "Hello" in json.dumps(answer) or "?" in json.dumps(answer)


@pytest.mark.parametrize("stream", [True, False])
def test_each_event_is_a_gzip_member(cloud: Emulator, stream: bool) -> None:
    heard = chat(cloud, Fault("encoded", "gzip-members"), stream=stream)

    assert heard.headers["content-encoding"] == "gzip"
    assert gzip.decompress(heard.body).startswith(b"data: {" if stream else b"{")
    assert heard.body.count(b"\x1f\x8b\x08") == (len(heard.chunks) if stream else 1)


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
def test_a_body_is_brotli(cloud: Emulator, stream: bool) -> None:
    heard = chat(cloud, Fault("encoded", "br"), stream=stream)
    healthy = chat(cloud, stream=stream)

    assert heard.headers["content-encoding"] == "br"
    assert len(unbrotli(heard.body)) == len(healthy.body)
    assert unbrotli(heard.body).startswith(b"data: {" if stream else b"{")


def test_brotli_is_what_googles_decoder_reads(plain: Emulator) -> None:
    """The vector was read by Node's zlib and by curl, both with the reference decoder: `hello world`."""
    heard = chat(plain, Fault("body", data=b"hello world", size=6), Fault("encoded", "br"))

    assert heard.body.hex() == "50001068656c6c6f20200008776f726c6403"
    assert unbrotli(heard.body) == b"hello world"


def test_an_unknown_coding_is_named_when_the_fault_is_made() -> None:
    with pytest.raises(ValueError, match=r"no spelling 'zstd'.*gzip-members, br"):
        Fault("encoded", "zstd")
