"""No planted secret anywhere: every model of both packages × every way to fail × all that is shown of it.

One run plants all secrets that fit, fails, and searches logs at DEBUG, warnings, reprs, errors with their causes,
tracebacks with locals, pickles, dumps, cache keys, callbacks, LangSmith, LlamaIndex's events, OpenTelemetry and
OpenInference for all of them. No mocks: a server on loopback is the proxy through which each request goes.
"""

import asyncio
import logging
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from _planted import (
    API_KEY,
    APP_CODE,
    APP_SECRET,
    AWS_SECRET,
    AWS_TOKEN,
    BOUND,
    CONFIG,
    EXTRA,
    HEADERS,
    PASSPHRASE,
    PASSWORD,
    PROXY_PASSWORD,
    REDIRECT_QUERY,
    REDIRECT_USER,
    RESPONSE_HEADER,
    SECURITY_TOKEN,
    SET_COOKIE,
    SK,
    TOKEN,
    Recorder,
    error_leaks,
    leaks,
)
from _raw_server import Peer, RawServer, Script, serving
from _sagemaker import exception, part
from _telemetry import Backend
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumpd, dumps
from langchain_core.tracers import LangChainTracer
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LlamaIndexHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_mdstream as langchain
import llamaindex_mdstream as llamaindex

pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
langsmith = pytest.importorskip("langsmith", reason="LangChain brings it")

MESSAGES = [ChatMessage("Hello")]
HI = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nset-cookie: id=%b\r\nx-next: %b\r\ncontent-type: %%b\r\ntransfer-encoding: chunked\r\n\r\n" % (
    SET_COOKIE.encode(), RESPONSE_HEADER.encode()
)  # fmt: skip


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(status: bytes, body: bytes, fields: bytes = b"") -> bytes:
    planted = b"set-cookie: id=%b\r\nx-next: %b\r\n" % (SET_COOKIE.encode(), RESPONSE_HEADER.encode())
    return b"HTTP/1.1 %b\r\n%b%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status, planted, fields, len(body), body
    )  # fmt: skip


def _respond_with(response: bytes) -> Script:
    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(response)

    return script


def _broken(server: RawServer, peer: Peer) -> None:
    """A stream that fails as its service's do: OCI's trailer, SageMaker's exception frame, a cut."""
    request = peer.request()
    server.requests.append(request)
    if b"/endpoints/" in request.split(b"\r\n")[0]:
        frames = part(HI) + exception("ModelStreamError", b'{"Message": "broken", "ErrorCode": "StreamBroken"}')
        peer.send(STREAM % b"application/vnd.amazon.eventstream", _chunk(frames), b"0\r\n\r\n")
    else:
        trailer = b"0\r\nStreamFailure: ErrorCode=RequestTimeout, HttpCode=408\r\nx-late: %b\r\n\r\n"
        peer.send(STREAM % b"text/event-stream", _chunk(HI), trailer % RESPONSE_HEADER.encode())


def _truncated(server: RawServer, peer: Peer) -> None:
    server.requests.append(peer.request())
    peer.send(STREAM % b"text/event-stream", _chunk(HI))
    peer.reset()


def _silent(server: RawServer, peer: Peer) -> None:
    server.requests.append(peer.request())
    peer.sees_end(within=5)


def _no_tls(server: RawServer, peer: Peer) -> None:
    """A tunnel to a server without TLS."""
    server.requests.append(peer.head())
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n", b"no handshake at all\r\n\r\n")


_REDIRECT = b"http://bob:%b@elsewhere.example/x?next=%b" % (REDIRECT_USER.encode(), REDIRECT_QUERY.encode())
_ERROR = b'{"code": "X", "message": "no", "error": {"message": "no"}}'


@dataclass(frozen=True)
class Failure:
    """One way to fail: what the proxy does, and what the fields are for it."""

    script: Script = field(default=_respond_with(_whole(b"500 X", _ERROR)))
    fields: dict[str, Any] = field(default_factory=dict)
    scheme: str = "http"
    host: str = "127.0.0.1"
    is_login: bool = False
    streams: bool | None = None


