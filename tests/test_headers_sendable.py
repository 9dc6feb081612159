"""Headers, routes and keys that cannot be sent: the error names field and header, and contains no value."""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from _both_frameworks import AWS, COMPARTMENT, HI, METHODS, PLATFORMS, completion, scripted
from _planted import leaks
from _raw_server import serving
from pydantic import SecretStr, ValidationError

from langchain_mdstream import ChatModelArts, ChatOCIModelDeployment, ChatSagemakerEndpoint, OCIModelDeploymentLLM
from llamaindex_mdstream import ModelArts, OCIDataScience
from mdstream_core import OCIModelDeployment, OpenAIChat, Service
from mdstream_core.cli import main
from mdstream_core.errors import InvalidRequest, MDStreamError
from mdstream_core.http import HIDDEN, sendable_headers

URL = "http://127.0.0.1:9"
PLANTED = "PLANTED0"

#: A value, and how the flaw is called.
VALUES: dict[str, tuple[Any, str]] = {
    "an invisible character": (f"{PLANTED}\u200b", r"an invisible character, U\+200B, at position 8 \(hint: .*copy"),
    "a byte order mark": (f"\ufeff{PLANTED}", "an invisible character, U.FEFF, at position 0"),
    "a no-break space": (f"{PLANTED}\u00a0x", "an invisible character, U.00A0"),
    "a bidirectional mark": (f"{PLANTED}\u202e", "an invisible character, U.202E"),
    "an umlaut": (f"{PLANTED}ä", r"a character outside ASCII, U\+00E4, .*percent-encode"),
    "beyond latin-1": (f"{PLANTED}你", "a character outside ASCII, U.4F60"),
    "a surrogate": (f"{PLANTED}\udc80", "a character outside ASCII, U.DC80"),
    "a line feed at the end": (f"{PLANTED}\n", r"a line break at position 8 \(hint: strip"),
    "a line break": (f"{PLANTED}\r\nevil: 1", "a line break at position 8"),
    "a carriage return": (f"{PLANTED}\rx", "a line break at position 8"),
    "NUL": (f"{PLANTED}\0", "a NUL character at position 8"),
    "a tab": (f"{PLANTED}\tx", "a control character at position 8"),
    "DEL": (f"{PLANTED}\x7f", "a control character at position 8"),
    "a space before": (f" {PLANTED}", r"white space at its beginning or end \(hint: strip"),
    "a space behind": (f"{PLANTED} ", "white space at its beginning or end"),
}
OTHER_TYPES: dict[str, tuple[Any, str]] = {
    "bytes": (PLANTED.encode(), "must be a string, not bytes"),
    "None": (None, "must be a string, not None"),
    "a list": ([PLANTED], "must be a string, not list"),
    "a truth": (True, "must be a string, not bool"),
}
NAMES: dict[str, tuple[Any, str]] = {
    "empty": ("", "the name of a header is empty"),
    "a line break": ("a\r\nevil", "has a name that cannot be sent"),
    "a colon": ("a:", "has a name that cannot be sent"),
    "a space": ("a b", "has a name that cannot be sent"),
    "an umlaut": ("ä", "has a name that cannot be sent"),
    "bytes": (b"x-a", "the name of a header must be a string, not bytes"),
    "a number": (1, "the name of a header must be a string, not int"),
}
HEADERS: dict[str, tuple[Any, str]] = {
    **{f"value: {name}": ({"x-api-key": value}, f"header 'x-api-key' has a value that cannot be sent: .*{words}") for name, (value, words) in (VALUES | OTHER_TYPES).items()},
    **{f"name: {name}": ({key: PLANTED}, words) for name, (key, words) in NAMES.items()},
    "a list": ([("x-api-key", PLANTED)], "must be a mapping of names to values, not list"),
    "a text": (f"x-api-key: {PLANTED}", "must be a mapping of names to values, not str"),
}  # fmt: skip

models = pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param(kind, fields(URL), id=f"{platform} {kind.__module__[:4]}")
        for platform, (langchain, llamaindex, fields) in PLATFORMS.items()
        for kind in (langchain, llamaindex)
    ],
)
each_header = pytest.mark.parametrize(("headers", "words"), HEADERS.values(), ids=HEADERS)


