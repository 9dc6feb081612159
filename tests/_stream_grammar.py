"""A grammar of streams: correct responses of every dialect, generated, and the bytes in which a service sends them.

An `Response` is what the model says. `DIALECTS` turns one into the payloads of a stream, `FRAMINGS` turns payloads into a
body and the head in front of it. The quirks of real servers, which bend what is in between, are in `_stream_quirks`.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from _sagemaker import part, stream_head
from hypothesis import strategies as st

from mdstream_core import ModelArts, OCIModelDeployment, SageMaker
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import OCIGenerativeAI, Platform
from mdstream_core.wire.websocket import CLOSE, TEXT, close_data, encode_frame
from mdstream_core.wire.websocket_messages import CONTENT_TYPE

Payload = Any  #: a JSON value, or bytes that are sent as they are
Payloads = list[Payload]

#: Text that has broken readers: scripts, emoji of several code points, line separators, look-alikes of the protocol.
WORDS = [
    *("The Nile", "Ни́л", "नील नदी", "尼罗河", "النيل", "ナイル川", "나일강", "Ποταμός", "แม่น้ำ"),
    *("😀", "👩‍👩‍👧‍👦", "🇪🇬", "e\u0301", "𝒳", "\u2028", "\x85", "\u200b", "a\\b", '"quoted"', "{", "}", "[1, 2]"),
    *("\n", "\r\n", "\t", "data: [DONE]", "null", "<br>", "%20", "{}", "."),
]


@dataclass(frozen=True)
class Call:
    """A tool call."""

    name: str
    arguments: dict[str, Any]
    pieces: tuple[str, ...]  #: the arguments' JSON text as it is streamed


@dataclass(frozen=True)
class Choice:
    """One choice of a response, in the pieces that are streamed."""

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    reason: str = "stop"

    @property
    def ending(self) -> str:
        return "tool_calls" if self.calls and self.reason == "stop" else self.reason


@dataclass(frozen=True)
class Response:
    """The response of a model, and its usage."""

    choices: tuple[Choice, ...]
    usage: tuple[int, int] | None


@st.composite
def split(draw: st.DrawFn, text: str) -> tuple[str, ...]:
    """Split a text into pieces that are not empty."""
    ends = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=6))) if len(text) > 1 else []
    return tuple(text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if start < end)


def _texts(least: int) -> st.SearchStrategy[str]:
    words = st.lists(st.sampled_from(WORDS), min_size=least, max_size=6)
    return st.tuples(words, st.sampled_from([" ", "", "\n"])).map(lambda drawn: drawn[1].join(drawn[0]))


_VALUES = st.one_of(
    st.sampled_from(WORDS), st.integers(-5, 10**6), st.booleans(), st.none(), st.lists(st.integers(0, 9), max_size=3)
)
_ARGUMENTS = st.dictionaries(st.sampled_from(["city", "unit", "größe", "a b"]), _VALUES, max_size=3)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A tool call, its arguments written in one of the ways that JSON has."""
    arguments = draw(_ARGUMENTS)
    text = json.dumps(
        arguments, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    )
    return Call(draw(st.sampled_from(["get_weather", "pay", "search_2", "a"])), arguments, draw(split(text)))


@st.composite
def choices(draw: st.DrawFn, *, reasoning: bool, tools: bool) -> Choice:
    """One choice with something in it."""
    output = tuple(draw(st.lists(calls(), max_size=3))) if tools else ()
    text = draw(_texts(0 if output else 1)) or ("" if output else ".")
    thought = draw(_texts(0)) if reasoning else ""
    reason = "stop" if output else draw(st.sampled_from(["stop", "length"]))
    return Choice(draw(split(text)) if text else (), draw(split(thought)) if thought else (), output, reason)


@st.composite
def responses(draw: st.DrawFn, *, most_choices: int = 1, reasoning: bool = True, tools: bool = True) -> Response:
    """A response."""
    made = draw(st.lists(choices(reasoning=reasoning, tools=tools), min_size=1, max_size=most_choices))
    counted = draw(st.one_of(st.none(), st.tuples(st.integers(1, 900), st.integers(1, 900))))
    return Response(tuple(made), counted)


# Payloads, as a server without quirks writes them