FAILURES: dict[str, Failure] = {
    "refused": Failure(fields={"port": 1}),
    "DNS": Failure(host="nowhere.invalid"),
    "TLS": Failure(_no_tls, scheme="https"),
    "401": Failure(_respond_with(_whole(b"401 X", _ERROR, b"www-authenticate: Bearer\r\n"))),
    "403": Failure(_respond_with(_whole(b"403 X", _ERROR))),
    "429": Failure(_respond_with(_whole(b"429 X", _ERROR, b"retry-after: 1\r\n"))),
    "500": Failure(_respond_with(_whole(b"500 X", _ERROR))),
    "broken stream": Failure(_broken, streams=True),
    "cut stream": Failure(_truncated, streams=True),
    "malformed": Failure(_respond_with(_whole(b"200 OK", b'{"choices": [{"message": '))),
    "timeout": Failure(_silent, {"timeout": 0.05}),
    "redirect": Failure(
        _respond_with(_whole(b"307 X", b'<a href="%b">' % _REDIRECT, b"location: %b\r\n" % _REDIRECT))
    ),
    "login": Failure(_respond_with(_whole(b"401 X", _ERROR)), is_login=True),
    "login cut": Failure(_truncated, is_login=True),
}  # fmt: skip

#: Platform: the ways to authenticate, which take turns, and one that fails before the question is sent.
AUTH: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "oci": (
        [{"api_key": API_KEY}, {"api_key": API_KEY}, {"auth": {"config": CONFIG}}],  # a pass phrase takes 30 ms
        {"auth": {"config": {**CONFIG, "pass_phrase": f"{PASSPHRASE}Wrong"}}},
    ),
    "sagemaker": (
        [{"aws_access_key_id": "AK", "aws_secret_access_key": AWS_SECRET, "aws_session_token": AWS_TOKEN}],
        {"aws_secret_access_key": AWS_SECRET, "aws_session_token": AWS_TOKEN},
    ),
    "modelarts": (
        [
            {"token": TOKEN},
            {"ak": "AK", "sk": SK, "security_token": SECURITY_TOKEN},
            {"app_code": APP_CODE},
            {"app_key": "APP", "app_secret": APP_SECRET},
            {"api_key": API_KEY},
        ],
        {"user": "u", "password": PASSWORD, "domain": "d", "project": "cn-north-4"},
    ),
}

_OCI = lambda scheme: {"endpoint": f"{scheme}://model.example/ocid1.x"}  # noqa: E731
_GENAI = lambda scheme: {"service_endpoint": f"{scheme}://genai.example", "compartment_id": "ocid1.compartment.oc1..a"}  # noqa: E731
_AWS = lambda scheme: {"endpoint_name": "e", "endpoint_url": f"{scheme}://aws.example", "region_name": "us-east-1"}  # noqa: E731
_HUAWEI = lambda scheme: {"endpoint": f"{scheme}://infer-modelarts.example/v1/infers/8e1b", "model": "m"}  # noqa: E731