def _shows_nothing(error: BaseException) -> None:
    assert [] == leaks("error", str(error), repr(error), vars(error))
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert [] == leaks("traceback", *(line for line in lines if "/tests/" not in line))
    if isinstance(error, ValidationError):
        assert [] == leaks("errors", error.errors(), error.json())


@each_header
@models
def test_default_headers_are_checked_in_the_constructor(
    kind: Any, fields: dict[str, Any], headers: Any, words: str
) -> None:
    """On every platform, in both frameworks."""
    with pytest.raises(ValidationError, match=f"(?s)default_headers.*{words}") as caught:
        kind(**fields, default_headers=headers)

    _shows_nothing(caught.value)


@each_header
def test_a_service_checks_its_headers(headers: Any, words: str) -> None:
    """In the core, without a framework."""
    platform = OCIModelDeployment(f"{URL}/ocid1.x")
    with pytest.raises(ValueError, match=f"(?s)default_headers.*{words}") as caught:
        Service(platform, headers=headers)
    with pytest.raises(InvalidRequest, match=f"(?s)extra_headers.*{words}") as called:
        Service(platform).call(OpenAIChat(), {"messages": []}, headers=headers)

    assert [] == leaks("error", repr(caught.value), repr(called.value))


@pytest.mark.parametrize("call_method", METHODS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_headers_of_a_call_are_checked(platform: str, call_method: str) -> None:
    """With every method; in LlamaIndex no `ValueError`, which its engines treat as an empty response."""
    build, _, _ = METHODS[call_method]
    with serving(scripted(completion)) as server:
        model = build(platform, server)
        for headers, words in list(HEADERS.values())[:: 1 if platform == "oci-model-deployment" else 9]:
            with pytest.raises(MDStreamError, match=f"(?s)headers.*{words}") as caught:
                _with_headers(model, call_method, headers)
            assert [] == leaks("error", str(caught.value), repr(caught.value))
            assert call_method.startswith("langchain") == isinstance(caught.value, ValueError)
        assert [] == server.requests


def _with_headers(model: Any, call_method: str, headers: Any) -> Any:
    async def every(stream: Any) -> list[Any]:
        return [piece async for piece in stream]

    async def awaited(stream: Any) -> list[Any]:
        return [piece async for piece in await stream]

    calls: dict[str, Callable[[], Any]] = {
        "invoke": lambda: model.invoke("x", extra_headers=headers),
        "ainvoke": lambda: asyncio.run(model.ainvoke("x", extra_headers=headers)),
        "stream": lambda: list(model.stream("x", extra_headers=headers)),
        "astream": lambda: asyncio.run(every(model.astream("x", extra_headers=headers))),
        "chat": lambda: model.chat(HI, headers=headers),
        "achat": lambda: asyncio.run(model.achat(HI, extra_headers=headers)),
        "stream_chat": lambda: list(model.stream_chat(HI, extra_headers=headers)),
        "astream_chat": lambda: asyncio.run(awaited(model.astream_chat(HI, headers=headers))),
    }
    return calls[call_method.split()[1]]()


#: Fields that go into a header or an address.
FIELDS: list[tuple[Any, dict[str, Any], str]] = [
    *(
        (kind, {"endpoint": f"{URL}/ocid1.x"}, name)
        for kind in (ChatOCIModelDeployment, OCIModelDeploymentLLM, OCIDataScience)
        for name in ("route", "api_key")
    ),
    *(
        (kind, {"endpoint": f"{URL}/v1/infers/x"}, name)
        for kind in (ChatModelArts, ModelArts)
        for name in ("route", "token", "api_key", "app_code", "ak", "sk", "security_token", "app_key", "app_secret")
    ),
    *(
        (ChatSagemakerEndpoint, {"endpoint_name": "e", "endpoint_url": URL, **AWS}, name)
        for name in ("aws_access_key_id", "aws_session_token", "target_variant", "session_id", "custom_attributes",
                     "inference_component_name", "target_model", "inference_id", "prefix_aware_id")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "name"), FIELDS, ids=[f"{k.__name__} {n}" for k, _, n in FIELDS])
def test_fields_that_become_headers_are_checked(kind: Any, fields: dict[str, Any], name: str) -> None:
    """Routes, keys, tokens, SageMaker's names: in the constructor, by the field's name."""
    for value, words in list(VALUES.values())[::3]:
        named = name.removesuffix("_name")
        with pytest.raises(ValidationError, match=f"(?s){named}.*{words}") as caught:
            kind(**{**fields, name: value})
        assert [] == leaks("error", caught.value, caught.value.errors(), caught.value.json())


ADDRESSES = {
    "endpoint": (ChatOCIModelDeployment, {}),
    "service_endpoint": (PLATFORMS["oci-genai"][0], {"compartment_id": COMPARTMENT, "model": "xai.grok-4"}),
    "endpoint_url": (ChatSagemakerEndpoint, {"endpoint_name": "e", **AWS}),
    "base_url": (ChatModelArts, {}),
    "iam_endpoint": (ChatModelArts, {"endpoint": f"{URL}/v1"}),
    "iam_endpoint ": (ModelArts, {"endpoint": f"{URL}/v1"}),
}


@pytest.mark.parametrize(("name", "kind", "fields"), [(name, *rest) for name, rest in ADDRESSES.items()], ids=ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        f"https://bob:{PLANTED}@host/ocid1.x",
        f"https://host/ocid1.x?sig={PLANTED}",
        f"https://host/ocid1.x?x={PLANTED}&api-version=1",
        f"https://host/ocid1.x#{PLANTED}",
        f"https://bob:{PLANTED}@host:port/ocid1.x",
        f"https://host:80 80/ocid1.x?{PLANTED}=",
    ],
)
def test_urls_with_secrets_are_rejected(name: str, kind: Any, fields: dict[str, Any], address: str) -> None:
    """URLs appear in dumps and traces, so a user, a password or a key in the query is rejected."""
    with pytest.raises(ValidationError) as caught:
        kind(**{**fields, name.strip(): address})

    assert [] == leaks("error", caught.value, caught.value.errors(), caught.value.json())


