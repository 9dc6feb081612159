"""Quirks of real servers, in both frameworks, sync and async: the response or an error, and nothing lost.

Each table is one class of quirk, with several spellings. `_stream_quirks` has the same quirks as functions, for generated
responses.
"""

import gzip
import json
from typing import Any

import pytest
from _framework_methods import METHODS, PLATFORM, Method, Response, every_method, send_request
from _raw_server import respond_with, serving
from llama_index.core.llms import ChatMessage

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core.errors import MDStreamError
from mdstream_core.wire.sse import encode


def chunk(delta: dict[str, Any], finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **more,
    }


def sse(*payloads: Any, done: bool = True) -> bytes:
    """Each payload as an event, half a surrogate pair as an escape."""
    return (
        b"".join(encode(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in payloads)
        + encode(b"[DONE]") * done
    )


def text(*pieces: str, word: Any = None) -> list[dict[str, Any]]:
    return [chunk({"content": piece}, word) for piece in pieces]


def call(arguments: str, index: Any = 0, id: Any = "a", name: Any = "pay", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    return chunk(
        {
            "tool_calls": [
                {"index": index, **({} if id is None else {"id": id}), "type": "function", "function": function, **more}
            ]
        }
    )


STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")
ANN = ("pay", '{"to": "Ann"}')

NOT_YET = ["null", "None", "none", "NULL", "undefined", "nil", "", {}, {"type": None}, False]


@every_method
@pytest.mark.parametrize("word", NOT_YET, ids=repr)
def test_a_value_for_not_finished_does_not_end_a_choice(call_method: Method, word: Any) -> None:
    """A later finish reason counts; without one the response is interrupted, and no call is returned."""
    assert Response("The Nile") == send_request(call_method, sse(*text("The ", "Nile", word=word), STOP))

    for pieces, done in (
        (text("The ", "Nile", word=word), False),
        (text("The ", "Nile", word=word), True),
        ([call('{"to": "Ann"}'), chunk({}, word)], True),
    ):
        with pytest.raises(MDStreamError, match="before a finish reason") as caught:
            send_request(call_method, sse(*pieces, done=done))
        assert caught.value.partial is not None


UNKNOWN: dict[str, tuple[bytes, Response | None]] = {
    "kept, with [DONE]": (sse(*text("The Nile"), chunk({}, "Repetition")), Response("The Nile", finish="Repetition")),
    "kept, with usage": (
        sse(*text("The Nile"), chunk({}, "repetition", usage={"prompt_tokens": 1, "completion_tokens": 2}), done=False),
        Response("The Nile", finish="repetition"),
    ),
    "an object": (sse(*text("The Nile"), chunk({}, {"type": "stop"})), Response("The Nile")),
    "another object": (
        sse(*text("The Nile"), chunk({}, {"reason": "length", "n": 1})),
        Response("The Nile", finish="length"),
    ),
    "no end marker": (sse(*text("The Nile"), chunk({}, "repetition"), done=False), None),
    "in every chunk": (sse(*text("The ", "Nile", word="running")), None),
    "in every chunk, then a known one": (sse(*text("The ", "Nile", word="running"), STOP), Response("The Nile")),
    "a known one, then more": (sse(*text("The "), STOP, *text("Nile")), None),
}


@every_method
@pytest.mark.parametrize(("body", "expected"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_finish_reason_must_be_confirmed(
    call_method: Method, body: bytes, expected: Response | None
) -> None:
    """An unknown value ends a response only if the rest of the stream confirms it."""
    if expected is not None:
        assert expected == send_request(call_method, body)
        return
    with pytest.raises(MDStreamError, match="before a finish reason"):
        send_request(call_method, body)


def frame(message: dict[str, Any], finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}],
    }


WIRE_CALL = {"id": "a", "type": "function", "function": {"name": "pay", "arguments": '{"to": "Ann"}'}}
WHOLE: dict[str, tuple[bytes, Response]] = {
    "in place of the last chunk": (sse(*text("The ", "Nile"), frame({"content": "The Nile"})), Response("The Nile")),
    "after the reason": (sse(*text("The ", "Nile"), STOP, frame({"content": "The Nile"})), Response("The Nile")),
    "beside an empty delta": (
        sse(*text("The ", "Nile"), frame({"content": "The Nile"}, delta={})),
        Response("The Nile"),
    ),
    "with more than was streamed": (sse(*text("The "), frame({"content": "The Nile"})), Response("The Nile")),
    "trimmed": (sse(*text(" The ", "Nile\n"), frame({"content": "The Nile"})), Response(" The Nile\n")),
    "without a word of it": (sse(*text("The ", "Nile"), frame({"content": None})), Response("The Nile")),
    "as parts": (
        sse(*text("The ", "Nile"), frame({"content": [{"type": "text", "text": "The Nile"}]})),
        Response("The Nile"),
    ),
    "with the reasoning": (
        sse(
            chunk({"reasoning_content": "hm"}),
            *text("The Nile"),
            frame({"content": "The Nile", "reasoning_content": "hm"}),
        ),
        Response("The Nile", "hm"),
    ),
    "with the call": (
        sse(call('{"to": '), call('"Ann"}', name=None), frame({"content": "", "tool_calls": [WIRE_CALL]})),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "with the call, written otherwise": (
        sse(call('{"to":"Ann"}'), frame({"tool_calls": [WIRE_CALL]}, "tool_calls")),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "with a call that was not streamed": (
        sse(*text("I pay."), frame({"content": "I pay.", "tool_calls": [WIRE_CALL]})),
        Response("I pay.", "", (ANN,), "tool_calls"),
    ),
    "alone": (sse(frame({"content": "The Nile"})), Response("The Nile")),
    "with the legacy call": (
        sse(chunk({"function_call": WIRE_CALL["function"]}), frame({"function_call": WIRE_CALL["function"]})),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
}


@every_method
@pytest.mark.parametrize(("body", "expected"), WHOLE.values(), ids=WHOLE)
def test_a_whole_message_at_the_end_emits_nothing_twice(call_method: Method, body: bytes, expected: Response) -> None:
    """
    It is the sum of what was streamed: only what was not delivered is.
    """
    assert expected == send_request(call_method, body)


CONTRADICTIONS = {
    "another text": sse(*text("The Nile"), frame({"content": "The Amazon"})),
    "less text": sse(*text("The Nile flows."), frame({"content": "The Nile"})),
    "another name": sse(
        call('{"to": "Ann"}'), frame({"tool_calls": [{**WIRE_CALL, "function": {"name": "buy", "arguments": "{}"}}]})
    ),
    "other arguments": sse(call('{"to": "Bob"}'), frame({"tool_calls": [WIRE_CALL]})),
    "fewer calls": sse(call('{"to": "Ann"}'), call("{}", 1, "b"), frame({"tool_calls": [WIRE_CALL]})),
    "another thought": sse(chunk({"reasoning_content": "hm"}), frame({"content": "", "reasoning_content": "well"})),
}


@every_method
@pytest.mark.parametrize("body", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_whole_message_that_contradicts_the_stream_is_an_error(call_method: Method, body: bytes) -> None:
    """It cannot be known which of the two is right."""
    with pytest.raises(MDStreamError, match="contradicts itself") as caught:
        send_request(call_method, body)
    assert "InconsistentMessage" == caught.value.code


HALVES: dict[str, tuple[bytes, Response]] = {
    "text": (sse(*text("Hi \ud83d", "\ude00!"), STOP), Response("Hi 😀!")),
    "text, with a pause": (sse(*text("Hi \ud83d"), chunk({}), *text("\ude00!"), STOP), Response("Hi 😀!")),
    "two in a row": (sse(*text("\ud83d", "\ude00\ud83c", "\udf0d"), STOP), Response("😀🌍")),
    "with the reason": (sse(*text("Hi \ud83d"), chunk({"content": "\ude00"}, "stop")), Response("Hi 😀")),
    "reasoning": (
        sse(chunk({"reasoning_content": "\ud83d"}), chunk({"reasoning_content": "\ude00"}), *text("Hi"), STOP),
        Response("Hi", "😀"),
    ),
    "a part": (
        sse(
            chunk({"content": [{"type": "text", "text": "\ud83d"}]}),
            chunk({"content": [{"type": "text", "text": "\ude00"}]}),
            STOP,
        ),
        Response("😀"),
    ),
    "arguments": (
        sse(call('{"to": "\ud83d'), call('\ude00"}', name=None), CALLED),
        Response(calls=(("pay", '{"to": "😀"}'),), finish="tool_calls"),
    ),
    "alone at the end": (sse(*text("half \ud83d"), STOP), Response("half \ufffd")),
    "alone, then a letter": (sse(*text("half \ud83d", "x"), STOP), Response("half \ufffdx")),
    "the second half alone": (sse(*text("half ", "\ude00x"), STOP), Response("half \ufffdx")),
    "in the middle": (sse(*text("a\ud83db"), STOP), Response("a\ufffdb")),
    "and a whole message behind": (
        sse(*text("Hi \ud83d", "\ude00!"), frame({"content": "Hi 😀!"})),
        Response("Hi 😀!"),
    ),
    "and a whole message in place of the second half": (
        sse(*text("Hi \ud83d"), frame({"content": "Hi 😀!"})),
        Response("Hi 😀!"),
    ),
    "each half encoded": (
        sse(
            *text("x"),
            b'{"choices":[{"index":0,"delta":{"content":"\xed\xa0\xbd"}}]}',
            b'{"choices":[{"index":0,"delta":{"content":"\xed\xb8\x80"}}]}',
            STOP,
        ),
        Response("x😀"),
    ),
}


@every_method
@pytest.mark.parametrize(("body", "expected"), HALVES.values(), ids=HALVES)
def test_surrogate_pairs_are_joined(call_method: Method, body: bytes, expected: Response) -> None:
    """
    The halves of a surrogate pair in two chunks are one character; one that stays alone is U+FFFD.
    """
    got = send_request(call_method, body)

    assert expected == got
    (got.text + got.reasoning).encode()


def test_a_lone_surrogate_is_in_the_partial() -> None:
    """It was buffered when the stream was interrupted."""
    for call_method in METHODS:
        with pytest.raises(MDStreamError) as caught:
            send_request(call_method, sse(*text("Hi \ud83d"), done=False))
        assert "Hi \ufffd" == caught.value.partial.text  # type: ignore[union-attr]


NO_OBJECT = {
    "two objects": '{"to": "Ann"}{"to": "Bob"}',
    "two objects on two lines": '{"to": "Ann"}\n{"to": "Bob"}',
    "text behind it": '{"to": "Ann"} and so on',
    "a list behind it": '{"to": "Ann"} ["Bob"]',
    "a brace and a half": '{"to": "Ann"} "Bob"',
}


@every_method
@pytest.mark.parametrize("arguments", NO_OBJECT.values(), ids=NO_OBJECT)
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_arguments_followed_by_other_text_are_never_executable(
    call_method: Method, arguments: str, *, is_stream: bool
) -> None:
    """
    A parser that mends JSON would run the first object and lose the rest.
    """
    at = len(arguments) // 2
    body = sse(call(arguments[:at]), call(arguments[at:], name=None), CALLED)
    if not is_stream:
        wire = {"id": "a", "type": "function", "function": {"name": "pay", "arguments": arguments}}
        body = json.dumps(frame({"tool_calls": [wire]}, "tool_calls")).encode()
    with pytest.raises(MDStreamError, match="must not be executed") as caught:
        send_request(call_method, body, b"text/event-stream" if is_stream else b"application/json")
    assert "MalformedToolCall" == caught.value.code
    assert arguments == caught.value.partial.tool_calls[0].arguments  # type: ignore[union-attr]


NO_CALL = {"a list": '["Ann"]', "a number": "5", "a text": '"Ann"', "null": "null", "a bare word": "Ann"}


@pytest.mark.parametrize("arguments", NO_CALL.values(), ids=NO_CALL)
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_arguments_that_are_not_an_object_are_invalid_calls(arguments: str, *, is_stream: bool) -> None:
    """LangChain returns invalid tool calls, streamed and whole; LlamaIndex raises when the calls are read."""
    wire = {"index": 0, "id": "a", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    body = (
        sse(chunk({"tool_calls": [wire]}), CALLED)
        if is_stream
        else json.dumps(frame({"tool_calls": [wire]}, "tool_calls")).encode()
    )
    kind = b"text/event-stream" if is_stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(respond_with(head, body)) as server:
        endpoint = f"{server.url}/ocid1.datasciencemodeldeployment.oc1.iad.x"
        message = ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).invoke("Hi", stream=is_stream)
        assert ([], [arguments]) == (message.tool_calls, [one["args"] for one in message.invalid_tool_calls])

        llm = OCIDataScience(endpoint=endpoint, **PLATFORM)
        messages = [ChatMessage(content="Hi")]
        response = [*llm.stream_chat(messages)][-1] if is_stream else llm.chat(messages)
        with pytest.raises(MDStreamError, match="not a JSON object"):
            llm.get_tool_calls_from_response(response)


LENIENT = {
    "a raw line break": ('{"to": "A\nB"}', ("pay", '{"to": "A\\nB"}')),
    "blanks around it": (' \n {"to": "Ann"} \n', ANN),
    "blanks alone": ("  \n", ("pay", "{}")),
    "nothing": ("", ("pay", "{}")),
}


@every_method
@pytest.mark.parametrize(("arguments", "expected"), LENIENT.values(), ids=LENIENT)
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_valid_arguments_are_parsed_alike(
    call_method: Method, arguments: str, expected: tuple[str, str], *, is_stream: bool
) -> None:
    """
    A raw line break in a string and blanks around the object are no reason to differ between streamed and whole.
    """
    wire = {"index": 0, "id": "a", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    body = (
        sse(chunk({"tool_calls": [wire]}), CALLED)
        if is_stream
        else json.dumps(frame({"tool_calls": [wire]}, "tool_calls")).encode()
    )

    assert (expected,) == send_request(
        call_method, body, b"text/event-stream" if is_stream else b"application/json"
    ).calls


ERROR = {"message": "engine died", "code": 502}
FAILURES = {
    "in a choice": [*text("half"), {"choices": [{"index": 0, "delta": {}, "error": ERROR}]}],
    "in a choice, with the reason": [
        *text("half"),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": ERROR}]},
    ],
    "in a choice, beside stop": [
        *text("half"),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "error": ERROR}]},
    ],
    "in a choice, then stop": [*text("half"), {"choices": [{"index": 0, "delta": {}, "error": ERROR}]}, STOP],
    "in a delta": [*text("half"), chunk({"error": "engine died"}), STOP],
    "beside the choices, with the reason": [*text("half"), {**chunk({}, "error"), "error": ERROR}],
    "in the text of a reason": [
        *text("half"),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error_message": "engine died"}]},
    ],
}


@every_method
@pytest.mark.parametrize("payloads", FAILURES.values(), ids=FAILURES)
def test_an_error_inside_a_choice_is_a_failure_with_its_message(call_method: Method, payloads: list[Any]) -> None:
    """In any position; a later finish reason does not hide it."""
    with pytest.raises(MDStreamError, match="engine died") as caught:
        send_request(call_method, sse(*payloads))
    assert "half" == caught.value.partial.text  # type: ignore[union-attr]


def thinking(value: Any, kind: str = "thinking", name: str = "thinking") -> dict[str, Any]:
    return chunk({"content": [{"type": kind, name: value}]})


PARTS: dict[str, tuple[bytes, Response]] = {
    "Magistral": (
        sse(thinking([{"type": "text", "text": "hm "}]), thinking([{"type": "text", "text": "so"}]), *text("Hi"), STOP),
        Response("Hi", "hm so"),
    ),
    "a text": (sse(thinking("hm"), *text("Hi"), STOP), Response("Hi", "hm")),
    "reasoning": (sse(thinking("hm", "reasoning", "reasoning"), *text("Hi"), STOP), Response("Hi", "hm")),
    "a summary": (
        sse(thinking([{"type": "summary_text", "text": "hm"}], "reasoning", "summary"), *text("Hi"), STOP),
        Response("Hi", "hm"),
    ),
    "Bedrock's": (
        sse(thinking({"text": "hm", "signature": "s"}, "reasoning_content", "reasoning_content"), *text("Hi"), STOP),
        Response("Hi", "hm"),
    ),
    "one list of both": (
        sse(chunk({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]}), STOP),
        Response("Hi", "hm"),
    ),
    "output_text": (sse(chunk({"content": [{"type": "output_text", "text": "Hi"}]}), STOP), Response("Hi")),
    "bare strings": (sse(chunk({"content": ["H", "i"]}), STOP), Response("Hi")),
    "a type that nobody knows": (sse(chunk({"content": [{"type": "poem", "text": "Hi"}]}), STOP), Response("Hi")),
    "tool_use": (
        sse(chunk({"content": [{"type": "tool_use", "id": "a", "name": "pay", "input": {"to": "Ann"}}]}), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
}


@every_method
@pytest.mark.parametrize(("body", "expected"), PARTS.values(), ids=PARTS)
def test_every_content_part_is_delivered(call_method: Method, body: bytes, expected: Response) -> None:
    """Reasoning parts are reasoning; the text of any other part is text."""
    assert expected == send_request(call_method, body)


def test_a_part_without_text_is_reported_under_its_type() -> None:
    """
    What has no text of its own is beside the message, whole.
    """
    part = {"type": "reference", "reference_ids": [1, 2]}
    body = sse(chunk({"content": [{"type": "text", "text": "Hi"}, part]}), STOP)
    with serving(
        respond_with(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body), body
        )
    ) as server:
        endpoint = f"{server.url}/ocid1.datasciencemodeldeployment.oc1.iad.x"
        message = ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).invoke("Hi", stream=True)
        response = [*OCIDataScience(endpoint=endpoint, **PLATFORM).stream_chat([ChatMessage(content="Hi")])][-1]

    assert [part] == message.additional_kwargs["reference"] == response.additional_kwargs["reference"]


BOM = b"\xef\xbb\xbf"


@every_method
@pytest.mark.parametrize(
    "line", [b"data: ", b"data:", b"event: x\n" + BOM + b"data: "], ids=["data", "no space", "after an event's name"]
)
def test_a_byte_order_mark_inside_a_stream_loses_nothing(call_method: Method, line: bytes) -> None:
    """
    At the beginning it is dropped; later it would make an event vanish, which is an error with what had come.
    """
    first, *rest = text("The ", "Nile ", "flows.")
    body = BOM + sse(first, done=False) + BOM + line + json.dumps(rest[0]).encode() + b"\n\n" + sse(rest[1], STOP)
    with pytest.raises(MDStreamError, match=r"byte.order mark") as caught:
        send_request(call_method, body)
    assert "The " == caught.value.partial.text  # type: ignore[union-attr]
    assert Response("The Nile") == send_request(call_method, BOM + sse(*text("The ", "Nile"), STOP))


CALLS: dict[str, tuple[bytes, Response]] = {
    "'null' later": (
        sse(call('{"to": "Ann"'), call("}", id="", name="null"), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "'None' and an id 'None'": (
        sse(call('{"to": "Ann"'), call("}", id="None", name="None"), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "another id in each delta": (
        sse(call('{"to": ', id="x1"), call('"Ann"}', id="x2", name=None), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "another id and the name in each delta": (
        sse(call('{"to": ', id="x1"), call('"Ann"}', id="x2"), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "a name in two halves": (
        sse(call("", name="pa"), call("", name="y", id=None), call('{"to": "Ann"}', name=None, id=None), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "a name in three pieces": (
        sse(call("", name="p"), call("", name="a", id=None), call('{"to": "Ann"}', name="y", id=None), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "a name that grows": (
        sse(call("", name="pa"), call("", name="pay"), call('{"to": "Ann"}', name=None), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "an index as a text": (
        sse(call('{"to": ', index="0"), call('"Ann"}', index=0, name=None), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "a choice's index as a text": (
        sse(chunk({"content": "Hi"}, index="0"), chunk({}, "stop", index=0)),
        Response("Hi"),
    ),
    "gpt-oss: channel": (
        sse(call('{"to": "Ann"}', name="pay<|channel|>commentary"), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "gpt-oss: constrain": (
        sse(call('{"to": "Ann"}', name="pay <|constrain|>json"), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "calls that are mixed under one index": (
        sse(
            call('{"to": ', id="a"),
            call('{"to": ', id="b"),
            call('"Ann"}', id="a", name=None),
            call('"Bob"}', id="b", name=None),
            CALLED,
        ),
        Response(calls=(ANN, ("pay", '{"to": "Bob"}')), finish="tool_calls"),
    ),
    "two calls under one index": (
        sse(call('{"to": "Ann"}', id="a"), call('{"to": "Bob"}', id="b"), CALLED),
        Response(calls=(ANN, ("pay", '{"to": "Bob"}')), finish="tool_calls"),
    ),
}


@every_method
@pytest.mark.parametrize(("body", "expected"), CALLS.values(), ids=CALLS)
def test_names_and_ids_that_servers_repeat_or_vary(call_method: Method, body: bytes, expected: Response) -> None:
    """
    One call is one call, under its name, whatever the server repeats beside it.
    """
    assert expected == send_request(call_method, body)


UNMARKED = {
    "no reason": frame({"content": "The Nile"}),
    "null": frame({"content": "The Nile"}, None),
    "'null'": frame({"content": "The Nile"}, "null"),
    "an empty one": frame({"content": "The Nile"}, ""),
    "unknown": frame({"content": "The Nile"}, "eot"),
}
del UNMARKED["no reason"]["choices"][0]["finish_reason"]


@every_method
@pytest.mark.parametrize("name", UNMARKED)
def test_a_whole_response_needs_no_finish_reason(call_method: Method, name: str) -> None:
    """The body is complete by its length."""
    expected = Response("The Nile", finish="eot" if name == "unknown" else "stop")

    assert expected == send_request(call_method, json.dumps(UNMARKED[name]).encode(), b"application/json")


@every_method
@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1), (2, 1), (0, 3, 0)], ids=str)
def test_all_members_of_a_gzip_body_are_decoded(call_method: Method, sizes: tuple[int, ...]) -> None:
    """The response may be in any member, and so may an error."""
    events = [encode(json.dumps(one).encode()) for one in (*text("The ", "Nile"), STOP)]
    bounds = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    members = [b"".join(events[start:end]) for start, end in zip(bounds, [*bounds[1:-1], len(events)], strict=False)]
    body = b"".join(map(gzip.compress, members))

    assert Response("The Nile") == send_request(call_method, body, coding=b"gzip")
    with pytest.raises(MDStreamError, match="engine died") as caught:
        send_request(
            call_method,
            body + gzip.compress(encode(b'{"error": {"message": "engine died"}}')) + bytes(20),
            coding=b"gzip",
        )
    assert "The Nile" == caught.value.partial.text  # type: ignore[union-attr]


REPEATED: dict[str, tuple[bytes, Response]] = {
    "a part beside the call": (
        sse(chunk({"content": [{"type": "tool_use", "id": "a", "name": "pay", "input": {"to": "Ann"}}], "tool_calls": [{"index": 0, **WIRE_CALL}]}), CALLED),
        Response(calls=(ANN,), finish="tool_calls"),
    ),
    "the last chunk once more": (sse(call('{"to": "Ann"}'), call('{"to":"Ann"}'), CALLED), Response(calls=(ANN,), finish="tool_calls")),
    "arguments as parameters": (sse(chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "pay", "parameters": {"to": "Ann"}}}]}), CALLED), Response(calls=(("pay", '{"to": "Ann"}'),), finish="tool_calls")),
    "two tools without arguments and ids": (sse(call("", id=None, name="lock"), call("", id=None, name="unlock"), CALLED), Response(calls=(("lock", "{}"), ("unlock", "{}")), finish="tool_calls")),
    "no index later, the id in all": (sse(call('{"to": '), call('"Ann"}', index=None, name=None), CALLED), Response(calls=(ANN,), finish="tool_calls")),
    "'null' first, then the name": (sse(call("", name="null"), call('{"to": "Ann"}'), CALLED), Response(calls=(ANN,), finish="tool_calls")),
    "blanks and annotations behind the reason": (sse(*text("Hi"), STOP, chunk({"content": "\n"}), chunk({"annotations": [{"url": "u"}]})), Response("Hi\n")),
    "an error that is none": (sse(*text("Hi"), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "error": {"code": 0, "message": "success"}}]}), Response("Hi")),
    "message in pieces": (sse(frame({"content": "The "}, None), frame({"content": "Nile"})), Response("The Nile")),
}  # fmt: skip


@every_method
@pytest.mark.parametrize(("body", "expected"), REPEATED.values(), ids=REPEATED)
def test_repeated_fields_are_emitted_once(call_method: Method, body: bytes, expected: Response) -> None:
    """Repetitions, other names of a field, and empty values change nothing."""
    assert expected == send_request(call_method, body)


NOT_WHOLE = {
    "a chunk as a document": json.dumps({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hel"}}], "usage": {"total_tokens": 3}}).encode(),
    "a chunk with an unknown reason": json.dumps(chunk({"content": "Hel"}, "going")).encode(),
}  # fmt: skip


@every_method
@pytest.mark.parametrize("body", NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_a_chunk_is_not_a_whole_response(call_method: Method, body: bytes) -> None:
    """
    One chunk that is labelled a document is the beginning of a stream.
    """
    with pytest.raises(MDStreamError, match="before a finish reason"):
        send_request(call_method, body, b"application/json")


@every_method
def test_usage_in_every_chunk_confirms_nothing(call_method: Method) -> None:
    """
    An unknown word in each chunk, and the usage beside it: an interruption is an interruption.
    """
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    with pytest.raises(MDStreamError, match="before a finish reason"):
        send_request(
            call_method,
            sse(*(chunk({"content": piece}, "in_progress", usage=usage) for piece in ("Hel", "lo")), done=False),
        )


@every_method
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb\xbf ", b"\xe2\x80\x8b", b"\x00"], ids=repr)
def test_invisible_characters_before_an_event_are_an_error(call_method: Method, mark: bytes) -> None:
    """
    Two byte-order marks, a zero-width space: the line would be ignored, so it is an error.
    """
    first, second = text("The ", "Nile")
    with pytest.raises(MDStreamError, match=r"byte.order mark"):
        send_request(call_method, sse(first, done=False) + mark + sse(second, STOP))