#: (class, credentials, fields by scheme, further fields)
MODELS: list[tuple[Any, str, Callable[[str], dict[str, Any]], dict[str, Any]]] = [
    (langchain.ChatOCIModelDeployment, "oci", _OCI, {}),
    (langchain.ChatOCIGenAI, "oci", _GENAI, {"model": "xai.grok-4"}),
    (langchain.ChatSagemakerEndpoint, "sagemaker", _AWS, {}),
    (langchain.ChatModelArts, "modelarts", _HUAWEI, {}),
    (langchain.OCIModelDeploymentLLM, "oci", _OCI, {}),
    (langchain.OCIModelDeploymentTGI, "oci", _OCI, {"api": "/generate"}),
    (langchain.OCIGenAI, "oci", _GENAI, {"model": "cohere.command"}),
    (langchain.SagemakerEndpoint, "sagemaker", _AWS, {}),
    (langchain.ModelArtsLLM, "modelarts", _HUAWEI, {}),
    (langchain.OCIModelDeploymentEmbeddings, "oci", _OCI, {}),
    (langchain.OCIGenAIEmbeddings, "oci", _GENAI, {"model": "cohere.embed-v4.0"}),
    (langchain.SagemakerEndpointEmbeddings, "sagemaker", _AWS, {}),
    (langchain.ModelArtsEmbeddings, "modelarts", _HUAWEI, {}),
    (langchain.OCIModelDeploymentRerank, "oci", _OCI, {}),
    (langchain.OCIGenAIRerank, "oci", _GENAI, {}),
    (langchain.SagemakerEndpointRerank, "sagemaker", _AWS, {}),
    (langchain.ModelArtsRerank, "modelarts", _HUAWEI, {}),
    (llamaindex.OCIDataScience, "oci", _OCI, {}),
    (llamaindex.OCIGenAI, "oci", _GENAI, {"model": "xai.grok-4"}),
    (llamaindex.SageMakerLLM, "sagemaker", _AWS, {}),
    (llamaindex.ModelArts, "modelarts", _HUAWEI, {}),
    (llamaindex.OCIDataScienceEmbedding, "oci", _OCI, {}),
    (llamaindex.OCIGenAIEmbeddings, "oci", _GENAI, {"model": "cohere.embed-v4.0"}),
    (llamaindex.SageMakerEmbedding, "sagemaker", _AWS, {}),
    (llamaindex.ModelArtsEmbedding, "modelarts", _HUAWEI, {}),
    (llamaindex.OCIDataScienceRerank, "oci", _OCI, {}),
    (llamaindex.OCIGenAIRerank, "oci", _GENAI, {"model": "cohere.rerank.v3.5"}),
    (llamaindex.SageMakerRerank, "sagemaker", _AWS, {}),
    (llamaindex.ModelArtsRerank, "modelarts", _HUAWEI, {}),
    (langchain.OCIGuardrails, "oci", _GENAI, {}),
    (llamaindex.OCIGuardrails, "oci", _GENAI, {}),
]


class Handler(BaseCallbackHandler):
    """Records the arguments of all callbacks of LangChain, as Langfuse and similar handlers receive them."""

    def __init__(self, reported: list[Any]) -> None:
        self._reported = reported

    def on_chat_model_start(self, *args: Any, **reported: Any) -> None:
        self._reported.append((args, reported))

    on_llm_start = on_llm_error = on_chat_model_start


class LlamaHandler(LlamaIndexHandler):
    """Keeps what LlamaIndex tells a callback handler."""

    def __init__(self, reported: list[Any]) -> None:
        super().__init__([], [])
        self._reported = reported

    def on_event_start(self, event_type: CBEventType, payload: Any = None, *_: Any, **__: Any) -> str:
        self._reported.append(payload)
        return ""

    def on_event_end(self, event_type: CBEventType, payload: Any = None, *_: Any, **__: Any) -> None:
        self._reported.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


class Events(BaseEventHandler):
    """Keeps LlamaIndex's events, as they are written down."""

    reported: list[Any] = []  # noqa: RUF012  # pydantic's

    def handle(self, event: Any, **_: Any) -> None:
        self.reported.append(f"{event!r} {event.model_dump()}")


class Spans(SimpleSpanHandler):
    """Keeps the arguments that LlamaIndex's spans begin with."""

    reported: list[Any] = []  # noqa: RUF012  # pydantic's

    def new_span(self, id_: str, bound_args: Any, instance: Any = None, *args: Any, **more: Any) -> Any:
        self.reported.append(f"{bound_args!r} {instance!r}")
        return super().new_span(id_, bound_args, instance, *args, **more)


@dataclass
class Outputs:
    """Where what is shown goes."""

    log: Recorder
    traced: RawServer
    openinference: Backend
    reported: list[Any]
    tracer: Any

    def clear(self) -> None:
        for kept in (self.log.texts, self.traced.notes, self.reported):
            kept.clear()


def _take_traces(server: RawServer, peer: Peer) -> None:
    while request := peer.request():
        server.note(request)
        peer.send(b"HTTP/1.1 202 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}")


