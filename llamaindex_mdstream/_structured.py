"""Answers by schema: JSON that the server holds to a schema, or the arguments of a tool that must be called."""

import re
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, Literal

from llama_index.core.program.streaming_utils import process_streaming_content_incremental
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from llamaindex_mdstream._fields import ModelFields
from mdstream_core import strict_schema

Arguments = dict[str, Any] | None

#: What a question that asks for a schema must not say beside it.
_ABOUT_TOOLS = frozenset({"allow_parallel_tool_calls", "tool_choice", "tool_required", "tools"})


def response_format(output_cls: type[BaseModel], *, strict: bool = False) -> dict[str, Any]:
    """`response_format` for a schema.

    Args:
        output_cls: The model of the answer.
        strict: Whether the server shall hold the answer to it exactly; all its objects are closed for that.
    """
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)
    form = output_cls.model_json_schema()
    schema = {"name": name, "schema": strict_schema(form, nullable=False) if strict else form, "strict": strict}
    return {"type": "json_schema", "json_schema": schema}


class StructuredOutput(ModelFields):
    """The structured half of an LLM.

    `should_use_structured_outputs` asks the server for JSON by schema; otherwise core's programs do it, with a tool
    that has to be called, on streams too (where core itself leaves the model its choice).
    """

    def structured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """An answer as an instance of `output_cls`. Raises `ValueError` when it does not fit."""
        if not self._by_schema:
            return super().structured_predict(output_cls, prompt, llm_kwargs=dict(llm_kwargs or {}), **prompt_args)
        response = self.chat(**self._asked(output_cls, prompt, llm_kwargs, prompt_args))
        return output_cls.model_validate_json(response.message.content or "")

    async def astructured_predict(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Any:
        """The same, awaited."""
        if not self._by_schema:
            return await super().astructured_predict(
                output_cls, prompt, llm_kwargs=dict(llm_kwargs or {}), **prompt_args
            )
        response = await self.achat(**self._asked(output_cls, prompt, llm_kwargs, prompt_args))
        return output_cls.model_validate_json(response.message.content or "")

    def _structured_stream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> Generator[Any]:
        if not self._by_schema:
            program = self._program(output_cls, prompt)
            return program.stream_call(llm_kwargs=dict(llm_kwargs or {}), **prompt_args)  # type: ignore[no-any-return]
        return self._objects(output_cls, self._asked(output_cls, prompt, llm_kwargs, prompt_args))

    async def _structured_astream_call(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments = None, **prompt_args: Any
    ) -> AsyncGenerator[Any]:
        if not self._by_schema:
            program = self._program(output_cls, prompt)
            return await program.astream_call(  # type: ignore[no-any-return]
                llm_kwargs=dict(llm_kwargs or {}), **prompt_args
            )
        return self._aobjects(output_cls, self._asked(output_cls, prompt, llm_kwargs, prompt_args))

    @property
    def _by_schema(self) -> bool:
        return self.should_use_structured_outputs and self.pydantic_program_mode == PydanticProgramMode.DEFAULT

    def _asked(
        self, output_cls: type[Any], prompt: PromptTemplate, llm_kwargs: Arguments, prompt_args: dict[str, Any]
    ) -> dict[str, Any]:
        options = {name: value for name, value in (llm_kwargs or {}).items() if name not in _ABOUT_TOOLS}
        options["response_format"] = response_format(output_cls, strict=self.strict)
        return {"messages": self._extend_messages(prompt.format_messages(llm=self, **prompt_args)), **options}

    def _program(self, output_cls: type[Any], prompt: PromptTemplate) -> Any:
        mode = self.pydantic_program_mode
        calls = mode == PydanticProgramMode.FUNCTION or (
            mode == PydanticProgramMode.DEFAULT and self.metadata.is_function_calling_model
        )
        choice: dict[str, Literal["required"]] = {"tool_choice": "required"} if calls else {}
        return get_program_for_llm(output_cls, prompt, self, pydantic_program_mode=mode, **choice)

    def _objects(self, output_cls: type[Any], asked: dict[str, Any]) -> Generator[Any]:
        so_far = None
        with closing(self.stream_chat(**asked)) as stream:
            for response in stream:
                so_far = process_streaming_content_incremental(response, output_cls, so_far)
                yield so_far

    async def _aobjects(self, output_cls: type[Any], asked: dict[str, Any]) -> AsyncGenerator[Any]:
        so_far = None
        async with aclosing(await self.astream_chat(**asked)) as stream:
            async for response in stream:
                so_far = process_streaming_content_incremental(response, output_cls, so_far)
                yield so_far
