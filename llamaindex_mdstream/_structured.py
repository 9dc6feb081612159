"""Structured predictions: a complete object, or an error with the partial response."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher

from llamaindex_mdstream._errors import map_value_errors
from llamaindex_mdstream._generation_fields import GenerationFields
from mdstream_core._lazy import LazyModule

if TYPE_CHECKING:
    from llamaindex_mdstream import _structured_methods as methods
else:
    methods = LazyModule("llamaindex_mdstream._structured_methods")

Arguments = dict[str, Any] | None

#: The dispatcher of core's own methods.
_dispatcher = get_dispatcher("llama_index.core.llms.llm")


class StructuredOutput(GenerationFields):
    """Mixin for structured predictions.

    `should_use_structured_outputs` requests JSON by schema. Otherwise a tool call is required, or the prompt instructs
    a model without tools to write JSON, as `pydantic_program_mode` selects. Streams yield partial objects. A response
    that is truncated (`max_tokens`), filtered, refused or not such an object is a `StructuredOutputError`.
    """

    def structured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """Predict an instance of `output_cls`.

        Raises:
            StructuredOutputError: The response is truncated, filtered, refused, or not an instance of `output_cls`.
            MDStreamError: There is no complete response.
        """
        method = self._method(output_cls)
        if method is None:
            with map_value_errors:
                return super().structured_predict(output_cls, prompt, llm_kwargs=llm_kwargs, **prompt_args)
        _notify_start(output_cls, prompt, prompt_args)
        send = self.chat if method.is_chat else self.complete
        result = method.parse_response(send(**method.build_request(prompt, llm_kwargs, prompt_args)))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    async def astructured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """Async variant of `structured_predict`."""
        method = self._method(output_cls)
        if method is None:
            with map_value_errors:
                return await super().astructured_predict(output_cls, prompt, llm_kwargs=llm_kwargs, **prompt_args)
        _notify_start(output_cls, prompt, prompt_args)
        send = self.achat if method.is_chat else self.acomplete
        result = method.parse_response(await send(**method.build_request(prompt, llm_kwargs, prompt_args)))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=result))
        return result

    def _structured_stream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Generator[Any]:
        method = self._method(output_cls)
        if method is None:
            with map_value_errors:
                return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._stream_objects(method, method.build_request(prompt, llm_kwargs, prompt_args))

    async def _structured_astream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> AsyncGenerator[Any]:
        method = self._method(output_cls)
        if method is None:
            with map_value_errors:
                return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._astream_objects(method, method.build_request(prompt, llm_kwargs, prompt_args))

    def _method(self, output_cls: type[Any]) -> "methods.StructuredOutputMethod | None":
        """The method that the fields select; `None` for modes of other models, which LlamaIndex's programs handle."""
        calls = self.metadata.is_function_calling_model
        mode = self.pydantic_program_mode
        if mode == PydanticProgramMode.DEFAULT:
            if self.should_use_structured_outputs:
                return methods.SchemaMethod(self, output_cls)
            return (methods.ToolMethod if calls else methods.TextMethod)(self, output_cls)
        if mode == PydanticProgramMode.FUNCTION and calls:
            return methods.ToolMethod(self, output_cls)
        return methods.TextMethod(self, output_cls) if mode == PydanticProgramMode.LLM else None

    def _stream_objects(self, method: "methods.StructuredOutputMethod", request: dict[str, Any]) -> Generator[Any]:
        so_far = None
        send = self.stream_chat if method.is_chat else self.stream_complete
        with closing(send(**request)) as stream:
            for response in stream:
                so_far = method.parse_chunk(response, so_far)
                yield so_far

    async def _astream_objects(
        self, method: "methods.StructuredOutputMethod", request: dict[str, Any]
    ) -> AsyncGenerator[Any]:
        so_far = None
        send = self.astream_chat if method.is_chat else self.astream_complete
        async with aclosing(await send(**request)) as stream:
            async for response in stream:
                so_far = method.parse_chunk(response, so_far)
                yield so_far


def _notify_start(output_cls: type[Any], prompt: PromptTemplate, prompt_args: Mapping[str, Any]) -> None:
    event = LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
    _dispatcher.event(event)