@pytest.fixture(scope="module")
def outputs() -> Iterator[Outputs]:
    """A log at DEBUG of everything, LangSmith on loopback, handlers, and OpenInference where it is installed."""
    backend, log, reported = Backend(content=True), Recorder(), []
    instrumentors = []
    for name, kind in (("langchain", "LangChainInstrumentor"), ("llama_index", "LlamaIndexInstrumentor")):
        with suppress(ImportError):
            module = __import__(f"openinference.instrumentation.{name}", fromlist=[kind])
            instrumentors.append(getattr(module, kind)())
            instrumentors[-1].instrument(tracer_provider=backend.tracers)
    root, dispatcher = logging.getLogger(), get_dispatcher()
    level, handlers, spans = root.level, dispatcher.event_handlers, dispatcher.span_handlers
    root.setLevel(logging.DEBUG)
    root.addHandler(log)
    events, begun = Events(), Spans()
    events.reported = begun.reported = reported
    dispatcher.event_handlers, dispatcher.span_handlers = [*handlers, events], [*spans, begun]
    with serving(_take_traces) as traced:
        client = langsmith.Client(traced.url, api_key="k", auto_batch_tracing=False, info={})
        yield Outputs(log, traced, backend, reported, LangChainTracer(client=client))
    dispatcher.event_handlers, dispatcher.span_handlers = handlers, spans
    root.removeHandler(log)
    root.setLevel(level)
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def _methods(model: Any, outputs: Outputs) -> list[tuple[bool, Callable[[], Any]]]:
    """A call of a model, and whether it streams."""

    async def every(stream: Any) -> list[Any]:
        return [piece async for piece in stream]

    async def awaited(stream: Any) -> list[Any]:
        return [piece async for piece in await stream]

    config = {"callbacks": [Handler(outputs.reported), outputs.tracer]}
    nodes = [NodeWithScore(node=TextNode(text="a"))]
    if hasattr(model, "acheck"):
        if hasattr(model, "invoke"):
            return [
                (False, lambda: model.invoke("Hello", config)),
                (False, lambda: asyncio.run(model.ainvoke("Hello", config))),
                (False, lambda: model.enforcer().invoke("Hello", config)),
            ]
        return [(False, lambda: model.check("a")), (False, lambda: asyncio.run(model.acheck("a")))]
    if hasattr(model, "invoke"):
        bound = model.bind(extra_headers=BOUND)
        return [
            (True, lambda: list(model.stream("Hello", config, extra_headers=EXTRA))),
            (False, lambda: model.invoke("Hello", config, extra_headers=EXTRA)),
            (True, lambda: asyncio.run(every(bound.astream("Hello", config)))),
            (False, lambda: asyncio.run(bound.ainvoke("Hello", config))),
            (True, lambda: asyncio.run(every(model.astream("Hello", config, extra_headers=EXTRA)))),
            (True, lambda: list(bound.stream("Hello", config))),
        ]
    if hasattr(model, "embed_query"):
        return [(False, lambda: model.embed_query("a")), (False, lambda: asyncio.run(model.aembed_query("a")))]
    if hasattr(model, "compress_documents"):
        documents = [Document("a")]
        return [
            (False, lambda: model.compress_documents(documents, "q")),
            (False, lambda: asyncio.run(model.acompress_documents(documents, "q"))),
        ]
    if hasattr(model, "get_text_embedding"):
        return [
            (False, lambda: model.get_text_embedding("a")),
            (False, lambda: asyncio.run(model.aget_text_embedding("a"))),
        ]
    if hasattr(model, "postprocess_nodes"):
        return [
            (False, lambda: model.postprocess_nodes(nodes, query_str="q")),
            (False, lambda: asyncio.run(model.apostprocess_nodes(nodes, query_str="q"))),
        ]
    return [
        (True, lambda: list(model.stream_chat(MESSAGES, headers=EXTRA))),
        (False, lambda: model.chat(MESSAGES, extra_headers=EXTRA)),
        (True, lambda: asyncio.run(awaited(model.astream_chat(MESSAGES, extra_headers=EXTRA)))),
        (False, lambda: asyncio.run(model.achat(MESSAGES, headers=EXTRA))),
        (True, lambda: asyncio.run(awaited(model.astream_complete("Hello", headers=EXTRA)))),
        (False, lambda: model.complete("Hello", headers=EXTRA)),
    ]


