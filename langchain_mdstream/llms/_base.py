"""The base class of the completion models, which continue a prompt."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from dataclasses import asdict
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from pydantic import ConfigDict

from langchain_mdstream._call_headers import hide_call_headers
from langchain_mdstream._callbacks import OriginalMethods
from langchain_mdstream._completion_batch import CompletionBatch
from langchain_mdstream._connection_fields import ModelKind
from langchain_mdstream._errors import map_errors
from langchain_mdstream._generation_fields import GenerationFields
from langchain_mdstream._responses import token_usage
from langchain_mdstream._rows import CompletionRows
from langchain_mdstream.llms._completion_calls import LEFT_OUT, CompletionCalls
from mdstream_core import (
    Choice,
    Event,
    Finish,
    Logprobs,
    ModelResponse,
    ReasoningDelta,
    RefusalDelta,
    ResponseMetadata,
    StreamResumed,
    TextDelta,
    Usage,
)


@hide_call_headers
class CompletionModel(CompletionBatch, CompletionRows, GenerationFields, CompletionCalls):
    """Base class of the completion models. The platform's mixin adds the endpoint and the authentication."""

    __module__ = "langchain_mdstream.llms"  # where it is imported from, pickled and serialized

    # Unknown options are errors, without their values, which may be secrets. LangChain's base class ignores them.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model_kind: ClassVar[ModelKind] = "completions"

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return _result([self._complete(prompt, stop, run_manager, **kwargs) for prompt in prompts])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        tasks = [asyncio.ensure_future(self._acomplete(prompt, stop, run_manager, **kwargs)) for prompt in prompts]
        try:
            return _result(await asyncio.gather(*tasks))
        finally:  # if one failed, cancel the others, so that their streams are closed
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=True)
        chunks = _ChunkBuilder()
        with map_errors(), closing(self.service.client.stream(call)) as events:
            for event in events:
                if chunk := chunks.convert(event):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield chunks.finish()

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        await self._prepare_service()
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=True)
        chunks = _ChunkBuilder()
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    if chunk := chunks.convert(event):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        yield chunks.finish()

    def _complete(
        self, prompt: str, stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ModelResponse:
        streams = self._should_stream_tokens(run_manager, kwargs)
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=streams)
        events: list[Event] = []
        with map_errors(), closing(self.service.client.stream(call)) as stream:
            for event in stream:
                events.append(event)
                if streams and run_manager and isinstance(event, TextDelta):
                    run_manager.on_llm_new_token(event.text, chunk=GenerationChunk(text=event.text))
        return ModelResponse.from_events(events)

    async def _acomplete(
        self, prompt: str, stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ModelResponse:
        await self._prepare_service()
        streams = self._should_stream_tokens(run_manager, kwargs)
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=streams)
        events: list[Event] = []
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as stream:
                async for event in stream:
                    events.append(event)
                    if streams and run_manager and isinstance(event, TextDelta):
                        await run_manager.on_llm_new_token(event.text, chunk=GenerationChunk(text=event.text))
        return ModelResponse.from_events(events)

    def _should_stream_tokens(self, run_manager: Any, kwargs: dict[str, Any]) -> bool:
        """Whether to stream tokens to callbacks, which LangChain does for chat models but not for completion models."""
        if (kwargs.get("n") or self.n or 1) > 1:
            return False  # a stream has one choice
        if "stream" in kwargs or "streaming" in self.model_fields_set:
            return bool(kwargs.get("stream", self.streaming))
        handlers = run_manager.handlers if run_manager else []
        return any(isinstance(handler, _StreamingCallbackHandler) for handler in handlers)

    @property
    def _llm_type(self) -> str:
        return f"{self.provider_name}_llm"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = self.provider_name
        params["ls_model_name"] = kwargs.get("model", self.model)
        return params


CompletionModel._original_methods = OriginalMethods(CompletionModel, BaseLLM, LEFT_OUT)


class _ChunkBuilder:
    """Builder of the chunks of one stream. Metadata is collected for the last chunk."""

    def __init__(self) -> None:
        self._info: dict[str, Any] = {}

    def convert(self, event: Event) -> GenerationChunk | None:
        match event:
            case TextDelta(text, 0):
                return GenerationChunk(text=text)
            case Logprobs(content, 0):
                return GenerationChunk(text="", generation_info={"logprobs": {"content": content}})
            case ReasoningDelta(text, 0):
                return GenerationChunk(text="", generation_info={"reasoning_content": text})
            case RefusalDelta(text, 0):
                return GenerationChunk(text="", generation_info={"refusal": text})
            case ResponseMetadata(model, service=service):
                self._info |= {"model_name": model, **service}
            case Usage():
                self._info["token_usage"] = token_usage(event)
            case Finish(reason, 0):
                self._info["finish_reason"] = reason
            case StreamResumed():
                self._info.setdefault("resumed", []).append(asdict(event))
        return None

    def finish(self) -> GenerationChunk:
        return GenerationChunk(text="", generation_info=self._info)


def _result(responses: list[ModelResponse]) -> LLMResult:
    counts = [token_usage(response.usage) for response in responses]
    total = {name: sum(count.get(name, 0) for count in counts) for name in (counts[0] if counts else ())}
    names = [response.metadata.model for response in responses if response.metadata.model]
    return LLMResult(
        generations=[[_generation(choice, response) for choice in response.choices] for response in responses],
        llm_output={"token_usage": total, "model_name": names[0] if names else None},
    )


def _generation(choice: Choice, response: ModelResponse) -> Generation:
    texts = {"reasoning_content": choice.reasoning, "refusal": choice.refusal}
    info: dict[str, Any] = {
        "finish_reason": choice.finish_reason,
        **{name: text for name, text in texts.items() if text},
        **response.metadata.service,
    }
    if response.resumptions:
        info["resumed"] = [asdict(resumption) for resumption in response.resumptions]
    if choice.logprobs:
        info["logprobs"] = {"content": list(choice.logprobs)}
    return Generation(text=choice.text, generation_info=info)
