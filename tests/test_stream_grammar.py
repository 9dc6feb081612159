"""Generated responses of every dialect, with quirks of real servers, split at any position, interrupted anywhere.

Properties: a complete stream with quirks gives exactly the response; a prefix of a stream, and a stream with a failure, is
an mdstream error whose partial is a prefix of the response.

`make fuzz MINUTES=10` runs the tests with other seeds for that long.
"""

import copy
import json
import os
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from _framework_methods import METHODS, WHOLE_METHODS, send_request
from _framework_methods import Response as Received
from _samples import Outcome
from _stream_grammar import (
    DIALECTS,
    FRAMINGS,
    PLATFORMS,
    STYLES,
    Choice,
    Payloads,
    Response,
    Style,
    compressed,
    framings_of,
)
from _stream_grammar import Call as GrammarCall
from _stream_quirks import QUIRKS, can_meet, whole_document
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from mdstream_core import Call, ModelResponse, Retry
from mdstream_core.dialects import dialect as dialect_of
from mdstream_core.errors import MDStreamError, StreamFailure
from mdstream_core.events import Event
from mdstream_core.http import ResponseHead
from mdstream_core.transport.decompression import Decompressor

#: How many answers each test takes; `make fuzz` takes more, and others each time.
EXAMPLES = int(os.environ.get("MDSTREAM_FUZZ_EXAMPLES", "0")) or 60
FIXED = "MDSTREAM_FUZZ_EXAMPLES" not in os.environ

fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize=FIXED,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)

ALL = [(name, platform_case) for name, dialect in DIALECTS.items() for platform_case in dialect.platforms]


