"""All decoders and parsers of server data as functions of bytes, in families.

A target may raise only `MDStreamError`. `examine` runs one and checks the properties that hold for any input: the error
can be pickled and copied, little CPU time is used, and the events before the error can be summed and displayed.
"""

import base64
import copy
import json
import pickle
import random
import re
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from typing import Any

import pydantic_core

from langchain_mdstream._responses import build_result
from llamaindex_mdstream._responses import ChatResponseBuilder, CompletionResponseBuilder
from mdstream_core import (
    Call,
    ModelArts,
    ModelResponse,
    OCIModelDeployment,
    OpenAIChat,
    Retry,
    SageMaker,
    TextParsingDialect,
    _json,
)
from mdstream_core._error_bodies import (
    describes_context_overflow,
    parse_error_body,
    parse_error_object,
    to_readable_text,
)
from mdstream_core.auth._huawei_iam import IAMLogin, PasswordTokenSigner
from mdstream_core.auth._oci_keys import jwt_expiry
from mdstream_core.auth._oci_sources import APIKey, ConfigFields, Profile, SessionToken
from mdstream_core.dialects import _tables, dialect
from mdstream_core.errors import MalformedStream, MDStreamError, to_context_overflow
from mdstream_core.events import (
    BlockStart,
    Event,
    Finish,
    Logprobs,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    StreamResumed,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import OCIGenerativeAI, Platform
from mdstream_core.platforms._platform import parse_retry_after
from mdstream_core.platforms._sagemaker_payload_parts import (
    ContainerDecoder,
    PayloadPartDecoder,
    RawDecoder,
    parse_exception_frame,
)
from mdstream_core.transport.decompression import Decompressor
from mdstream_core.wire import FrameDecoder, Payloads
from mdstream_core.wire.eventstream import EventStreamDecoder
from mdstream_core.wire.jsonlines import (
    DocumentDecoder,
    DocumentSniffingDecoder,
    JSONLinesDecoder,
    SniffingDecoder,
)
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import WebSocketFrameDecoder, WebSocketProtocol
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

Target = Callable[[bytes], None]

PLATFORMS: dict[str, Platform] = {
    "oci-model-deployment": OCIModelDeployment("http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc"),
    "oci-genai": OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "m", region="us-chicago-1"),
    "sagemaker": SageMaker("emulated", "us-east-1"),
    "modelarts": ModelArts("https://127.0.0.1:1/v1/infers/x"),
}

#: Maximum CPU time of an input in seconds, and per byte; only quadratic algorithms exceed it.
_MAX_TIME, _MAX_TIME_PER_BYTE = 1.5, 50e-6

REQUEST = {
    "messages": [{"role": "user", "content": "x"}],
    "prompt": "x",
    "input": ["a"],
    "query": "q",
    "documents": ["a"],
}


class Finding(AssertionError):
    """An input for which a property does not hold."""


def examine(target: Target, data: bytes) -> None:
    """Run a target; raise its error if it is no `MDStreamError`, or `Finding`."""
    start = time.process_time()
    try:
        with warnings.catch_warnings(), _parser(data):
            warnings.simplefilter("ignore")
            target(data)
    except MDStreamError as error:
        check_error(error)
    cpu_time = time.process_time() - start
    if cpu_time > _MAX_TIME + _MAX_TIME_PER_BYTE * len(data):
        raise Finding(f"{cpu_time:.1f} s of CPU time for {len(data)} bytes")


@contextmanager
def _parser(data: bytes) -> Iterator[None]:
    """Parse half of the inputs with the JSON parser that is used without orjson."""
    original = _json.parse, _json.REJECTS_INFINITY
    if zlib.crc32(data) % 2:
        _json.parse, _json.REJECTS_INFINITY = pydantic_core.from_json, False
    try:
        yield
    finally:
        _json.parse, _json.REJECTS_INFINITY = original


def check_error(error: MDStreamError) -> None:
    """Check that an error can be copied and pickled, and that its fields have the right types."""
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        if (str(other), other.code, other.status) != (str(error), error.code, error.status):
            raise Finding(f"a copy of {error!r} differs")
    if not isinstance(error.code, str | None) or not isinstance(error.status, int | None):
        raise Finding(f"code {error.code!r} or status {error.status!r} has another type")
    json.dumps([str(error), error.code, error.raw])


