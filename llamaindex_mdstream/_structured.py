"""Structured predictions: an object that is whole, or an error that has what came of it."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher

from llamaindex_mdstream import _structured_ways as ways
from llamaindex_mdstream._errors import heeded
from llamaindex_mdstream._fields import ModelFields
from llamaindex_mdstream._tools import in_flight

Arguments = dict[str, Any] | None

#: The dispatcher of core's own methods.
_dispatcher = get_dispatcher("llama_index.core.llms.llm")


class StructuredOutput(ModelFields):
    """The structured half of an LLM.

    `should_use_structured_outputs` asks the server for JSON by schema; otherwise a tool has to be called, or the prompt
    asks a model without tools for JSON, as `pydantic_program_mode` says. Streams show partial objects. An answer that
    was truncated (`max_tokens`), filtered or refused, and one that is no such object, is a `StructuredOutputError`.
    """

    def structured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """An answer as an instance of `output_cls`.

        Raises:
            MDStreamError: There is no whole answer; a `StructuredOutputError`, if it is no instance of `output_cls`.
        """
        way = self._way(output_cls)
        if way is None:
            with heeded():
                return super().structured_predict(output_cls, prompt, llm_kwargs=llm_kwargs, **prompt_args)
        _notify_start(output_cls, prompt, prompt_args)
        ask = self.chat if way.is_chat else self.complete
        result = way.read(ask(**way.request(prompt, llm_kwargs, prompt_args)))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    async def astructured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """The same, awaited."""
        way = self._way(output_cls)
        if way is None:
            with heeded():
                return await super().astructured_predict(output_cls, prompt, llm_kwargs=llm_kwargs, **prompt_args)
        _notify_start(output_cls, prompt, prompt_args)
        ask = self.achat if way.is_chat else self.acomplete
        result = way.read(await ask(**way.request(prompt, llm_kwargs, prompt_args)))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    def _structured_stream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Generator[Any]:
        way = self._way(output_cls)
        if way is None:
            with heeded():
                return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._objects(way, way.request(prompt, llm_kwargs, prompt_args))

    async def _structured_astream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> AsyncGenerator[Any]:
        way = self._way(output_cls)
        if way is None:
            with heeded():
                return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._aobjects(way, way.request(prompt, llm_kwargs, prompt_args))

    def _way(self, output_cls: type[Any]) -> ways.Way | None:
        """How this model gives objects; `None` for core's programs of other models."""
        calls = self.metadata.is_function_calling_model
        mode = self.pydantic_program_mode
        if mode == PydanticProgramMode.DEFAULT:
            if self.should_use_structured_outputs:
                return ways.BySchema(self, output_cls)
            return (ways.ByTool if calls else ways.ByText)(self, output_cls)
        if mode == PydanticProgramMode.FUNCTION and calls:
            return ways.ByTool(self, output_cls)
        return ways.ByText(self, output_cls) if mode == PydanticProgramMode.LLM else None

    def _objects(self, way: ways.Way, request: dict[str, Any]) -> Generator[Any]:
        so_far = None
        ask = self.stream_chat if way.is_chat else self.stream_complete
        with closing(ask(**request)) as stream:
            for response in stream:
                so_far = way.partial(response, so_far) if in_flight(response.raw) else way.read(response)
                yield so_far

    async def _aobjects(self, way: ways.Way, request: dict[str, Any]) -> AsyncGenerator[Any]:
        so_far = None
        ask = self.astream_chat if way.is_chat else self.astream_complete
        async with aclosing(await ask(**request)) as stream:
            async for response in stream:
                so_far = way.partial(response, so_far) if in_flight(response.raw) else way.read(response)
                yield so_far


def _notify_start(output_cls: type[Any], prompt: PromptTemplate, prompt_args: Mapping[str, Any]) -> None:
    event = LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
    _dispatcher.event(event)