@dataclass(frozen=True)
class Stream:
    """A stream as it is on the wire, and the response that it gives."""

    dialect: str
    platform: str
    response: Response
    head: ResponseHead
    pieces: tuple[bytes, ...]
    quirks: tuple[str, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


@st.composite
def streams(draw: st.DrawFn, dialect: str, platform: str, payloads: Any = None) -> Stream:
    """A stream with up to two quirks."""
    response = draw(DIALECTS[dialect].responses)
    fitting = [name for name, quirk in QUIRKS.items() if dialect in quirk.dialects]
    chosen = (
        draw(st.lists(st.sampled_from(fitting), max_size=2, unique=True).filter(lambda names: can_meet(set(names))))
        if fitting
        else []
    )
    random = draw(st.randoms(use_true_random=False))
    bent = bend(DIALECTS[dialect].write(response), chosen, random)
    bent = payloads(draw, bent) if payloads else bent
    framing = draw(st.sampled_from(framings_of(dialect, platform)))
    head, pieces = FRAMINGS[framing][0], FRAMINGS[framing][1](bent, draw(STYLES))
    return Stream(dialect, platform, response, head, tuple(pieces), (*chosen, framing))


def bend(payloads: Payloads, names: list[str], random: Random) -> Payloads:
    """The payloads with these quirks, in the order of the table."""
    payloads = copy.deepcopy(payloads)
    for name in sorted(names, key=list(QUIRKS).index):
        payloads = QUIRKS[name].bend(payloads, random)
    return payloads


@st.composite
def chunks(draw: st.DrawFn, stream: Stream) -> list[bytes]:
    """Split a body as a network might."""
    body = stream.body
    if draw(st.booleans()):
        return list(stream.pieces)
    if draw(st.booleans()):
        step = draw(st.integers(1, 64))
        return [body[at : at + step] for at in range(0, len(body), step)]
    ends = sorted(draw(st.sets(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def read(stream: Stream, data: list[bytes], *, trailers: tuple[tuple[str, str], ...] = ()) -> Outcome:
    """Decode a body as a client does."""
    requested = (
        {"prompt": "Hi"}
        if "completions" in stream.dialect or "generate-text" in stream.dialect
        else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    attempt = Call(PLATFORMS[stream.platform], dialect_of(stream.dialect), requested, retry=Retry(0)).create_attempt()
    events: list[Event] = []
    try:
        attempt.start(stream.head)
        for piece in data:
            events += attempt.feed(piece)
            if attempt.should_stop_reading:
                break
        events += attempt.flush()
        events += attempt.finish(trailers)
    except MDStreamError as error:
        return Outcome(events, attempt.enrich_error(error))
    return Outcome(events, None)


def expected(response: Response) -> list[tuple[Any, ...]]:
    """What the choices of a response have to be."""
    return [
        (
            "".join(choice.text),
            "".join(choice.reasoning),
            [(call.name, call.arguments) for call in choice.calls],
            choice.ending,
        )
        for choice in response.choices
    ]


def received(model_response: ModelResponse) -> list[tuple[Any, ...]]:
    """What they are."""
    return [
        (
            choice.text,
            choice.reasoning,
            [(call.name, call.parse_arguments()) for call in choice.tool_calls],
            choice.finish_reason,
        )
        for choice in model_response.choices
    ]


def is_beginning(partial: ModelResponse | None, response: Response) -> bool:
    """Whether everything that was received is what the response begins with."""
    if partial is None:
        return True
    if len(partial.choices) > len(response.choices):
        return False
    return all(starts_choice(got, choice) for got, choice in zip(partial.choices, response.choices, strict=False))


def starts_choice(got: Any, choice: Any) -> bool:
    """The same for one choice."""
    if len(got.tool_calls) > len(choice.calls):
        return False
    calls = zip(got.tool_calls, choice.calls, strict=False)
    return (
        starts("".join(choice.text), got.text)
        and starts("".join(choice.reasoning), got.reasoning)
        and all(whole.name.startswith(call.name) and starts_arguments(whole, call.arguments) for call, whole in calls)
    )


def starts(whole: str, text: str) -> bool:
    """A lone surrogate at the end of what was received is U+FFFD."""
    return whole.startswith(text.removesuffix("\ufffd"))


def starts_arguments(whole: Any, arguments: str) -> bool:
    """A server may write complete arguments in another spelling."""
    try:
        return bool(json.loads(arguments) == whole.arguments)
    except ValueError:
        return starts("".join(whole.pieces), arguments)


@pytest.mark.parametrize(("name", "platform_case"), ALL, ids=str)
def test_a_stream_with_quirks_gives_the_response(name: str, platform_case: str) -> None:
    """Quirks of servers and splits of the network do not change the response."""

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        stream = data.draw(streams(name, platform_case))
        outcome = read(stream, data.draw(chunks(stream)))

        assert outcome.error is None, outcome.error
        assert expected(stream.response) == received(outcome.model_response)
        usage = outcome.model_response.usage
        assert stream.response.usage == ((usage.input, usage.output) if usage and usage.total else None)
        "".join(choice.text + choice.reasoning for choice in outcome.model_response.choices).encode()

    check()


@pytest.mark.parametrize(("name", "platform_case"), ALL, ids=str)
def test_a_prefix_is_an_error_or_the_response(name: str, platform_case: str) -> None:
    """A truncated stream is an error with a prefix of the response, unless only the end marker is missing."""

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        stream = data.draw(streams(name, platform_case))
        at = data.draw(st.integers(0, max(0, len(stream.body) - 1)))
        outcome = read(stream, [stream.body[:at]])

        if outcome.error is None:
            assert expected(stream.response) == received(outcome.model_response)
        else:
            assert is_beginning(outcome.error.partial, stream.response), (outcome.error, outcome.error.partial)

    check()


#: The payload in which a server says that it failed, for each dialect.
_ERRORS: dict[str, list[Any]] = {
    "openai-chat": [
        {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}},
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "engine died", "code": 502}}]},
        {"choices": [{"index": 0, "delta": {"error": {"message": "engine died"}}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "engine died"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "error": {"message": "engine died"}}]},
        {"object": "error", "message": "engine died", "code": 500},
    ],
    "openai-completions": [
        {"error": {"message": "engine died", "code": 500}},
        {"choices": [{"index": 0, "text": "", "finish_reason": "stop", "error": {"message": "engine died"}}]},
    ],
    "openai-responses": [
        {"type": "error", "code": "server_error", "message": "engine died", "param": None},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "engine died"}},
        },
        {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}},
        {"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500},
    ],
    "oci-generic": [
        {"error": {"message": "engine died"}},
        {"code": 500, "message": "engine died"},
        {"index": 0, "message": {"role": "ASSISTANT"}, "finishReason": "error", "errorMessage": "engine died"},
        {"index": 0, "finishReason": "stop", "error": {"message": "engine died"}},
    ],
    "oci-cohere": [
        {"code": 500, "message": "engine died"},
        {"apiFormat": "COHERE", "finishReason": "ERROR", "errorMessage": "engine died"},
    ],
    "oci-cohere-v2": [{"code": 500, "message": "engine died"}],
    "oci-generate-text-llama": [{"error": {"message": "engine died"}}],
    "tgi": [{"error": "engine died", "error_type": "generation"}],
    "auto": [{"error": "engine died", "error_type": "generation"}],
}


@pytest.mark.parametrize(("name", "platform_case"), ALL, ids=str)
def test_a_failure_anywhere_is_an_error_with_its_message(name: str, platform_case: str) -> None:
    """
    An error before the end is a StreamFailure that quotes the server and keeps what had come.
    """

    def broken(draw: Any, payloads: Payloads) -> Payloads:
        error = draw(st.sampled_from(_ERRORS[name]))
        last = next(at for at, one in enumerate(payloads) if _ends(one))
        at = draw(st.integers(0, last))
        return [*payloads[:at], error, *payloads[at:]]

    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        stream = data.draw(streams(name, platform_case, broken))
        outcome = read(stream, data.draw(chunks(stream)))

        assert isinstance(outcome.error, StreamFailure), outcome
        assert "engine died" in str(outcome.error)
        assert is_beginning(outcome.error.partial, stream.response), outcome.error.partial

    check()


