"""Methods of the models for `mdstream_core.batch`: the output of a row through LlamaIndex's own methods."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, MessageRole, TextBlock
from llama_index.core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from llamaindex_mdstream._errors import RequestNotSent, StructuredOutputError
from mdstream_core._lazy import LazyModule

if TYPE_CHECKING:
    from llamaindex_mdstream import _messages, _structured_methods
    from llamaindex_mdstream._structured_methods import StructuredOutputMethod
    from mdstream_core import batch
    from mdstream_core.batch import GenerateRow, RowCollector
else:
    _messages = LazyModule("llamaindex_mdstream._messages")
    _structured_methods = LazyModule("llamaindex_mdstream._structured_methods")
    batch = LazyModule("mdstream_core.batch")

Value = str | Sequence[Mapping[str, Any]]


class GenerationRows:
    """Mixin of the LLMs for `GenerateColumn`."""

    async def abuild_row_generator(self, schema: Any, *, system: str | None, streaming: bool | None) -> "GenerateRow":
        """Build the function that generates the output of a row.

        Args:
            schema: A Pydantic class or a JSON schema, for structured output; `None` for text.
            system: System prompt of all rows.
            streaming: Whether requests are streamed; `None` is `False`.

        Raises:
            ValueError: The model has no method for this schema.
        """
        llm: Any = self
        await llm._prepare_service()
        service = llm._get_service()
        method = None if schema is None else _structured_method(llm, schema)

        async def generate(value: Value) -> Any:
            if method is None and isinstance(value, str) and not (system or llm.is_chat_model):
                request: dict[str, Any] = {"prompt": value}
            else:
                request = {"messages": _to_messages(value, system)}
            if method is not None:
                request = method.build_request(ChatPromptTemplate(request["messages"]), None, {})
            try:
                response = await batch.resend_interrupted(
                    lambda: _send(llm, request, streaming=bool(streaming)), service
                )
            except RequestNotSent as error:  # not because of the row: its messages were converted before
                raise (error.__cause__ or error) from None
            return _text(response) if method is None else _parse(method, response)

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
        await model._get_service().agather_rows(
            model._resolve_dialect(),
            model._build_params(input_type),
            texts,
            batch_size=model.batch_size,
            max_concurrency=max_concurrency,
            collector=collector,
        )


def _structured_method(llm: Any, schema: Any) -> "StructuredOutputMethod":
    """Return the method for a schema. Raises `ValueError` if the model has none."""
    if isinstance(schema, Mapping):
        return _structured_methods.JSONSchemaMethod(llm, dict[str, Any], schema)
    method: StructuredOutputMethod | None = llm._method(schema)
    if method is None:
        raise ValueError(
            f"pydantic_program_mode={llm.pydantic_program_mode!r} is not supported (hint: use the default)"
        )
    return method


async def _send(llm: Any, request: dict[str, Any], *, streaming: bool) -> Any:
    """Send a request and return the complete response."""
    is_chat = "messages" in request
    if not streaming:
        return await (llm.achat if is_chat else llm.acomplete)(**request)
    response = None
    async with aclosing(await (llm.astream_chat if is_chat else llm.astream_complete)(**request)) as responses:
        async for chunk in responses:
            response = chunk
    return response


def _text(response: Any) -> str:
    return (response.message.content if isinstance(response, ChatResponse) else response.text) or ""


def _parse(method: "StructuredOutputMethod", response: Any) -> Any:
    """Parse structured output to plain JSON values. Raises `RowError` if it is invalid."""
    try:
        output = method.parse_response(response)
    except StructuredOutputError as error:
        invalid = batch.RowError(str(error), code="InvalidOutput")
        invalid.partial = error.partial
        raise invalid from error
    return output.model_dump(mode="json") if isinstance(output, BaseModel) else output


def _to_messages(value: Value, system: str | None) -> list[ChatMessage]:
    """Convert the value of a row. Raises `RowError` if a message is invalid."""
    start = [ChatMessage(system, role=MessageRole.SYSTEM)] if system else []
    if isinstance(value, str):
        return [*start, ChatMessage(value)]
    try:
        messages = [_to_message(message) for message in value]
        _messages.openai_messages(messages)
    except (TypeError, ValueError) as error:
        raise batch.RowError(f"the messages of the row are invalid: {error}", code="InvalidValue") from error
    return [*start, *messages]


def _to_message(message: Mapping[str, Any]) -> ChatMessage:
    """Convert a message in the OpenAI format."""
    content = message["content"]
    extra = {name: value for name, value in message.items() if name not in {"role", "content"}}
    blocks = content if isinstance(content, str) or content is None else [_to_block(part) for part in content]
    return ChatMessage(blocks, role=message["role"], additional_kwargs=extra)


def _to_block(part: Mapping[str, Any]) -> TextBlock | ImageBlock:
    match part:
        case {"type": "text", "text": str(text)}:
            return TextBlock(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return ImageBlock(url=url)
    raise ValueError(f"content parts of the type {part.get('type')!r} are not supported (hint: use text or image_url)")
