"""Bodies with a content coding that the request did not accept: the error names it, whatever is installed."""

import json
from typing import Any

import httpx
import pytest
from _raw_server import respond_with, serving

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core.errors import MalformedStream, ServerError

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
STREAM = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in CHUNKS) + b"data: [DONE]\n\n"


def response(body: bytes, coding: str, status: str = "200 OK") -> bytes:
    """A complete stream in a coding, in one piece."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\ncontent-encoding: {coding}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


#: The header's value, and the coding that the error names.
CODINGS = {
    "br": "br",
    "zstd": "zstd",
    "BR": "br",
    "compress": "compress",
    "gzip, br": "br",
    "dcz": "dcz",
    "x" * 300: "x" * 100,
}


@pytest.mark.parametrize(("coding", "named"), CODINGS.items(), ids=[name[:12] for name in CODINGS])
async def test_an_unaccepted_coding_is_an_error(coding: str, named: str) -> None:
    """Streamed and not, both frameworks, sync and async."""
    with serving(respond_with(response(b"\x0b\x02\x80hello", coding))) as server:
        fields: dict[str, Any] = {"endpoint": f"{server.url}/ocid1.x", "auth_type": "none", "max_retries": 0}
        chat, llm = lc.ChatOCIModelDeployment(**fields), li.OCIDataScience(**fields)
        words = f"content-encoding '{named}', which the request did not accept"
        for send_request in (
            lambda: chat.invoke("Hi"),
            lambda: list(chat.stream("Hi")),
            lambda: llm.complete("Hi"),
            lambda: list(llm.stream_complete("Hi")),
        ):
            with pytest.raises(MalformedStream, match=words):
                send_request()
        with pytest.raises(MalformedStream, match=words):
            await chat.ainvoke("Hi")
        with pytest.raises(MalformedStream, match=words):
            await llm.acomplete("Hi")
        assert all(b"accept-encoding: gzip, deflate\r\n" in request.lower() for request in server.requests)


@pytest.mark.parametrize("coding", ["identity", "", "Identity"])
async def test_no_coding(coding: str) -> None:
    """It has several spellings."""
    with serving(respond_with(response(STREAM, coding))) as server:
        chat = lc.ChatOCIModelDeployment(endpoint=f"{server.url}/ocid1.x", auth_type="none", max_retries=0)
        assert ["Hello", "Hello"] == [chat.invoke("Hi", stream=True).text, (await chat.ainvoke("Hi", stream=True)).text]


def test_an_error_response_keeps_its_status() -> None:
    """Although its body cannot be decoded."""
    with serving(respond_with(response(b"\x0b\x02\x80hello", "br", "503 Service Unavailable"))) as server:
        chat = lc.ChatOCIModelDeployment(endpoint=f"{server.url}/ocid1.x", auth_type="none", max_retries=0)
        with pytest.raises(ServerError, match="503"):
            chat.invoke("Hi")


@pytest.mark.skipif(zstandard is None, reason="httpx reads zstd only where the package zstandard is installed")
@pytest.mark.filterwarnings("ignore:this http_client cannot see HTTP trailers")
def test_a_client_that_accepts_a_coding_reads_it() -> None:
    """The user's own client has requested it."""
    body = zstandard.ZstdCompressor().compress(STREAM)
    with serving(respond_with(response(body, "zstd"))) as server, httpx.Client() as client:
        chat = lc.ChatOCIModelDeployment(
            endpoint=f"{server.url}/ocid1.x",
            auth_type="none",
            max_retries=0,
            http_client=client,
            default_headers={"accept-encoding": "gzip, zstd"},
        )
        assert "Hello" == chat.invoke("Hi", stream=True).text
