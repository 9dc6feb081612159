"""Serialized heads of direct requests: the same bytes as from `RequestWriter`, or none where it has to decide."""

import asyncio
import enum
import random
from collections.abc import Iterator
from typing import Any

import pytest

from mdstream_core.errors import InvalidRequest
from mdstream_core.http import Request, are_sendable, describe_problem, sendable_headers
from mdstream_core.transport import async_http_client, http_client
from mdstream_core.transport._async import AsyncRequestSender
from mdstream_core.transport._clients import create_owned_client
from mdstream_core.transport._direct import DirectRequest, DirectRequests, check_headers
from mdstream_core.transport._http11 import RequestWriter
from mdstream_core.transport._sync import RequestSender

URL = "http://127.0.0.1:9/a%20b?c=%25s"
EXTENSIONS: dict[str, Any] = {"timeout": {}}


class Wrong(Exception):
    """What an invalid request raises."""


@pytest.fixture(scope="module")
def builder() -> Iterator[DirectRequests]:
    """The builder of one client, whose formats are kept from one test to the next."""
    http, direct = create_owned_client(trust_env=False)
    yield direct
    http.close()


def build(direct: DirectRequests, request: Request) -> DirectRequest:
    built = direct.build(request, EXTENSIONS)
    assert built is not None
    return built


def write(request: DirectRequest) -> bytes:
    """The bytes that `RequestWriter` sends."""
    writer = RequestWriter(request.method, request.url.target, request.headers, error=Wrong)
    return b"".join([writer.head, *map(writer.body_chunk, request.stream), writer.finish()])


def test_generated_heads_equal_those_of_the_writer(builder: DirectRequests) -> None:
    """With the same names again and again, as the requests of a model have them."""
    chance = random.Random(7)
    names = ["accept", "x-%s", "User-Agent", "opc-request-id", "x-a|b", "te", "Accept-Encoding"]
    serialized = 0
    for _ in range(2000):
        headers = {name: _value(chance) for name in chance.sample(names, chance.randint(0, 4))}
        content = chance.randbytes(chance.choice([0, 1, 12]))
        if chance.random() < 0.3:
            headers["content-length"] = str(len(content))
        request = build(builder, Request(chance.choice(["POST", "GET", "DELETE"]), URL, headers, content))

        if request.head is not None:
            serialized += 1
            assert write(request) == request.head + request.content
        assert (request.head is not None) == are_sendable(headers)
    assert 1000 < serialized < 1900


def _value(chance: random.Random) -> str:
    text = "".join(chance.choices("aZ09 |%s%:;,\"'~!", k=chance.randint(0, 12)))
    return chance.choice([text.strip()] * 12 + [text, f"{text}\n", f"{text}\u00e4", f"\t{text}"])


@pytest.mark.parametrize(
    "value",
    ["a\r\nevil: 1", "a\n", "\ra", "a\0", "a\tb", "a\x7f", "\x01", " a", "a ", "ä", "你", "\udc80"],
    ids=ascii,
)
def test_a_value_that_cannot_be_sent_is_not_serialized(builder: DirectRequests, value: str) -> None:
    """The format of its names was made for another value; the error that follows does not show the value."""
    for headers in ({"x-a": "1", "x-b": "2", "x-c": "3"}, {"x-a": "1", "x-b": value, "x-c": "3"}):
        request = build(builder, Request("POST", URL, headers, b"{}"))

    assert request.head is None
    with pytest.raises(InvalidRequest, match="the request: header 'x-b' has a value that cannot be sent") as caught:
        check_headers(Request("POST", URL, headers, b"{}"))
    assert describe_problem(value) in str(caught.value)


@pytest.mark.parametrize("value", [5, 2.5, True, None, b"a", ["a"]], ids=repr)
def test_a_value_that_is_no_string_is_not_serialized(builder: DirectRequests, value: Any) -> None:
    """A secret of pydantic would be sent as asterisks."""
    assert build(builder, Request("POST", URL, {"x-a": "1"}, b"{}")).head
    assert build(builder, Request("POST", URL, {"x-a": value}, b"{}")).head is None


class Tier(str, enum.Enum):  # noqa: UP042  # a `StrEnum` is displayed as its text
    """A member is the text "gold", and is displayed as `Tier.GOLD`."""

    GOLD = "gold"


class Displayed(str):
    """A text that is displayed as another one, which cannot be sent."""

    __slots__ = ()

    def __str__(self) -> str:
        return "a\r\nevil: 1"


