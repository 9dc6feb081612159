"""Values of headers: cache keys, pickles and dumps; passwords of proxies and certificates."""

import asyncio
import copy
import json
import logging
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from _both_frameworks import HI, METHODS, PLATFORMS, completion, langchain, llamaindex, scripted
from _planted import (
    API_KEY,
    AWS_SECRET,
    AWS_TOKEN,
    BOUND,
    CERT_PASSWORD,
    EXTRA,
    HEADERS,
    PROXY_PASSWORD,
    Recorder,
    error_leaks,
    leaks,
    planted,
)
from _raw_server import Peer, RawServer, certificates, respond_with, serving
from cryptography.hazmat.primitives import serialization
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import RunnableBinding

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from llamaindex_mdstream import OCIDataScience
from mdstream_core.cli import main
from mdstream_core.errors import AuthenticationError, ConnectionFailed, InvalidRequest, MDStreamError
from mdstream_core.http import HIDDEN, Request, ResponseHead, SecretHeaders, SecretText, fingerprint
from mdstream_core.transport import http_client

URL = "http://127.0.0.1:9/ocid1.x"
KINDS = [ChatOCIModelDeployment, OCIModelDeploymentLLM]


def model_at(kind: Any, url: str = URL, **fields: Any) -> Any:
    return kind(**{"endpoint": url, "auth_type": "none", "max_retries": 0, **fields})


def test_secret_headers_show_names_only() -> None:
    """One method returns the values."""
    headers = SecretHeaders({**EXTRA, "x-b": "1"})
    forms = [
        headers,
        repr(headers),
        json.dumps(headers),
        orjson.dumps(headers),
        dict(headers),
        {**headers},
        list(headers.items()),
        pickle.dumps(headers),
        copy.copy(headers),
        f"{headers}",
        headers | {"x-c": planted("Other")},
    ]

    assert [] == leaks("a form", *forms)
    assert {**EXTRA, "x-b": "1"} == headers.get_secret_values() == copy.deepcopy(headers).get_secret_values()
    assert "2" == (headers | {"x-b": "2"}).get_secret_values()["x-b"]
    assert headers == SecretHeaders(headers) == {**EXTRA, "x-b": "1"} != SecretHeaders(EXTRA)
    assert dict.fromkeys(headers, HIDDEN) == pickle.loads(pickle.dumps(headers)).get_secret_values()
    for change in (lambda: headers.update(x=""), lambda: headers.pop("x-b"), headers.clear):
        with pytest.raises(TypeError, match="is immutable"):
            change()


@pytest.mark.parametrize(
    "value", [Request("GET", "http://h", HEADERS), ResponseHead(200, HEADERS), SecretText(API_KEY)], ids=repr
)
def test_core_values_show_no_header_values(value: Any) -> None:
    """A request shows names only, because any header may be secret; so do its mappings."""
    assert [] == leaks("repr", repr(value), repr(getattr(value, "headers", "")).replace(HEADERS["User-Agent"], ""))


