"""Methods of the models for `mdstream_core.batch`: the output of a row through LangChain's own methods."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from pydantic import BaseModel

import mdstream_core
from langchain_mdstream._errors import map_errors
from mdstream_core._lazy import LazyModule

if TYPE_CHECKING:
    from langchain_mdstream import _messages
    from mdstream_core import batch
    from mdstream_core.batch import GenerateRow, RowCollector, RowError
else:
    _messages, batch = LazyModule("langchain_mdstream._messages"), LazyModule("mdstream_core.batch")

Value = str | Sequence[Any]


class ChatRows:
    """Mixin of the chat models for `GenerateColumn`."""

    async def abuild_row_generator(self, schema: Any, *, system: str | None, streaming: bool | None) -> "GenerateRow":
        """Build the function that generates the output of a row.

        Args:
            schema: A Pydantic class or a JSON schema, for structured output; `None` for text.
            system: System prompt of all rows.
            streaming: Whether requests are streamed; `None` uses the model's setting.
        """
        model: Any = self
        await model._prepare_service()
        service = model.service
        options: dict[str, Any] = {} if streaming is None else {"stream": streaming}
        runnable = model if schema is None else model.with_structured_output(schema, **options)

        async def generate(value: Value) -> Any:
            messages = _to_messages(value, system)
            if schema is None:
                message = await batch.resend_interrupted(lambda: model.ainvoke(messages, **options), service)
                return message.text
            try:
                return _to_plain(await batch.resend_interrupted(lambda: runnable.ainvoke(messages), service))
            except OutputParserException as error:
                raise _invalid_output(error) from error

        return generate


class CompletionRows:
    """Mixin of the completion models for `GenerateColumn`."""

    async def abuild_row_generator(self, schema: Any, *, system: str | None, streaming: bool | None) -> "GenerateRow":
        """Build the function that generates the output of a row; arguments as for chat models.

        Raises:
            ValueError: There is a schema, which completion models do not support.
        """
        model: Any = self
        if schema is not None:
            raise ValueError(f"schema is not supported by {type(self).__name__} (hint: use a chat model)")
        await model._prepare_service()
        service = model.service
        options: dict[str, Any] = {} if streaming is None else {"stream": streaming}

        async def generate(value: Value) -> Any:
            is_prompt = isinstance(value, str) and system is None
            prompt = value if is_prompt else _to_messages(value, system)
            return await batch.resend_interrupted(lambda: model.ainvoke(prompt, **options), service)

        return generate


class EmbeddingRows:
    """Mixin of the embedding models for `EmbedColumn`."""

    async def aembed_rows(
        self, texts: Sequence[str], collector: "RowCollector", *, input_type: str, max_concurrency: int
    ) -> None:
        """Embed texts, and collect the vector or the error of each.

        Args:
            texts: Any number of texts.
            collector: Receives the results.
            input_type: `document` or `query`.
            max_concurrency: Maximum number of requests at once.
        """
        model: Any = self
        await model._prepare_service()
        params = model._build_params(input_type, {})
        with map_errors():
            await model.service.agather_rows(
                model._embedding_dialect(params),
                params,
                texts,
                batch_size=model.batch_size,
                max_concurrency=max_concurrency,
                collector=collector,
            )


def _to_messages(value: Value, system: str | None) -> list[BaseMessage]:
    """Convert the value of a row. Raises `RowError` if a message is invalid."""
    start: list[BaseMessage] = [SystemMessage(system)] if system else []
    if isinstance(value, str):
        return [*start, HumanMessage(value)]
    try:
        messages = convert_to_messages(value)
        _messages.openai_messages(messages)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise batch.RowError(f"the messages of the row are invalid: {error}", code="InvalidValue") from error
    return [*start, *messages]


def _to_plain(output: Any) -> Any:
    return output.model_dump(mode="json") if isinstance(output, BaseModel) else output


def _invalid_output(error: OutputParserException) -> "RowError":
    invalid = batch.RowError(str(error), code="InvalidOutput")
    if isinstance(error.llm_output, str):
        invalid.partial = mdstream_core.ModelResponse((mdstream_core.Choice(error.llm_output),))
    return invalid
