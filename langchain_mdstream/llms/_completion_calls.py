"""Calls of completion models, shorter without callback handlers."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, ClassVar, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import GenerationChunk
from langchain_core.runnables import RunnableConfig

from langchain_mdstream._callbacks import OriginalMethods, find_run_id

#: For each method, the method that it calls without callback handlers, and LangChain's methods that it leaves out.
LEFT_OUT = {
    "invoke": ("_generate", "generate_prompt", "generate", "_generate_helper"),
    "ainvoke": ("_agenerate", "agenerate_prompt", "agenerate", "_agenerate_helper"),
    "stream": ("_stream",),
    "astream": ("_astream",),
}


class CompletionCalls(BaseLLM):
    """Mixin of the completion models: `invoke` and `stream` without the work that only callback handlers need."""

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
        if find_run_id(self, "invoke", config, kwargs) is None:
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
        if find_run_id(self, "ainvoke", config, kwargs) is None:
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
        if find_run_id(self, "stream", config, kwargs) is None:
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
        if find_run_id(self, "astream", config, kwargs) is None:
            own = super().astream(input, config, stop=stop, **kwargs)
            async with aclosing(cast("AsyncGenerator[str]", own)) as texts:
                async for text in texts:
                    yield text
            return
        stream = self._astream(self._convert_input(input).to_string(), stop=stop, **kwargs)
        async with aclosing(cast("AsyncGenerator[GenerationChunk]", stream)) as chunks:
            async for chunk in chunks:
                yield chunk.text
