"""The same response read by every call style: LangChain and LlamaIndex, sync and async, streamed and whole."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from _raw_server import respond_with, serving
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.llms import ChatMessage

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience


class Response(NamedTuple):
    """What a call style returned."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()  #: name, and arguments as JSON
    finish: str | None = "stop"


PLATFORM: dict[str, Any] = {"auth_type": "none", "max_retries": 0, "trust_env": False}
Method = Callable[[str], Response]


def _langchain(chunks: list[Any]) -> Response:
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    assert "".join(chunk.text for chunk in chunks) == message.text
    return _message(message)


def _message(message: AIMessage) -> Response:
    calls = tuple((call["name"], json.dumps(call["args"], ensure_ascii=False)) for call in message.tool_calls)
    reasoning = message.additional_kwargs.get("reasoning_content", "")
    return Response(str(message.text), reasoning, calls, message.response_metadata.get("finish_reason"))


def langchain_stream(endpoint: str) -> Response:
    return _langchain([*ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).stream("Hi")])


def langchain_astream(endpoint: str) -> Response:
    async def main() -> list[AIMessageChunk]:
        return [chunk async for chunk in ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).astream("Hi")]  # type: ignore[misc]

    return _langchain(asyncio.run(main()))


def _llamaindex(llm: OCIDataScience, responses: list[Any]) -> Response:
    assert "".join(chunk.delta or "" for chunk in responses) == (responses[-1].message.content or "")
    return _response(llm, responses[-1])


def _response(llm: OCIDataScience, response: Any) -> Response:
    reasoning = "".join(block.content or "" for block in response.message.blocks if block.block_type == "thinking")
    selected = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    calls = tuple((call.tool_name, json.dumps(call.tool_kwargs, ensure_ascii=False)) for call in selected)
    return Response(response.message.content or "", reasoning, calls, response.additional_kwargs.get("finish_reason"))


def llamaindex_stream(endpoint: str) -> Response:
    llm = OCIDataScience(endpoint=endpoint, **PLATFORM)
    return _llamaindex(llm, [*llm.stream_chat([ChatMessage(content="Hi")])])


def llamaindex_astream(endpoint: str) -> Response:
    llm = OCIDataScience(endpoint=endpoint, **PLATFORM)

    async def main() -> list[Any]:
        return [chunk async for chunk in await llm.astream_chat([ChatMessage(content="Hi")])]

    return _llamaindex(llm, asyncio.run(main()))


def langchain_whole(endpoint: str) -> Response:
    return _message(ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).invoke("Hi"))


def langchain_awhole(endpoint: str) -> Response:
    return _message(asyncio.run(ChatOCIModelDeployment(endpoint=endpoint, **PLATFORM).ainvoke("Hi")))


def llamaindex_whole(endpoint: str) -> Response:
    llm = OCIDataScience(endpoint=endpoint, **PLATFORM)
    return _response(llm, llm.chat([ChatMessage(content="Hi")]))


def llamaindex_awhole(endpoint: str) -> Response:
    llm = OCIDataScience(endpoint=endpoint, **PLATFORM)
    return _response(llm, asyncio.run(llm.achat([ChatMessage(content="Hi")])))


WHOLE_METHODS = [langchain_whole, langchain_awhole, llamaindex_whole, llamaindex_awhole]
METHODS = [langchain_stream, langchain_astream, llamaindex_stream, llamaindex_astream]
every_method = pytest.mark.parametrize("call_method", METHODS, ids=lambda call_method: call_method.__name__)


def send_request(call_method: Method, body: bytes, kind: bytes = b"text/event-stream", coding: bytes = b"") -> Response:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ncontent-length: %d\r\n" % len(body)
    head += b"content-encoding: " + coding + b"\r\n" if coding else b""
    with serving(respond_with(head + b"\r\n", body)) as server:
        return call_method(f"{server.url}/ocid1.datasciencemodeldeployment.oc1.iad.x")