@pytest.mark.parametrize("value", [Tier.GOLD, Displayed("gold")], ids=["enum", "subclass"])
def test_a_value_of_a_subclass_is_sent_and_not_how_it_is_displayed(builder: DirectRequests, value: str) -> None:
    """`%s` in the format would call its `__str__`, whose result nobody has checked."""
    for content in (b"{}", b""):
        request = build(builder, Request("POST", URL, {"x-tier": value}, content))

        assert (request.head or write(request)).count(b"\r\nx-tier: gold\r\n") == 1


@pytest.mark.parametrize("name", ["x a", "x:", "", "x\r\n", "ä", "x\x01"], ids=ascii)
def test_a_name_that_cannot_be_sent_is_not_serialized(builder: DirectRequests, name: str) -> None:
    """Whether it is the first request with it or not."""
    for _ in range(2):
        assert build(builder, Request("POST", URL, {"a": "1", name: "2"}, b"{}")).head is None


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "3"},
        {"content-length": "02"},
        {"Content-Length": "2"},
        {"content-length": "2", "Content-Length": "2"},
        {"transfer-encoding": "chunked"},
        {"Transfer-Encoding": "chunked", "content-length": "2"},
    ],
    ids=repr,
)
def test_other_framing_is_left_to_the_writer(builder: DirectRequests, headers: dict[str, str]) -> None:
    """A length that is not that of the body, or another coding of it."""
    for _ in range(2):
        assert build(builder, Request("POST", URL, {"content-length": "2"}, b"{}")).head
        assert build(builder, Request("POST", URL, headers, b"{}")).head is None


def test_the_length_follows_each_body(builder: DirectRequests) -> None:
    """Requests of different sizes share a format."""
    for content in (b"{}", b'{"a":1}', b"", b"x" * 12_345):
        for headers in ({}, {"content-length": str(len(content))}):
            request = build(builder, Request("POST", URL, headers, content))

            assert request.head is not None
            assert b"\r\ncontent-length: %d\r\n" % len(content) in request.head.lower()


@pytest.mark.parametrize("method", ["PO ST", "", "PÖST", "P\x01"], ids=ascii)
def test_a_method_that_cannot_be_sent_is_not_serialized(builder: DirectRequests, method: str) -> None:
    """It is part of the format."""
    if method.isascii():
        assert build(builder, Request(method, URL, {}, b"")).head is None
    else:
        with pytest.raises(UnicodeEncodeError):
            builder.build(Request(method, URL, {}, b""), EXTENSIONS)


def test_formats_are_bounded(builder: DirectRequests) -> None:
    """Names of headers that differ in each request do not fill the memory."""
    for number in range(1000):
        request = build(builder, Request("POST", URL, {f"x-{number}": "1"}, b"{}"))
    assert len(request._target.heads) <= 64


def test_headers_without_a_value_in_them() -> None:
    """`…` stands for a value that was lost when an object was serialized: it is never sent."""
    with pytest.raises(InvalidRequest, match="the value of 'x-a' is missing"):
        check_headers(Request("POST", URL, {"x-a": "…"}))


def test_values_are_checked_at_once_as_one_by_one() -> None:
    """With bars, which separate them."""
    chance = random.Random(3)
    for _ in range(5000):
        headers = {str(at): "".join(chance.choices("a |\n\x7fä", k=chance.randint(0, 3))) for at in range(3)}
        try:
            sendable_headers("headers", headers)
        except ValueError:
            assert not are_sendable(headers), headers
        else:
            assert are_sendable(headers), headers


@pytest.mark.parametrize("owned", [True, False], ids=["own client", "user's client"])
@pytest.mark.parametrize("value", ["a\r\nevil: 1", "a ", "ä"], ids=ascii)
def test_a_header_that_cannot_be_sent_is_an_error_of_the_sender(owned: bool, value: str) -> None:
    """Before a connection is opened, and whoever has created the client; async too."""
    request = Request("POST", URL, {"x-b": value}, b"{}")
    sender = RequestSender(*create_owned_client(trust_env=False)) if owned else RequestSender(http_client())
    with pytest.raises(InvalidRequest, match="header 'x-b' has a value that cannot be sent"):
        sender.send(request, EXTENSIONS, {})
    sender.close()

    async def main() -> None:
        client = create_owned_client(is_async=True, trust_env=False) if owned else (async_http_client(),)
        sender = AsyncRequestSender(*client)
        with pytest.raises(InvalidRequest, match="header 'x-b' has a value that cannot be sent"):
            await sender.send(request, EXTENSIONS, {})
        await sender.aclose()

    asyncio.run(main())
