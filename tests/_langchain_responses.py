"""A server of OpenAI's Responses API with scripted items, and helpers that read its responses with LangChain."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _responses_events import USAGE, Json, response, stream_of
from _scripted_server import ScriptedServer, scripted
from langchain_core.messages import content as types

from langchain_mdstream import ChatOCIModelDeployment


@contextmanager
def serving(*output: Json) -> Iterator[ScriptedServer]:
    """A server whose responses have these items."""

    def respond(body: Json) -> tuple[int, Json] | list[Json]:
        return stream_of(*output) if body.get("stream") else (200, response("completed", output, usage=USAGE))

    with scripted(respond) as server:
        yield server


def chat_on(server: ScriptedServer, **options: Any) -> ChatOCIModelDeployment:
    """A chat model of this server."""
    fields: dict[str, Any] = {"auth_type": "none", "max_retries": 0, "use_responses_api": True, **options}
    return ChatOCIModelDeployment(endpoint=server.endpoint, **fields)


def whole(chunks: Any) -> Any:
    """The chunks of a stream, merged."""
    merged = None
    for chunk in chunks:
        merged = chunk if merged is None else merged + chunk
    return merged


async def gather(chunks: Any) -> list[Any]:
    """The chunks of an asynchronous stream."""
    return [chunk async for chunk in chunks]


def without_index(blocks: Any) -> list[Json]:
    """Content blocks without their index, which only chunks have."""
    return [{name: value for name, value in block.items() if name != "index"} for block in blocks]


def with_refusals(blocks: list[Json]) -> list[Json]:
    """Blocks that were recorded from `ChatOpenAI` with langchain-core 1.7.2, as the installed version has them.

    Newer versions have a standard block of a refusal; `ChatOpenAI` 1.7.4 on langchain-core 1.8.3 returns it.
    """
    if not hasattr(types, "RefusalContentBlock"):
        return blocks
    refused = [block["type"] == "non_standard" and block["value"].get("type") == "refusal" for block in blocks]
    return [block["value"] if is_one else block for block, is_one in zip(blocks, refused, strict=True)]