def pieces(data: bytes) -> list[bytes]:
    """Split data into pieces, whose size depends on the data only."""
    step = random.Random(zlib.crc32(data)).choice((1, 7, 64, 4096, 1 << 20))
    step = max(step, len(data) // 2000)
    return [data[offset : offset + step] for offset in range(0, len(data), step)]


def _frames(create_decoder: Callable[[], FrameDecoder], data: bytes) -> None:
    decoder = create_decoder()
    for piece in pieces(data):
        list(iter(decoder.feed(piece)))
    list(iter(decoder.finish()))


def _eventstream(data: bytes) -> None:
    decoder = EventStreamDecoder()
    for piece in pieces(data):
        decoder.feed(piece)
    decoder.finish()


def _websocket(masked: bool, data: bytes) -> None:
    decoder = WebSocketFrameDecoder(masked=masked)
    for piece in pieces(data):
        list(decoder.feed(piece))


def _websocket_protocol(data: bytes) -> None:
    protocol = WebSocketProtocol(client=True)
    for piece in pieces(data):
        protocol.feed(piece)
    protocol.bytes_to_send()


def check_events(events: Iterable[Event]) -> None:
    """Check that the received events can be summed, displayed, copied and pickled."""
    model_response = ModelResponse.from_events(events)
    model_response.to_dict()
    pickle.dumps(model_response)
    copy.deepcopy(model_response)
    for call in model_response.tool_calls[:50]:
        _check_call(call)


def _check_call(call: ToolCall) -> None:
    try:
        call.parse_arguments()
    except ValueError as error:
        if isinstance(error, UnicodeError):
            raise
    assert call.is_truncated in {True, False}
    assert isinstance(call.trailing_text, str)


def _payloads(dialect: Any, data: bytes) -> None:
    """Decode each line as a payload."""
    decoder = dialect.create_decoder()
    events: list[Event] = []
    try:
        for payload in data.split(b"\n"):
            events += decoder.feed(payload, "error" if payload.startswith(b"!") else "")
            if decoder.error:
                break
        events += decoder.finish(is_document=len(data) % 2 == 0)
    finally:
        check_events([*events, *decoder.flush()])


def _uniform(name: str, data: bytes) -> None:
    """Decode the lines as the payloads of one read; those that are decoded together must not differ from the others."""
    payloads = [line for line in data.replace(b"\r", b"").split(b"\n") if line]
    outcomes = []
    for is_together in (True, False):
        attempt = Call(PLATFORMS["oci-model-deployment"], dialect(name), REQUEST, retry=Retry(0)).create_attempt()
        attempt.start(ResponseHead(200, {"content-type": "text/event-stream"}))
        if not is_together:
            attempt._decode_uniform = lambda payloads, events: iter(Payloads(payloads))  # type: ignore[method-assign]
        events: list[Event] = []
        error: MDStreamError | None = None
        try:
            events += attempt.feed(b"".join(b"data: %b\n\n" % payload for payload in payloads))
            while attempt.has_pending_frames:
                events += attempt.feed(b"")
            events += attempt.finish()
        except MDStreamError as raised:
            error = raised
        outcomes.append(re.sub("call_[0-9a-f]+", "", repr([events, error, error and error.raw])))
    if outcomes[0] != outcomes[1]:
        raise Finding(f"decoded together: {outcomes[0]}, one by one: {outcomes[1]}")


def _text(dialect: TextParsingDialect, data: bytes) -> None:
    """Decode the data as the text of a response, in pieces."""
    texts = [piece.decode("utf-8", "replace") for piece in pieces(data)]
    payloads = [json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() for text in texts]
    end = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    _payloads(dialect, b"\n".join([*payloads, end]))


def _error_response(platform: Platform, data: bytes) -> None:
    for status in (400, 404, 424, 429, 500):
        error = platform.parse_error(
            ResponseHead(status, {"x-amzn-errortype": "ModelError"} if status == 424 else {}), data
        )
        if error.status is None or error.status < 400:
            raise Finding(f"{error!r} has the status {error.status!r}")
        check_error(to_context_overflow(error))


def _trailer(data: bytes) -> None:
    value = data.decode("latin-1")
    parse_retry_after(ResponseHead(429, {"retry-after": value, "retry-after-ms": value, "date": value}))
    PLATFORMS["oci-model-deployment"].check_trailers([("x", value), ("ErrorReason", value)])
    PLATFORMS["oci-model-deployment"].check_trailers([("StreamFailure", value)])


def _iam(status: int, data: bytes) -> None:
    headers = {"x-subject-token": "t"} if status < 300 else {}
    signer = PasswordTokenSigner(IAMLogin("u", "p", "d", "cn-north-4"), fetch=lambda _: (status, headers, data))
    signer.fetch_credential()
    signer.needs_refresh()


def _jwt(data: bytes) -> None:
    for token in (data.decode("latin-1"), f"a.{base64.urlsafe_b64encode(data).decode()}.b"):
        expires = jwt_expiry(token)
        if expires is not None:
            time.gmtime(expires)


def _check_value_error(run: Callable[[], Any]) -> None:
    """Check that an error is a `ValueError` and no subclass of it."""
    try:
        run()
    except ValueError as error:
        if type(error) is not ValueError:
            raise


def _config_file(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for source in (APIKey, SessionToken):
            _check_value_error(lambda source=source: source(Profile(file.name)).load())  # type: ignore[misc]


def _config(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape" if data[:1] == b"\xed" else "replace")
    names = ("tenancy", "user", "fingerprint", "key_file", "security_token_file")
    for source in (APIKey, SessionToken):
        _check_value_error(source(ConfigFields(dict.fromkeys(names, text))).load)


def _json_functions(data: bytes) -> None:
    parsers = (_json.loads, _json.loads_nonstandard, lambda one: _json.loads_lenient(one.decode("utf-8", "replace")))
    for parse in parsers:
        try:
            value = parse(data)
        except ValueError:
            continue
        _json.to_text(value)
        _json.to_count(value)
    _check_call(ToolCall("i", "n", data.decode("utf-8", "replace")))
    _check_call(ToolCall("i", "n", data.decode("utf-8", "surrogateescape")))


def _error_bodies(data: bytes) -> None:
    error_body = parse_error_body(data)
    describes_context_overflow(error_body.message)
    to_readable_text(data.decode("latin-1"))
    try:
        parse_error_object(_json.loads(data))
    except ValueError:
        return


def _decompress(coding: str, data: bytes) -> None:
    decompressor = Decompressor(coding)
    for piece in pieces(data):
        for _ in decompressor.feed(piece):
            pass


def _attempt(platform: Platform, name: str, content_type: str, data: bytes) -> None:
    """Read a response as a client does, and translate its partial for both frameworks."""
    attempt = Call(platform, dialect(name), REQUEST, retry=Retry(0)).create_attempt()
    try:
        attempt.start(ResponseHead(200, {"content-type": content_type}))
        for piece in pieces(data):
            attempt.feed(piece)
            if attempt.should_stop_reading:
                break
        attempt.flush()
        attempt.finish((("StreamFailure", "ModelResponseTimeExceeded"),) if len(data) % 3 == 0 else ())
    except MDStreamError as error:
        enriched = attempt.enrich_error(error)
        if enriched.response is not None:
            enriched.response.json()
        if enriched.partial is not None:
            check_translation(enriched.partial, enriched)
        raise enriched from error


def check_translation(model_response: ModelResponse, error: MDStreamError) -> None:
    """Check that both frameworks can translate the partial."""
    for generation in build_result(model_response, "p").generations:
        assert isinstance(generation.message.content_blocks, list)  # type: ignore[union-attr]
    ChatResponseBuilder("m").partial_response(model_response, error)
    CompletionResponseBuilder("m").partial_response(model_response, error)


#: An event of each type, and wrong values for its fields.
_EVENTS: tuple[Any, ...] = (
    TextDelta("Hi"),
    ReasoningDelta("hm"),
    RefusalDelta("no"),
    ToolCallDelta(0, "a", "f", "{"),
    ToolCallDelta(0, None, None, "}"),
    Logprobs([{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]),
    Usage(1, 2, 3),
    ResponseMetadata("m", "i", "f"),
    Finish("stop"),
    ProviderData("audio", {"data": "QQ==", "transcript": "x"}),
    ProviderData("images", [{"image_url": {"url": "data:image/png;base64,QQ=="}}]),
    ProviderData("citations", [{"url": "u"}]),
    BlockStart("text", 0, id="msg_1"),
    BlockStart("web_search_call", 1, content={"type": "web_search_call", "id": "ws_1"}),
    StreamResumed(1, "e"),
)
_WRONG: tuple[Any, ...] = (
    *(None, "", "x", "\ud83d", 5, -1, 10**400, 1e308, float("nan"), True, b"x", [], {}, [None], [[1]], {"a": 1}),
    *({"token": 5}, [{"token": [], "logprob": "x", "bytes": 7, "top_logprobs": [5, {"logprob": 10**400}]}]),
    *({"data": {"a": 1}}, {"data": None, "transcript": [1]}, {"url_citation": 5}, [{"url_citation": [1]}], (1,), {1}),
)


def mutate_events(chance: random.Random, size: int) -> list[Any]:
    """Create events, some of whose fields have wrong values."""
    events: list[Any] = []
    for _ in range(size):
        event = chance.choice(_EVENTS)
        names = [field.name for field in fields(event) if chance.random() < 0.3]
        events.append(replace(event, **{name: chance.choice(_WRONG) for name in names}))
    return events


def _accumulate(data: bytes) -> None:
    """Sum events with wrong fields; the data is the seed."""
    chance = random.Random(data)
    events = mutate_events(chance, chance.randint(0, 12))
    model_response = ModelResponse.from_events(events)
    names = ("text", "reasoning", "refusal", "tool_calls", "finish_reason", "first")
    json.dumps([str(getattr(model_response, name)) for name in names])
    model_response.to_dict()
    pickle.dumps(model_response)
    for call in model_response.tool_calls:
        _check_call(call)
    error = MalformedStream("x", code=chance.choice(_WRONG), status=chance.choice(_WRONG), raw=chance.choice(_WRONG))
    check_error(error)
    check_translation(model_response, error)


_TEXT_PARSERS = {
    f"{name or 'text'}-{reasoning or 'plain'}": TextParsingDialect(OpenAIChat(), tool_calls=name, reasoning=reasoning)  # type: ignore[arg-type]
    for name in ("hermes", "mistral", "llama3_json", "pythonic", None)
    for reasoning in ("think", "open", None)
    if name or reasoning
}
_CONTENT_TYPES = {
    "sse": "text/event-stream",
    "json": "application/json",
    "lines": "application/jsonlines",
    "socket": CONTENT_TYPE,
}
_CHAT_DIALECTS = ("openai-chat", "openai-responses", "auto", "tgi", "oci-generic", "oci-cohere", "oci-cohere-v2")

FAMILIES: dict[str, dict[str, Target]] = {
    "wire": {
        "sse": partial(_frames, SSEDecoder),
        "jsonlines": partial(_frames, JSONLinesDecoder),
        "document": partial(_frames, DocumentDecoder),
        "sniffing": partial(_frames, SniffingDecoder),
        "document-sniffing": partial(_frames, DocumentSniffingDecoder),
        "messages": partial(_frames, MessageDecoder),
        "container": partial(_frames, ContainerDecoder),
        "as-written": partial(_frames, partial(RawDecoder, lines=True)),
        "payload-parts": partial(_frames, lambda: PayloadPartDecoder(ContainerDecoder())),
        "eventstream": _eventstream,
        "websocket": partial(_websocket, False),
        "websocket-masked": partial(_websocket, True),
        "conversation": _websocket_protocol,
    },
    "dialects": {
        **{name: partial(_payloads, dialect(name)) for name in _tables._DIALECTS},
        **{f"uniform-{name}": partial(_uniform, name) for name in _CHAT_DIALECTS},
    },
    "markup": {name: partial(_text, parsing_dialect) for name, parsing_dialect in _TEXT_PARSERS.items()},
    "bodies": {
        **{name: partial(_error_response, platform) for name, platform in PLATFORMS.items()},
        "any": _error_bodies,
        "exception-frame": lambda data: check_error(parse_exception_frame("ModelStreamError", data)),
    },
    "trailers": {"oci": _trailer},
    "auth": {
        "iam": partial(_iam, 201),
        "iam-refused": partial(_iam, 401),
        "jwt": _jwt,
        "config-file": _config_file,
        "config": _config,
    },
    "json": {"all": _json_functions},
    "coding": {coding: partial(_decompress, coding) for coding in ("gzip", "deflate")},
    "events": {"sum": _accumulate},
    "attempts": {
        f"{platform}-{name}-{label}": partial(_attempt, PLATFORMS[platform], name, content_type)
        for platform, name, label, content_type in [
            *(("oci-model-deployment", name, "sse", _CONTENT_TYPES["sse"]) for name in _CHAT_DIALECTS),
            ("oci-genai", "openai-chat", "json", _CONTENT_TYPES["json"]),
            ("modelarts", "openai-chat", "socket", _CONTENT_TYPES["socket"]),
            ("modelarts", "openai-chat", "lines", _CONTENT_TYPES["lines"]),
            ("sagemaker", "auto", "sse", "application/vnd.amazon.eventstream"),
        ]
    },
}