def _usage(response: Response) -> dict[str, int]:
    prompt, completion = response.usage or (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One chunk of an OpenAI stream."""
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}  # fmt: skip


def _openai_choice(at: int, choice: Choice) -> Payloads:
    payloads = [chunk(at, {"role": "assistant", "content": ""})]
    payloads += [chunk(at, {"reasoning_content": piece}) for piece in choice.reasoning]
    payloads += [chunk(at, {"content": piece}) for piece in choice.text]
    for number, call in enumerate(choice.calls):
        header = {
            "index": number,
            "id": f"call-{at}-{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        payloads.append(chunk(at, {"tool_calls": [header]}))
        payloads += [
            chunk(at, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}) for piece in call.pieces
        ]
    return [*payloads, chunk(at, {}, choice.ending)]


def openai_chat(response: Response) -> Payloads:
    """vLLM's chat stream; several choices are interleaved."""
    rows = [_openai_choice(at, choice) for at, choice in enumerate(response.choices)]
    payloads = [
        row[platform_case] for platform_case in range(max(map(len, rows))) for row in rows if platform_case < len(row)
    ]
    if response.usage:
        payloads.append(
            {
                "id": "c1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [],
                "usage": _usage(response),
            }
        )
    return [*payloads, b"[DONE]"]


def openai_completions(response: Response) -> Payloads:
    """vLLM's completions stream; several choices are interleaved."""
    head = {"id": "c1", "object": "text_completion", "created": 1, "model": "m"}
    payloads: Payloads = []
    for pieces in zip_longest(*(choice.text for choice in response.choices), fillvalue=""):
        payloads += [
            {**head, "choices": [{"index": at, "text": piece, "finish_reason": None}]}
            for at, piece in enumerate(pieces)
        ]
    for at, choice in enumerate(response.choices):
        payloads.append({**head, "choices": [{"index": at, "text": "", "finish_reason": choice.reason}]})
    if response.usage:
        payloads.append({**head, "choices": [], "usage": _usage(response)})
    return [*payloads, b"[DONE]"]


def _item_events(at: int, item: dict[str, Any], opening: dict[str, Any], events: Payloads) -> Payloads:
    position = {"output_index": at}
    added = {"type": "response.output_item.added", "item": {**item, **opening}, **position}
    deltas = [{**event, "item_id": item["id"], **position} for event in events]
    return [added, *deltas, {"type": "response.output_item.done", "item": item, **position}]


def _text_events(kind: str, pieces: Sequence[str]) -> Payloads:
    deltas = [{"type": f"{kind}.delta", "content_index": 0, "delta": piece} for piece in pieces]
    return [*deltas, {"type": f"{kind}.done", "content_index": 0, "text": "".join(pieces)}]


def _call_events(pieces: Sequence[str]) -> Payloads:
    kind = "response.function_call_arguments"
    return [
        *({"type": f"{kind}.delta", "delta": piece} for piece in pieces),
        {"type": f"{kind}.done", "arguments": "".join(pieces)},
    ]


def openai_responses(response: Response) -> Payloads:
    """OpenAI's Responses API, as vLLM writes it: each item whole after its deltas, all of them in the last event."""
    choice = response.choices[0]
    items: list[tuple[dict[str, Any], dict[str, Any], Payloads]] = []
    if choice.reasoning:
        content = [{"type": "reasoning_text", "text": "".join(choice.reasoning)}]
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}
        items.append((thought, {"content": None}, _text_events("response.reasoning_text", choice.reasoning)))
    if choice.text:
        content = [{"type": "output_text", "text": "".join(choice.text), "annotations": []}]
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
        items.append((message, {"content": []}, _text_events("response.output_text", choice.text)))
    for number, call in enumerate(choice.calls):
        made = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call-{number}", "name": call.name}
        whole = {**made, "arguments": "".join(call.pieces), "status": "completed"}
        items.append((whole, {"arguments": ""}, _call_events(call.pieces)))
    prompt, output = response.usage or (0, 0)
    usage = {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output}
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
    status = "incomplete" if choice.reason == "length" else "completed"
    end = {
        **head,
        "status": status,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "output": [item for item, _, _ in items],
        "usage": usage if response.usage else None,
    }
    events = [event for at, item in enumerate(items) for event in _item_events(at, *item)]
    first = {"type": "response.created", "response": {**head, "status": "in_progress", "output": [], "usage": None}}
    return [first, *events, {"type": f"response.{status}", "response": end}]


