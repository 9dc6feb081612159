"""The four platforms on a server of the test, with LangChain and LlamaIndex, sync and async."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from _raw_server import Peer, RawServer, Script
from llama_index.core.llms import ChatMessage

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
AWS = {"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "region_name": "us-east-1"}

#: platform: (LangChain class, LlamaIndex class, function from a URL to constructor arguments)
PLATFORMS: dict[str, tuple[Any, Any, Callable[[str], dict[str, Any]]]] = {
    "oci-model-deployment": (
        ChatOCIModelDeployment,
        OCIDataScience,
        lambda url: {"endpoint": f"{url}/ocid1.datasciencemodeldeployment.oc1.iad.x", "auth_type": "none"},
    ),
    "oci-genai": (
        ChatOCIGenAI,
        OCIGenAI,
        lambda url: {
            "service_endpoint": url, "compartment_id": COMPARTMENT, "auth_type": "none", "model": "xai.grok-4",
            "dialect": "openai-chat",
        },
    ),
    "sagemaker": (
        ChatSagemakerEndpoint,
        SageMakerLLM,
        lambda url: {"endpoint_name": "e", "endpoint_url": url, **AWS},
    ),
    "modelarts": (
        ChatModelArts,
        ModelArts,
        lambda url: {"endpoint": f"{url}/v1/infers/8e1b", "api_key": "KEY", "model": "m"},
    ),
}  # fmt: skip

HI = [ChatMessage(role="user", content="Hello")]


def langchain(platform: str, server: RawServer, **fields: Any) -> Any:
    cls, _, fields_at = PLATFORMS[platform]
    return cls(**{**fields_at(server.url), "max_retries": 0, **fields})


def llamaindex(platform: str, server: RawServer, **fields: Any) -> Any:
    _, cls, fields_at = PLATFORMS[platform]
    return cls(**{**fields_at(server.url), "max_retries": 0, **fields})


async def _collect(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


async def _collect_awaited(stream: Any) -> list[Any]:
    return [chunk async for chunk in await stream]


#: call style: (factory of the model, the call, whether it streams)
METHODS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], bool]] = {
    "langchain invoke": (langchain, lambda model: model.invoke("Hello"), False),
    "langchain ainvoke": (langchain, lambda model: asyncio.run(model.ainvoke("Hello")), False),
    "langchain stream": (langchain, lambda model: list(model.stream("Hello")), True),
    "langchain astream": (langchain, lambda model: asyncio.run(_collect(model.astream("Hello"))), True),
    "llamaindex chat": (llamaindex, lambda model: model.chat(HI), False),
    "llamaindex achat": (llamaindex, lambda model: asyncio.run(model.achat(HI)), False),
    "llamaindex stream_chat": (llamaindex, lambda model: list(model.stream_chat(HI)), True),
    "llamaindex astream_chat": (llamaindex, lambda model: asyncio.run(_collect_awaited(model.astream_chat(HI))), True),
}


def response(status: int, body: bytes, fields: bytes = b"content-type: application/json\r\n") -> bytes:
    """A whole HTTP response."""
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body)


def scripted(respond: Callable[[dict[str, Any]], bytes]) -> Script:
    """Script that responds to each request according to its JSON body, and records the bodies."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            head, _, content = request.partition(b"\r\n\r\n")
            server.requests.append(head)
            body = json.loads(content or b"{}")
            server.notes.append(body)
            peer.send(respond(body))

    return script


def completion(body: dict[str, Any], text: str = "Hi") -> bytes:
    """An OpenAI response, streamed if requested."""
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return response(200, json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode())
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    payload = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode()
    return response(200, b"data: %b\n\ndata: [DONE]\n\n" % payload, b"content-type: text/event-stream\r\n")
