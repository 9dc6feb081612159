"""LLMs and embeddings with one fault each, as found in packages, for tests of the conformance suites."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import Any

import httpx
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from pydantic import Field

from llamaindex_mdstream import ModelArts
from mdstream_core import MDStreamError


class ChangedStream(ModelArts):
    """Passes each stream through `_changed`, which faults override; reported by LlamaIndex's decorator."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        return stream

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse]:
        """Stream through `_changed`."""

        def changed() -> Generator[ChatResponse]:
            yield from self._changed(self._stream(*self._chat_call(messages, kwargs, stream=True)))

        return changed()


class CumulativeDeltas(ChangedStream):
    """Deltas are all text so far."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        for response in stream:
            yield response.model_copy(update={"delta": response.message.content})


class NoneDeltas(ChangedStream):
    """Deltas without text are `None`."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        for response in stream:
            yield response.model_copy(update={"delta": response.delta or None})


class ManyBlocks(ChangedStream):
    """Each delta has its own text block."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        blocks: list[Any] = []
        for response in stream:
            blocks.append(TextBlock(text=response.delta or ""))
            yield ChatResponse(message=ChatMessage(role="assistant", blocks=list(blocks)), delta=response.delta)


class OneObject(ChangedStream):
    """All responses share one message."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        message = ChatMessage(role="assistant", content="")
        for response in stream:
            message.blocks[0].text += response.delta or ""  # type: ignore[union-attr]
            yield ChatResponse(message=message, delta=response.delta, raw=response.raw)


class NoUsage(ChangedStream):
    """Responses have no usage."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        for response in stream:
            raw = {name: value for name, value in (response.raw or {}).items() if name != "usage"}
            yield response.model_copy(update={"raw": raw, "additional_kwargs": {}})


class SwallowsErrors(ChangedStream):
    """Failed streams end as successful ones."""

    def _changed(self, stream: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
        try:
            yield from stream
        except MDStreamError:
            return


class RetriesMidStream(ModelArts):
    """Retries after tokens were yielded."""

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse]:
        """Retry up to three times."""
        for attempt in range(3):
            try:
                yield from super().stream_chat(messages, **kwargs)
            except MDStreamError:
                if attempt == 2:
                    raise
            else:
                return


class Unfinished(ModelArts):
    """Streams are iterators, not generators."""

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        """Return an iterator."""
        return itertools.chain(super().stream_chat(messages, **kwargs))


class NestedCallbacks(ModelArts):
    """A decorated method calls another decorated method."""

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Call `stream_chat`."""
        *_, last = self.stream_chat(messages, **kwargs)
        return last


class BlocksTheLoop(ModelArts):
    """Async methods block on sync ones."""

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse]:
        """Block the event loop."""

        async def read() -> AsyncGenerator[ChatResponse]:
            for response in self.stream_chat(messages, **kwargs):
                yield response

        return read()


class ReadsOn(ModelArts):
    """Reads the complete stream before it returns it."""

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse]:
        """Read everything first."""
        stream = await super().astream_chat(messages, **kwargs)
        responses = [response async for response in stream]

        async def read() -> AsyncGenerator[ChatResponse]:
            for response in responses:
                yield response

        return read()


class RepairsCalls(ModelArts):
    """Truncated tool calls are repaired."""

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse]:
        """End successfully in any case."""
        try:
            yield from super().stream_chat(messages, **kwargs)
        except MDStreamError as error:
            yield vars(error)["partial_response"]

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse]:
        """End successfully in any case."""
        responses = await asyncio.to_thread(list, self.stream_chat(messages, **kwargs))

        async def read() -> AsyncGenerator[ChatResponse]:
            for response in responses:
                yield response

        return read()

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Repair truncated arguments."""
        calls = response.message.additional_kwargs.get("tool_calls") or []
        return [
            ToolSelection(
                tool_id=call["id"],
                tool_name=call["function"]["name"],
                tool_kwargs=parse_partial_json(call["function"]["arguments"]),
            )
            for call in calls
        ]


class MutatesHistory(ModelArts):
    """The caller's history is changed."""

    def _prepare_chat_with_tools(self, tools: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        if kwargs.get("chat_history") is not None:
            kwargs["chat_history"].append(ChatMessage(kwargs["user_msg"]))
        return super()._prepare_chat_with_tools(tools, **kwargs)


class LeaksKey(ModelArts):
    """The key is a public field."""

    plain_key: str = ""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{**fields, "plain_key": str(fields.get("api_key", ""))})


class CannotBePickled(ModelArts):
    """The object cannot be pickled."""

    def __getstate__(self) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")


class MinimalEmbedding(BaseEmbedding):
    """A minimal correct embedding."""

    url: str
    max_retries: int = 0
    embed_batch_size: int = 10
    api_key: str = Field(default="", exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "plain"

    def _read(self, texts: list[str], response: httpx.Response) -> list[list[float]]:
        found = sorted(response.raise_for_status().json()["data"], key=lambda one: int(one["index"]))
        if len(found) != len(texts):
            raise ValueError(f"{len(found)} vectors came of {len(texts)} texts")
        return [one["embedding"] for one in found]

    def _sent(self, texts: list[str]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.api_key}"}
        return {"url": f"{self.url}/embeddings", "json": {"input": texts, "model": "m"}, "headers": headers}

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        with httpx.Client() as client:
            for left in reversed(range(self.max_retries + 1)):
                response = client.post(**self._sent(texts))
                if response.status_code != 503 or not left:
                    break
        return self._read(texts, response)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        async with httpx.AsyncClient() as client:
            for left in reversed(range(self.max_retries + 1)):
                response = await client.post(**self._sent(texts))
                if response.status_code != 503 or not left:
                    break
        return self._read(texts, response)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self._aget_text_embedding(query)


class AnyOrder(MinimalEmbedding):
    """Vectors are neither ordered nor counted."""

    def _read(self, texts: list[str], response: httpx.Response) -> list[list[float]]:
        return [one["embedding"] for one in response.raise_for_status().json()["data"]]


class OneByOne(MinimalEmbedding):
    """Sends one request per text, and blocks the event loop."""

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]


class Flattens(MinimalEmbedding):
    """Replaces newlines, and swallows error responses."""

    def _sent(self, texts: list[str]) -> dict[str, Any]:
        return super()._sent([text.replace("\n", " ") for text in texts])

    def _read(self, texts: list[str], response: httpx.Response) -> list[list[float]]:
        return super()._read(texts, response) if response.status_code == 200 else [[0.0] * 256 for _ in texts]


class LeaksEmbeddingKey(MinimalEmbedding):
    """The key is serialized."""

    api_key: str = ""


class SharedClient(MinimalEmbedding):
    """Shares one client between event loops."""

    _client: Any = None

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        self._client = self._client or httpx.AsyncClient()
        return self._read(texts, await self._client.post(**self._sent(texts)))