def _dumps(model: Any) -> Iterator[Any]:
    """What is written down of a model."""
    yield from (repr(model), str(model), model.model_dump(), model.model_dump_json(), pickle.dumps(model))
    if hasattr(model, "to_dict"):
        yield from (model.to_dict(), model.to_json())
    if hasattr(model, "metadata"):
        yield from (model.metadata, getattr(model, "to_payload", dict)())
    if hasattr(model, "invoke"):
        bound = model.with_config(tags=["a"]).bind(extra_headers=BOUND).bind(stop=["x"])
        for one in (model, bound) if hasattr(model, "_get_ls_params") else (model,):  # guardrails take no headers
            yield from (dumpd(one), dumps(one), repr(one), pickle.dumps(one))
        if hasattr(model, "_get_ls_params"):
            yield from (model.asdict(), model._identifying_params, model._get_ls_params())
    if hasattr(model, "_get_llm_string"):
        yield model._get_llm_string(extra_headers=EXTRA)


def _fields(kind: Any, failure: Failure, server: RawServer, number: int, backend: Backend) -> dict[str, Any]:
    """The fields of a model with all secrets that fit."""
    _, platform, at, more = MODELS[number]
    methods, login = AUTH[platform]
    auth = login if failure.is_login else methods[(number + list(FAILURES.values()).index(failure)) % len(methods)]
    port = failure.fields.get("port", server.port)
    fields = {
        **at(failure.scheme),
        **more,
        **auth,
        "default_headers": HEADERS,
        "proxy": f"http://bob:{PROXY_PASSWORD}@{failure.host}:{port}",
        "hooks": (backend.hook,),
        "max_retries": 0,
        **{name: value for name, value in failure.fields.items() if name != "port"},
    }
    if failure.is_login and platform == "modelarts":
        fields["iam_endpoint"] = server.url
    if issubclass(kind, llamaindex.MDStreamLLM):
        fields["additional_kwargs"] = {"headers": BOUND}
    return fields


def _request(send_request: Callable[[], Any]) -> BaseException | None:
    """The error of a call; its frames are the only ones between pytest and us."""
    try:
        send_request()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is searched
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return error
    return None


def test_every_model_is_searched() -> None:
    """Each exported model class is in `MODELS`, or a subclass of one that is."""
    searched = tuple(model[0] for model in MODELS)
    exported = [getattr(package, name) for package in (langchain, llamaindex) for name in package.__all__]
    models = [cls for cls in exported if hasattr(cls, "model_fields") and not cls.__name__.startswith("MDStream")]

    assert [] == [cls for cls in models if not issubclass(cls, searched)]


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("number", range(len(MODELS)), ids=[f"{m[0].__module__[:4]}.{m[0].__name__}" for m in MODELS])
def test_no_planted_secret_is_shown(outputs: Outputs, number: int, how: str) -> None:
    """In any error, repr, log, trace or pickle; names of headers at most."""
    kind, failure = MODELS[number][0], FAILURES[how]
    backend = Backend()
    outputs.clear()
    with serving(failure.script) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = kind(**_fields(kind, failure, server, number, backend))
        if hasattr(model, "callback_manager"):
            model.callback_manager = CallbackManager([LlamaHandler(outputs.reported)])
        methods = [
            send_request for streams, send_request in _methods(model, outputs) if failure.streams in {None, streams}
        ]
        methods = methods or [send_request for _, send_request in _methods(model, outputs)]
        error = _request(methods[(number + list(FAILURES).index(how)) % len(methods)])
        sent = b"".join(server.requests)
        dumped = list(_dumps(model)) if how == "401" else []

    assert error is not None
    found = [
        *error_leaks(error),
        *leaks("log", *outputs.log.texts),
        *leaks("warning", *(str(one.message) for one in warned)),
        *leaks("dump", *dumped),
        *leaks("callbacks", *outputs.reported),
        *leaks("LangSmith", *outputs.traced.notes),
        *leaks("OpenTelemetry", backend.everything()),
        *leaks("OpenInference", *(span.to_json() for span in outputs.openinference.spans)),
    ]
    outputs.openinference._exporter.clear()
    assert [] == found
    assert not sent or leaks("", sent)  # they were planted
    assert not sent or any(text.startswith("mdstream") for text in outputs.log.texts)
    if hasattr(model, "invoke") and not failure.is_login:
        assert outputs.traced.notes