@pytest.mark.parametrize("kind", [ChatModelArts, ModelArts])
def test_a_query_may_contain_a_version(kind: Any) -> None:
    """Parameters that are no key are accepted."""
    kind(endpoint=f"{URL}/v1/infers/x?api-version=2&Region=a")
    kind(endpoint=f"{URL}/v1/infers/x", route="/v1/chat?stream=1")


@pytest.mark.parametrize("kind", [ChatModelArts, ChatOCIModelDeployment, OCIDataScience, ModelArts])
@pytest.mark.parametrize(
    "proxy",
    [
        f"bob:{PLANTED}@host:3128",
        f"http://bob:{PLANTED}/x@host:3128",
        f"ftp://bob:{PLANTED}@host",
        f"http://{PLANTED} x",
    ],
)
def test_a_proxys_password_is_not_in_the_error(kind: Any, proxy: str) -> None:
    """
    A proxy that is not a URL is rejected at construction, without its value.
    """
    with pytest.raises(ValidationError, match="proxy is not the URL of a proxy") as caught:
        kind(endpoint=f"{URL}/ocid1.x", proxy=proxy)

    _shows_nothing(caught.value)


@pytest.mark.parametrize("call_method", METHODS)
def test_a_proxy_of_the_environment_is_not_in_the_error(call_method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HTTP_PROXY` with a password and an invalid port."""
    monkeypatch.setenv("HTTP_PROXY", f"http://bob:{PLANTED}/x@127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    build, send_request, _ = METHODS[call_method]
    with serving(scripted(completion)) as server, pytest.raises((ValueError, MDStreamError)) as caught:
        send_request(build("oci-model-deployment", server, endpoint="http://model.example/ocid1.x"))

    _shows_nothing(caught.value)
    assert "HTTP_PROXY" in str(caught.value)


def test_numbers_and_secrets_are_converted() -> None:
    """A number to text, and a `SecretStr` to its secret instead of asterisks."""
    taken = sendable_headers("headers", {"x-count": 3, "x-key": SecretStr("k"), "x-empty": "", "x-two": "a b"})

    assert {"x-count": "3", "x-key": "k", "x-empty": "", "x-two": "a b"} == taken
    assert HIDDEN in repr(taken)


@pytest.mark.parametrize(
    ("header", "words"),
    [("x-a: ä", "outside ASCII"), ("x b: 1", "a name that cannot be sent"), ("x-a: a\u200b", "U+200B")],
)
def test_the_command_line_rejects_headers_that_cannot_be_sent(
    header: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As wrong usage."""
    assert 2 == main(
        ["chat", f"{URL}/ocid1.datasciencemodeldeployment.x", "--auth-type", "none", "--header", header, "Hi"]
    )
    assert words in capsys.readouterr().err
