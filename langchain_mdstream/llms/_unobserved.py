"""Calls of completion models, shorter if nothing observes them."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import GenerationChunk
from langchain_core.runnables import RunnableConfig

from langchain_mdstream._unobserved import LANGCHAIN_ARGUMENTS, OriginalMethods, find_run_id, uses_cache

#: For each method, the method that it calls if nothing observes the call, and LangChain's methods that it leaves out.
LEFT_OUT = {
    "invoke": ("_generate", "generate_prompt", "generate", "_generate_helper"),
    "ainvoke": ("_agenerate", "agenerate_prompt", "agenerate", "_agenerate_helper"),
    "stream": ("_stream",),
    "astream": ("_astream",),
}


class CompletionCalls(BaseLLM):
    """Mixin of the completion models: `invoke` and `stream` without the parts of LangChain that only observers need."""

    _original_methods: ClassVar[OriginalMethods]

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """Return the text that continues the input, a text or messages."""
        if self._is_observed("invoke", config, kwargs):
            return super().invoke(input, config, stop=stop, **kwargs)
        prompt = self._convert_input(input).to_string()
        return self._generate([prompt], stop=stop, **kwargs).generations[0][0].text

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """Async variant of `invoke`."""
        if self._is_observed("ainvoke", config, kwargs):
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        prompt = self._convert_input(input).to_string()
        return (await self._agenerate([prompt], stop=stop, **kwargs)).generations[0][0].text

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Stream the text that continues the input, a text or messages."""
        if self._is_observed("stream", config, kwargs):
            yield from super().stream(input, config, stop=stop, **kwargs)
            return
        for chunk in self._stream(self._convert_input(input).to_string(), stop=stop, **kwargs):
            yield chunk.text

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """Async variant of `stream`."""
        if self._is_observed("astream", config, kwargs):
            observed = super().astream(input, config, stop=stop, **kwargs)
            async with aclosing(cast("AsyncGenerator[str]", observed)) as texts:
                async for text in texts:
                    yield text
            return
        stream = self._astream(self._convert_input(input).to_string(), stop=stop, **kwargs)
        async with aclosing(cast("AsyncGenerator[GenerationChunk]", stream)) as chunks:
            async for chunk in chunks:
                yield chunk.text

    def _is_observed(self, name: str, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> bool:
        """Whether a call has observers, or LangChain's method has to be used for another reason, such as a cache."""
        if (name.endswith("invoke") and uses_cache(self)) or not self._original_methods.are_used(name, type(self)):
            return True
        if kwargs and not LANGCHAIN_ARGUMENTS.isdisjoint(kwargs):
            return True
        return find_run_id(self, config, AsyncCallbackManager if name.startswith("a") else CallbackManager) is None