@pytest.mark.parametrize("kind", KINDS)
def test_cache_keys_depend_on_headers(kind: Any) -> None:
    """Equal headers share a cached response; the cache key contains no value."""
    keys: list[str] = []

    class Cache(InMemoryCache):
        def lookup(self, prompt: str, llm_string: str) -> Any:
            keys.append(llm_string)
            return super().lookup(prompt, llm_string)

    cache = Cache()
    with serving(respond_with(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")) as server:
        for value in ("a", "a", "b"):
            headers = {"X-Session-Id": f"{HEADERS['X-Pass']}{value}"}
            with pytest.raises(MDStreamError):
                model_at(kind, f"{server.url}/ocid1.x", cache=cache, default_headers=headers).invoke("x")

    first, second, third = keys
    assert first == second != third
    assert [] == leaks("key", *keys)


def test_cache_keys_depend_on_headers_of_the_call() -> None:
    """Of a chat model."""
    chat = model_at(ChatOCIModelDeployment)
    keys = [chat._get_llm_string(extra_headers=headers) for headers in (EXTRA, dict(EXTRA), BOUND, None)]

    assert keys[0] == keys[1]
    assert 3 == len(set(keys))
    assert [] == leaks("key", *keys)


_DIGEST = "from mdstream_core.http import fingerprint; print(fingerprint({'x-a': '1'})['digest'])"


def _digest_elsewhere(**environment: str) -> str:
    return subprocess.check_output(
        [sys.executable, "-c", _DIGEST], text=True, env={"PYTHONPATH": ":".join(sys.path), **environment}
    )


def test_a_digest_key_in_the_environment_makes_caches_persistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it each process has its own digests, so that values cannot be guessed."""
    other = _digest_elsewhere()
    assert other.strip() != fingerprint({"x-a": "1"})["digest"]

    key = "a-random-key-of-32-characters-at-least"
    monkeypatch.setenv("MDSTREAM_CACHE_KEY", key)
    assert _digest_elsewhere(MDSTREAM_CACHE_KEY=key).strip() == fingerprint({"X-A": "1"})["digest"]
    assert {} == fingerprint({})


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("build", [langchain, llamaindex])
def test_an_unpickled_model_warns_of_missing_header_values(
    platform: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the headers once, and does not send them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MODELARTS_API_KEY"):
        monkeypatch.setenv(name, "found-again")
    with serving(scripted(completion)) as server:
        model = build(platform, server, default_headers={"X-Amzn-SageMaker-Custom-Attributes": planted("Attributes")})
        again = pickle.loads(pickle.dumps(model))
        send_request = (lambda: again.invoke("x")) if build is langchain else (lambda: again.chat(HI))

        with pytest.warns(
            RuntimeWarning, match="default_headers: the value of 'X-Amzn-SageMaker-Custom-Attributes' is"
        ):
            send_request()
        assert HIDDEN.encode() not in server.requests[-1]
        assert b"custom-attributes" not in server.requests[-1].lower()


@pytest.mark.parametrize("kind", [ChatOCIModelDeployment, OCIDataScience])
def test_headers_can_be_set_again_after_loading(kind: Any) -> None:
    """Headers can be set again after loading."""
    with serving(scripted(completion)) as server:
        again = pickle.loads(pickle.dumps(model_at(kind, f"{server.url}/ocid1.x", default_headers={"x-a": "1"})))
        again.default_headers = {"x-a": "2"}
        again.invoke("x") if kind is ChatOCIModelDeployment else again.chat(HI)

        assert b"x-a: 2" in server.requests[-1].lower()


def test_a_llamaindex_dump_names_missing_header_values() -> None:
    """A llamaindex dump names missing header values."""
    with serving(scripted(completion)) as server:
        llm = model_at(OCIDataScience, f"{server.url}/ocid1.x", default_headers={"x-a": "1"})
        again = OCIDataScience.from_dict(json.loads(json.dumps(llm.to_dict())))
        with pytest.warns(RuntimeWarning, match="'x-a' is missing"):
            again.chat(HI)
        llm = model_at(OCIDataScience, f"{server.url}/ocid1.x", additional_kwargs={"headers": {"x-b": "1"}, "seed": 1})
        llm.chat(HI)
        assert b"x-b: 1" in server.requests[-1].lower()
        with pytest.raises(InvalidRequest, match="'x-b' is missing"):
            OCIDataScience.from_dict(llm.to_dict()).chat(HI)


@pytest.mark.parametrize("kind", KINDS)
def test_bindings_hide_headers(kind: Any) -> None:
    """`bind`, `with_config` and others: the server receives the values, dumps do not, and LangChain loads the dump."""
    with serving(scripted(completion)) as server:
        model = model_at(kind, f"{server.url}/ocid1.x")
        methods = [
            model.bind(extra_headers=BOUND),
            model.bind(stop=["x"]).bind(extra_headers=BOUND),
            model.with_config(tags=["a"]).bind(extra_headers=BOUND),
            model.with_config({"tags": ["a"]}).with_retry().bind(extra_headers=BOUND),
            model.bind(extra_headers=BOUND).with_config(tags=["a"]),
        ]
        for bound in methods:
            assert [] == leaks("dump", dumps(bound), dumpd(bound), repr(bound), pickle.dumps(bound))
            if kind is ChatOCIModelDeployment:
                bound.invoke("x")
                assert BOUND["X-Bound"].encode() in server.requests[-1]
        loaded = load(dumpd(methods[0]), valid_namespaces=["langchain_mdstream"], allowed_objects="all")

    assert isinstance(loaded, RunnableBinding)
    assert model.endpoint == loaded.bound.endpoint  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["api_key", "auth", "headers", "default_headers", "proxy", "base_url"])
def test_a_model_field_in_a_call_is_rejected_before_tracing(name: str) -> None:
    """A model field in a call is rejected before tracing."""
    from langchain_core.callbacks import BaseCallbackHandler  # noqa: PLC0415

    reported: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **more: Any) -> None:
            reported.append((args, more))

    for send_request in (
        lambda chat, **more: chat.invoke("x", **more),
        lambda chat, **more: list(chat.stream("x", **more)),
    ):
        with pytest.raises(ValueError, match=f"{name} cannot be set for a single call"):
            send_request(model_at(ChatOCIModelDeployment), config={"callbacks": [Handler()]}, **{name: API_KEY})
    assert [] == reported


@pytest.mark.parametrize("call_method", METHODS)
def test_the_password_of_an_environment_proxy_is_hidden(call_method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In logs and errors, also if the proxy rejects it."""
    log = Recorder()
    logging.getLogger().addHandler(log)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    build, send_request, _ = METHODS[call_method]
    try:
        with serving(respond_with(b"HTTP/1.1 407 X\r\ncontent-length: 0\r\n\r\n")) as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://bob:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", "")
            for scheme in ("http", "https"):
                model = build("oci-model-deployment", proxy, endpoint=f"{scheme}://model.example/ocid1.x")
                with pytest.raises(MDStreamError) as caught:
                    send_request(model)
                assert [] == list(error_leaks(caught.value))
            assert leaks("", *proxy.requests)  # it was sent
    finally:
        logging.getLogger().removeHandler(log)
    assert [] == leaks("log", *log.texts)


def test_the_password_of_a_certificate_is_hidden(tmp_path: Path) -> None:
    """A wrong one fails at the first TLS connection, in functions that have it among their locals."""
    _, _, ca = certificates(tmp_path)
    both = (tmp_path / "both.pem").read_bytes()
    key = serialization.load_pem_private_key(both, None)
    how = serialization.BestAvailableEncryption(b"right")
    sealed = tmp_path / "key.pem"
    sealed.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
    with serving(respond_with(b"")) as server, http_client(cert=(str(ca), str(sealed), CERT_PASSWORD)) as client:
        chat = model_at(ChatOCIModelDeployment, f"https://127.0.0.1:{server.port}/ocid1.x", http_client=client)
        with pytest.raises((OSError, MDStreamError)) as caught:
            chat.invoke("x")

    assert [] == list(error_leaks(caught.value))
    assert [] == leaks("client", repr(client), repr(chat))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_errors_of_a_users_event_hook_are_redacted(asynchronous: bool) -> None:
    """`raise_for_status` in a hook: the cause keeps status and harmless headers, but no body, cookie or key."""
    content = (
        b"HTTP/1.1 401 X\r\nset-cookie: id=%b\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"
        % planted("Cookie").encode()
    )

    async def araise(response: httpx.Response) -> None:
        response.raise_for_status()

    with serving(respond_with(content)) as server:
        fields = {"api_key": API_KEY, "default_headers": HEADERS, "auth_type": None}
        if asynchronous:
            client: Any = httpx.AsyncClient(event_hooks={"response": [araise]})
            chat = model_at(ChatOCIModelDeployment, f"{server.url}/ocid1.x", http_async_client=client, **fields)
        else:
            client = httpx.Client(event_hooks={"response": [lambda response: response.raise_for_status() and None]})
            chat = model_at(ChatOCIModelDeployment, f"{server.url}/ocid1.x", http_client=client, **fields)
        with pytest.raises(AuthenticationError) as caught:
            asyncio.run(chat.ainvoke("x")) if asynchronous else chat.invoke("x")

    at = caught.value.__traceback__
    caught.value.__traceback__ = at and at.tb_next  # without our own locals
    assert [] == list(error_leaks(caught.value))
    causes = [one for one in _causes(caught.value) if isinstance(one, httpx.HTTPStatusError)]
    assert ["3"] == [one.response.headers["retry-after"] for one in causes]


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def test_a_redacted_traceback_keeps_its_lines() -> None:
    """Locals are removed; files and lines stay for debugging."""
    with pytest.raises(ConnectionFailed) as caught:
        model_at(ChatOCIModelDeployment, "http://127.0.0.1:1/ocid1.x").invoke("x")
    lines = "".join(traceback.format_exception(caught.value))

    assert "transport/_sync.py" in lines
    assert "httpx" in lines


def test_botocore_logs_no_credentials_of_a_signer() -> None:
    """At DEBUG; a boto3 client in the same process logs as before."""
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    from mdstream_core.auth.aws import AWSSigner  # noqa: PLC0415

    log, logger = Recorder(), logging.getLogger("botocore")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(log)
    try:
        signer = AWSSigner.from_keys("AK", AWS_SECRET, AWS_TOKEN, region_name="us-east-1")
        assert AWS_TOKEN == signer.sign(Request("POST", "https://h/x")).headers["x-amz-security-token"]
        assert [] == leaks("log", *log.texts)
        SigV4Auth(Credentials("AK", "s", "theirs"), "sagemaker", "us-east-1").add_auth(
            AWSRequest("POST", "https://h/x")
        )
        assert "theirs" in "".join(log.texts)
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)


#: Commands, and the response of the server.
COMMANDS = {
    "chat": ["chat"],
    "chat --json": ["chat", "--json"],
    "check": ["check"],
    "check --json": ["check", "--json"],
    "models": ["models"],
    "models --json": ["models", "--json"],
}
_COOKIE = b"set-cookie: id=%b\r\nx-next: %b\r\n" % (planted("Cookie").encode(), planted("Answer").encode())
RESPONSES = {
    "401": b"HTTP/1.1 401 X\r\n%bcontent-length: 2\r\n\r\n{}" % _COOKIE,
    "an echo": b"HTTP/1.1 403 X\r\n%bcontent-length: %d\r\n\r\n%b" % (_COOKIE, len(API_KEY), API_KEY.encode()),
    "a redirect": b"HTTP/1.1 302 X\r\n%blocation: http://b:%b@h/?x=%b\r\ncontent-length: 0\r\n\r\n"
    % (_COOKIE, planted("User").encode(), planted("Query").encode()),
    "a cut": b"HTTP/1.1 200 X\r\n%bcontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata: {" % _COOKIE,
}


def _closing(data: bytes) -> Any:
    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        peer.send(data)

    return script


@pytest.mark.parametrize("content", RESPONSES)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_shows_no_secret(
    command: str, content: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and headers from the environment, also if the server repeats them."""
    monkeypatch.setenv("PLACE_OF_KEY", API_KEY)
    monkeypatch.setenv("PLACE_OF_HEADER", HEADERS["X-Auth"])
    with serving(_closing(RESPONSES[content])) as server:
        code = main([*COMMANDS[command][:1], f"{server.url}/v1/infers/8e1b", "--api-key", "env:PLACE_OF_KEY", "--header", "X-Auth: env:PLACE_OF_HEADER", "--model", "m", *COMMANDS[command][1:], *(["Hi"] if command.startswith("chat") else [])])  # fmt: skip
        assert leaks("", *server.requests)
    written = capsys.readouterr()

    assert 0 != code
    assert [] == leaks("out", written.out, written.err)


def test_attributes_of_a_content_handler_are_not_traced() -> None:
    """They identify a model by a digest, because one of them may be a key."""
    from langchain_mdstream import LLMContentHandler as Base  # noqa: PLC0415
    from langchain_mdstream import SagemakerEndpoint  # noqa: PLC0415

    class Handler(Base):
        def __init__(self, key: str) -> None:
            self.key = key

        def transform_input(self, prompt: str, model_kwargs: Any) -> bytes:
            return b""

        def transform_output(self, output: Any) -> str:
            return ""

    platform_case = {"endpoint_name": "e", "region_name": "us-east-1"}
    first, same, other = (
        SagemakerEndpoint(**platform_case, content_handler=Handler(f"{API_KEY}{n}")) for n in (1, 1, 2)
    )

    assert first._identifying_params == same._identifying_params != other._identifying_params
    assert [] == leaks("shown", repr(first), first._identifying_params, first.asdict())