def _oci_usage(response: Response) -> dict[str, int]:
    prompt, completion = response.usage or (0, 0)
    return {"promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion}


def oci_generic(response: Response) -> Payloads:
    """GENERIC of OCI Generative AI."""
    choice = response.choices[0]
    payloads: Payloads = []

    def message(**fields: Any) -> None:
        payloads.append({"index": 0, "message": {"role": "ASSISTANT", **fields}, "pad": "aaa"})

    for piece in choice.reasoning:
        message(reasoningContent=piece)
    for piece in choice.text:
        message(content=[{"type": "TEXT", "text": piece}])
    for number, call in enumerate(choice.calls):
        message(toolCalls=[{"type": "FUNCTION", "id": f"call-{number}", "name": call.name, "arguments": ""}])
        for piece in call.pieces:
            message(toolCalls=[{"type": "FUNCTION", "id": f"call-{number}", "arguments": piece}])
    payloads.append({"message": {"role": "ASSISTANT"}, "finishReason": choice.ending, "pad": "a"})
    return [*payloads, *([{"usage": _oci_usage(response)}] if response.usage else [])]


#: OpenAI's words for an ending in Cohere's formats.
_COHERE_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


def oci_cohere(response: Response) -> Payloads:
    """COHERE of OCI Generative AI, whose last event says the whole text again. It has no reasoning."""
    choice = response.choices[0]
    payloads: Payloads = [{"apiFormat": "COHERE", "text": piece, "pad": "a"} for piece in choice.text]
    wires = [{"name": call.name, "parameters": call.arguments} for call in choice.calls]
    last: dict[str, Any] = {
        "apiFormat": "COHERE",
        "text": "".join(choice.text),
        "finishReason": _COHERE_REASONS[choice.ending],
    }
    if wires:
        last["toolCalls"] = wires
    if response.usage:
        last["usage"] = _oci_usage(response)
    return [*payloads, last]


def oci_cohere_v2(response: Response) -> Payloads:
    """COHEREV2 of OCI Generative AI."""
    choice = response.choices[0]
    payloads: Payloads = []

    def message(**fields: Any) -> None:
        payloads.append({"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", **fields}})

    for piece in choice.reasoning:
        message(content=[{"type": "THINKING", "thinking": piece}])
    for piece in choice.text:
        message(content=[{"type": "TEXT", "text": piece}])
    for number, call in enumerate(choice.calls):
        function = {"name": call.name, "arguments": "".join(call.pieces)}
        message(toolCalls=[{"id": f"call-{number}", "type": "FUNCTION", "function": function}])
    last = {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT"}, "finishReason": _COHERE_REASONS[choice.ending]}
    return [*payloads, {**last, **({"usage": _oci_usage(response)} if response.usage else {})}]


def oci_generate_text(response: Response) -> Payloads:
    """`generateText` of OCI Generative AI."""
    choice = response.choices[0]
    payloads: Payloads = [{"id": "g1", "text": piece} for piece in choice.text]
    last = {"id": "g1", "text": "", "finishReason": _COHERE_REASONS[choice.ending]}
    return [*payloads, {**last, **({"usage": _oci_usage(response)} if response.usage else {})}]


def tgi(response: Response) -> Payloads:
    """TGI's own stream; its last token is special and the whole text stands beside it."""
    choice = response.choices[0]
    payloads: Payloads = [{"index": at, "token": {"id": at, "text": piece, "logprob": -0.1, "special": False}, "generated_text": None, "details": None} for at, piece in enumerate(choice.text)]  # fmt: skip
    prompt, completion = response.usage or (0, 0)
    details = {
        "finish_reason": "eos_token" if choice.reason == "stop" else "length",
        "generated_tokens": completion,
        "input_length": prompt,
    }
    token = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
    return [
        *payloads,
        {
            "token": token,
            "generated_text": "".join(choice.text),
            "details": details if response.usage else {"finish_reason": details["finish_reason"]},
        },
    ]


@dataclass(frozen=True)
class Dialect:
    """One API format in the grammar.

    Attributes:
        write: Converts a response to the payloads of a stream.
        responses: The responses that the dialect can express.
        platforms: The platforms that serve it.
        framings: The names of its framings.
    """

    write: Callable[[Response], Payloads]
    responses: st.SearchStrategy[Response]
    platforms: tuple[str, ...]
    framings: tuple[str, ...] = ("sse",)


_PLAIN = responses(reasoning=False, tools=False)
_CONTAINERS = ("sse", "payload parts", "json lines in payload parts")
DIALECTS: dict[str, Dialect] = {
    "openai-chat": Dialect(openai_chat, responses(most_choices=3), ("oci-model-deployment", "sagemaker", "modelarts", "oci-genai"), ("sse", "payload parts", "json lines", "json lines in payload parts", "websocket", "sse in websocket")),
    "openai-completions": Dialect(openai_completions, responses(most_choices=2, reasoning=False, tools=False), ("oci-model-deployment", "sagemaker", "modelarts"), ("sse", "payload parts", "websocket")),
    "openai-responses": Dialect(openai_responses, responses(), ("oci-model-deployment", "sagemaker", "modelarts", "oci-genai"), ("sse", "payload parts", "websocket", "sse in websocket")),
    "oci-generic": Dialect(oci_generic, responses(), ("oci-genai",)),
    "oci-cohere": Dialect(oci_cohere, responses(reasoning=False), ("oci-genai",)),
    "oci-cohere-v2": Dialect(oci_cohere_v2, responses(), ("oci-genai",)),
    "oci-generate-text-llama": Dialect(oci_generate_text, _PLAIN, ("oci-genai",)),
    "tgi": Dialect(tgi, _PLAIN, ("oci-model-deployment", "sagemaker"), ("sse", "payload parts", "json lines")),
    "auto": Dialect(tgi, _PLAIN, ("sagemaker",), ("payload parts", "json lines in payload parts")),
}  # fmt: skip

PLATFORMS: dict[str, Platform] = {
    "oci-model-deployment": OCIModelDeployment("http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc"),
    "oci-genai": OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "m", region="us-chicago-1"),
    "sagemaker": SageMaker("emulated", "us-east-1"),
    "modelarts": ModelArts("https://127.0.0.1:1/v1/infers/x"),
}