def _ends(payload: Any) -> bool:
    """Whether a payload has a finish reason, an end marker, or the usage."""
    text = payload.decode() if isinstance(payload, bytes) else json.dumps(payload)
    words = (
        '"stop"',
        '"length"',
        '"tool_',
        '"COMPLETE',
        '"MAX_',
        '"TOOL_',
        '"eos',
        '"end_',
        '"model_length',
        '"max_tokens"',
        "[DONE]",
        '"response.completed"',
        '"response.incomplete"',
        '"message": {"role": "assistant"',
    )
    return any(word.lower() in text.lower() for word in words) or (
        isinstance(payload, dict) and bool(payload.get("usage"))
    )


@fuzzed
@given(st.data())
def test_a_failure_trailer_after_a_whole_response_is_an_error(data: st.DataObject) -> None:
    """
    OCI's trailer behind a whole stream is a failure, and all of the response is in the partial.
    """
    stream = data.draw(streams("openai-chat", "oci-model-deployment"))
    outcome = read(stream, data.draw(chunks(stream)), trailers=(("StreamFailure", "ErrorReason=ServiceTimeout"),))

    assert isinstance(outcome.error, StreamFailure)
    assert outcome.error.partial is not None
    assert expected(stream.response) == received(outcome.error.partial)


@fuzzed
@given(st.data())
def test_a_compressed_stream_is_the_same(data: st.DataObject) -> None:
    """gzip with any number of members and any split gives the events of the uncompressed body."""
    stream = data.draw(streams("openai-chat", "oci-model-deployment"))
    body = compressed(stream.pieces, data.draw(st.integers(1, 5)))
    step = data.draw(st.integers(1, 200))
    unpack = Decompressor("gzip")
    inflated = [piece for at in range(0, len(body), step) for piece in unpack.feed(body[at : at + step])]
    outcome = read(stream, inflated)

    assert outcome.error is None
    assert expected(stream.response) == received(outcome.model_response)


@settings(fuzzed, max_examples=max(10, EXAMPLES // 4))
@given(st.data())
def test_both_frameworks_return_the_same(data: st.DataObject) -> None:
    """
    LangChain and LlamaIndex, sync and async, streamed and whole: one response.
    """
    stream = data.draw(
        streams("openai-chat", "oci-model-deployment").filter(lambda one: len(one.response.choices) == 1)
    )
    choice = stream.response.choices[0]
    calls = tuple((call.name, json.dumps(call.arguments, ensure_ascii=False)) for call in choice.calls)
    response = Received("".join(choice.text), "".join(choice.reasoning), calls, choice.ending)

    kind = stream.head.content_type.encode()
    assert [response] * 4 == [send_request(call_method, stream.body, kind) for call_method in METHODS]
    document = json.dumps(whole_document(DIALECTS["openai-chat"].write(stream.response))).encode()
    assert [response] * 4 == [send_request(call_method, document, b"application/json") for call_method in WHOLE_METHODS]


def test_every_quirk_is_used() -> None:
    """
    Each quirk bends something, in each dialect that it names: a table row that does nothing is a mistake.
    """
    for name, quirk in QUIRKS.items():
        for dialect in quirk.dialects:
            assert _bends(name, dialect), (name, dialect)


#: A search for a single example, which is not made smaller.
_SEARCH = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def _bends(name: str, dialect: str) -> bool:
    """Whether a quirk changes the payloads of one of 60 responses; the search ends with the first that it changes."""

    def is_bent(example: tuple[Response, Random]) -> bool:
        response, random = example
        payloads = DIALECTS[dialect].write(response)
        return bend(payloads, [name], random) != payloads

    try:
        find(
            st.tuples(DIALECTS[dialect].responses, st.randoms(use_true_random=False)),
            is_bent,
            settings=_SEARCH,
        )
    except NoSuchExample:
        return False
    return True


def test_streams_without_quirks_are_decoded() -> None:
    """
    Every dialect in every framing, without a quirk, with a response that has all that the dialect has.
    """
    for name, dialect in DIALECTS.items():
        response = _rich(name)
        for platform_case, framing in [(at, form) for at in dialect.platforms for form in framings_of(name, at)]:
            head, write = FRAMINGS[framing]
            stream = Stream(name, platform_case, response, head, tuple(write(dialect.write(response), Style())), ())

            assert expected(response) == received(read(stream, list(stream.pieces)).model_response)


def _rich(name: str) -> Response:
    has_calls, has_reasoning = (
        name.startswith(("openai-chat", "oci-generic", "oci-cohere")),
        name in {"openai-chat", "oci-generic", "oci-cohere-v2"},
    )
    call = GrammarCall("pay", {"to": "Ann"}, ('{"to": ', '"Ann"}'))
    choice = Choice(("The ", "Nile 😀"), ("hm ", "so") if has_reasoning else (), (call, call) if has_calls else ())
    return Response((choice,), (3, 4))
