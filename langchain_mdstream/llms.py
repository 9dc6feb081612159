"""Completion models: text in, text out."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
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
from langchain_mdstream._connection_fields import ModelKind
from langchain_mdstream._errors import map_errors
from langchain_mdstream._generation_fields import GenerationFields
from langchain_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from langchain_mdstream._registration import register_loadable
from langchain_mdstream._responses import token_usage
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
class CompletionModel(GenerationFields, BaseLLM):
    """A completion model on any platform: what differs is where it is asked."""

    # A misspelt option is told, not swallowed, and no value is shown with it: it may be a secret. Said here because
    # LangChain's base says otherwise.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model_kind: ClassVar[ModelKind] = "completions"

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        replies = [self._complete(prompt, stop, run_manager, **kwargs) for prompt in prompts]
        return _result(replies)

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
        finally:  # where one failed, nobody waits for the others: their streams are closed
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
        last = _ChunkBuilder()
        with map_errors(), closing(self.service.client.stream(call)) as events:
            for event in events:
                if chunk := last.convert(event):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield last.final_info()

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        await self._prepare_service()
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=True)
        last = _ChunkBuilder()
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    if chunk := last.convert(event):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        yield last.final_info()

    def _complete(
        self, prompt: str, stop: list[str] | None, run_manager: CallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ModelResponse:
        listened = self._has_listeners(run_manager, kwargs)
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=listened)
        events: list[Event] = []
        with map_errors(), closing(self.service.client.stream(call)) as stream:
            for event in stream:
                events.append(event)
                if listened and run_manager and isinstance(event, TextDelta):
                    run_manager.on_llm_new_token(event.text, chunk=GenerationChunk(text=event.text))
        return ModelResponse.from_events(events)

    async def _acomplete(
        self, prompt: str, stop: list[str] | None, run_manager: AsyncCallbackManagerForLLMRun | None, **kwargs: Any
    ) -> ModelResponse:
        await self._prepare_service()
        listened = self._has_listeners(run_manager, kwargs)
        call = self._build_call({"prompt": prompt}, stop, kwargs, stream=listened)
        events: list[Event] = []
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as stream:
                async for event in stream:
                    events.append(event)
                    if listened and run_manager and isinstance(event, TextDelta):
                        await run_manager.on_llm_new_token(event.text, chunk=GenerationChunk(text=event.text))
        return ModelResponse.from_events(events)

    def _has_listeners(self, run_manager: Any, kwargs: dict[str, Any]) -> bool:
        """Whether tokens are wanted while an answer comes: chat models have this in core, completion models do not."""
        if (kwargs.get("n") or self.n or 1) > 1:
            return False  # several answers are not told as one stream
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


class _ChunkBuilder:
    """Turns events into chunks; what must be said once waits for the last one."""

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
            case ResponseMetadata(model):
                self._info["model_name"] = model
            case Usage():
                self._info["token_usage"] = token_usage(event)
            case Finish(reason, 0):
                self._info["finish_reason"] = reason
            case StreamResumed():
                self._info.setdefault("resumed", []).append(asdict(event))
        return None

    def final_info(self) -> GenerationChunk:
        return GenerationChunk(text="", generation_info=self._info)


def _result(replies: list[ModelResponse]) -> LLMResult:
    counts = [token_usage(response.usage) for response in replies]
    total = {name: sum(count.get(name, 0) for count in counts) for name in (counts[0] if counts else ())}
    names = [response.metadata.model for response in replies if response.metadata.model]
    return LLMResult(
        generations=[
            [_generation(choice, response.resumptions) for choice in response.choices] for response in replies
        ],
        llm_output={"token_usage": total, "model_name": names[0] if names else None},
    )


def _generation(choice: Choice, resumed: Sequence[StreamResumed]) -> Generation:
    said = {"reasoning_content": choice.reasoning, "refusal": choice.refusal}
    info: dict[str, Any] = {
        "finish_reason": choice.finish_reason,
        **{name: text for name, text in said.items() if text},
    }
    if resumed:
        info["resumed"] = [asdict(separator) for separator in resumed]
    if choice.logprobs:
        info["logprobs"] = {"content": list(choice.logprobs)}
    return Generation(text=choice.text, generation_info=info)


class OCIModelDeploymentLLM(OCIModelDeploymentMixin, CompletionModel):
    """A completion model on an OCI Data Science model deployment.

    A broken stream raises, with what was received in `error.partial`; see `ChatOCIModelDeployment`.

    Example:
        >>> llm = OCIModelDeploymentLLM(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x")
    """


class OCIGenAI(OCIGenerativeAIMixin, CompletionModel):
    """A completion model of OCI Generative AI, by the service's older operation `generateText`.

    Example:
        >>> llm = OCIGenAI(
        ...     model="cohere.command", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
    """


class SagemakerEndpoint(SageMakerMixin, CompletionModel):
    """A completion model on an Amazon SageMaker endpoint.

    Example:
        >>> llm = SagemakerEndpoint(endpoint_name="my-endpoint", region_name="us-east-1")
    """


class ModelArtsLLM(ModelArtsMixin, CompletionModel):
    """A completion model on a Huawei ModelArts real-time service, or on MaaS.

    Example:
        >>> llm = ModelArtsLLM(endpoint="https://api.modelarts-maas.com/v1", api_key="...")
    """


register_loadable(OCIModelDeploymentLLM, OCIGenAI, SagemakerEndpoint, ModelArtsLLM)