#: Which framings a platform has.
_OF_PLATFORM = {
    "oci-model-deployment": {"sse", "json lines"},
    "oci-genai": {"sse"},
    "sagemaker": {"payload parts", "json lines in payload parts"},
    "modelarts": {"sse", "json lines", "websocket", "sse in websocket"},
}


def framings_of(dialect: str, platform: str) -> list[str]:
    """The framings in which this dialect comes from this platform."""
    return sorted(_OF_PLATFORM[platform] & set(DIALECTS[dialect].framings))


# Bodies


@dataclass(frozen=True)
class Style:
    """How a server formats its events, without an effect on the response."""

    line_end: bytes = b"\n"
    space: bytes = b" "
    comment: bytes = b""
    ensure_ascii: bool = True
    ends: bool = True  #: whether the last event has its blank line
    bom: bool = False


STYLES = st.builds(
    Style,
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    space=st.sampled_from([b" ", b""]),
    comment=st.sampled_from([b"", b": ping", b"id: 7", b"retry: 10", b":"]),
    ensure_ascii=st.booleans(),
    ends=st.booleans(),
    bom=st.booleans(),
)


def dumped(payload: Payload, style: Style) -> bytes:
    """Serialize a payload. A lone surrogate must be escaped."""
    if isinstance(payload, bytes):
        return payload
    text = json.dumps(payload, ensure_ascii=False)
    return json.dumps(
        payload, ensure_ascii=style.ensure_ascii or any("\ud800" <= one <= "\udfff" for one in text)
    ).encode()


def _events(payloads: Payloads, style: Style) -> list[bytes]:
    """Encode each payload as a server-sent event."""
    end = style.line_end
    events = [b"data:" + style.space + dumped(one, style) + end + end for one in payloads]
    if style.comment and style.line_end != b"\r":
        events = [style.comment + end + event for event in events]
    if events and not style.ends:
        events[-1] = events[-1].rstrip(b"\r\n")
    if events and style.bom:
        events[0] = b"\xef\xbb\xbf" + events[0]
    return events


def _lines(payloads: Payloads, style: Style) -> list[bytes]:
    return [dumped(one, style) + b"\n" for one in payloads if one != b"[DONE]"]


def _messages(texts: Sequence[bytes]) -> list[bytes]:
    return [encode_frame(TEXT, text) for text in texts]


_CLOSED = encode_frame(CLOSE, close_data(1000))
_SSE = ResponseHead(200, {"content-type": "text/event-stream"})
_LINES = ResponseHead(200, {"content-type": "application/jsonlines"})
_SOCKET = ResponseHead(200, {"content-type": CONTENT_TYPE})

#: Name: the head, and the pieces of the body, each of which a server sends at once.
FRAMINGS: dict[str, tuple[ResponseHead, Callable[[Payloads, Style], list[bytes]]]] = {
    "sse": (_SSE, _events),
    "json lines": (_LINES, _lines),
    "payload parts": (stream_head(), lambda payloads, style: [part(event) for event in _events(payloads, style)]),
    "json lines in payload parts": (stream_head("application/jsonlines"), lambda payloads, style: [part(line) for line in _lines(payloads, style)]),
    "websocket": (_SOCKET, lambda payloads, style: [*_messages([dumped(one, style) for one in payloads]), _CLOSED]),
    "sse in websocket": (_SOCKET, lambda payloads, style: [*_messages(_events(payloads, Style(ensure_ascii=style.ensure_ascii))), _CLOSED]),
}  # fmt: skip


def compressed(pieces: Sequence[bytes], members: int) -> bytes:
    """Compress a body with gzip, in several members (RFC 1952 §2.2)."""
    size = max(1, -(-len(pieces) // max(1, members)))
    return b"".join(gzip.compress(b"".join(pieces[at : at + size])) for at in range(0, len(pieces), size))
