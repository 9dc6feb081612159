"""A column of generated texts or objects."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from mdstream_core.batching.column import MAX_CONCURRENCY, Column, missing_value
from mdstream_core.batching.execute import ConcurrencyLimiter
from mdstream_core.batching.rows import CallRecorder, OnError, RowCollector, RowError, RowResult
from mdstream_core.batching.tables import ColumnType, to_json_text
from mdstream_core.batching.unpickled import shared_objects
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse, describe_incomplete
from mdstream_core.hooks import local_hook

#: Sends the request of one row and returns its text or structured output.
GenerateRow = Callable[[str | Sequence[Mapping[str, Any]]], Awaitable[Any]]


@runtime_checkable
class RowGenerator(Protocol):
    """A model that `GenerateColumn` accepts: chat models and completion models of both framework packages."""

    async def abuild_row_generator(self, schema: Any, *, system: str | None, streaming: bool | None) -> GenerateRow:
        """Build the function that generates the output of a row."""
        ...


class GenerateColumn(Column):
    """A picklable callable that generates an output for each value of a column.

    A value is a prompt (text), or a list of messages as dicts in the OpenAI format. Each row is one request; a stream
    that breaks is sent again as a whole, within the model's `max_retries` and its retry budget.

    The new batch has all columns of the old one and these:

    | column | content |
    |---|---|
    | `into` | the text, or the structured output; null if the row failed |
    | `error` | null, or class, code and message of the error |
    | `partial` | text that was received before the error |
    | `input_tokens`, `output_tokens` | token counts of the server, if it reports them |
    | `request_id` | request id of the service, if it sends one |

    A batch that has all of these columns already is the output of an earlier run: only rows without an output, or with
    an error, are sent again.

    Args:
        model: A chat model, completion model or LLM of langchain_mdstream or llamaindex_mdstream.
        column: Name of the column with the prompts or messages.
        into: Name of the new column.
        schema: A Pydantic class or a JSON schema: the output of each row is then an object, requested by the
            framework's method for structured output. Output that does not follow it is an `error`, with the text in
            `partial`.
        as_json: Whether structured output is JSON text in place of dicts. In Arrow tables it always is, because their
            schema must be the same for each batch.
        system: System prompt of all rows.
        streaming: Whether requests are streamed; then `partial` has the text of interrupted rows. `None` uses the
            model's own setting.
        prefix: Prefix of the names of the other new columns, for several columns in a row, such as `"answer_"`.
        max_concurrency: Maximum number of requests at once, of all calls in this process.
        on_error: As for `EmbedColumn`.

    Raises:
        TypeError: `model` is not such a model.
        ValueError: An argument is invalid.

    Example:
        ```python
        column = GenerateColumn(chat, "prompt", into="answer", system="Answer in one sentence.")
        out = column({"prompt": ["Where is Rome?", "Where is Paris?"]})
        ```
    """

    _model_attribute = "model"

    def __init__(
        self,
        model: RowGenerator,
        column: str,
        *,
        into: str = "answer",
        schema: Any = None,
        as_json: bool = False,
        system: str | None = None,
        streaming: bool | None = None,
        prefix: str = "",
        max_concurrency: int = MAX_CONCURRENCY,
        on_error: OnError = "auto",
    ) -> None:
        if not isinstance(model, RowGenerator):
            raise TypeError(
                f"model has the type {type(model).__name__} (hint: pass a chat model or an LLM of langchain_mdstream "
                "or llamaindex_mdstream)"
            )
        super().__init__(column, into, prefix, max_concurrency, on_error)
        self.model = model
        self.schema = _named_schema(schema)
        self.as_json = as_json
        self.system = system
        self.streaming = streaming
        self._limiter = ConcurrencyLimiter(max_concurrency)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, {self.column!r}, into={self.into!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the limit of concurrent requests, which belongs to this process."""
        return {**super().__getstate__(), "_limiter": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        key = (self._digest, self.max_concurrency) if self._digest else None
        self._limiter = shared_objects.share(key, ConcurrencyLimiter(self.max_concurrency))

    @property
    def _value_type(self) -> ColumnType:  # type: ignore[override]
        if self.schema is None:
            return "text"
        return "text" if self.as_json else "json"

    def _output_value(self, value: Any) -> Any:
        return to_json_text(value) if self.as_json else value

    def _find_problem(self, value: Any) -> RowError | None:
        if value is None:
            return missing_value(self.column)
        value = _to_list(value)
        if isinstance(value, str) or (isinstance(value, list) and value and all(map(_is_message, value))):
            return None
        shown = "an empty list" if value == [] else f"of the type {type(value).__name__}"
        message = f"the value of {self.column!r} is {shown} and neither a text nor a list of messages"
        hint = '(hint: messages are dicts such as {"role": "user", "content": "Hello"})'
        return RowError(f"{message} {hint}", code="InvalidValue")

    async def _process(self, rows: Mapping[int, Any], collector: RowCollector) -> None:
        generate = await self.model.abuild_row_generator(self.schema, system=self.system, streaming=self.streaming)
        pending = iter(rows.items())

        async def run_worker() -> None:
            async with self._limiter.tasks:  # for several rows: once per row would take longer than the rest
                for index, value in pending:
                    await self._process_row(index, _to_list(value), generate, collector)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self.max_concurrency, len(rows))):
                    tasks.create_task(run_worker())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _process_row(self, index: int, value: Any, generate: GenerateRow, collector: RowCollector) -> None:
        recorder = CallRecorder()
        try:
            with local_hook(recorder):
                output = await generate(value)
                _check_response(recorder.response, output)
        except MDStreamError as error:
            if collector.is_fatal(error):
                raise
            collector.add_error(index, error, recorder)
            return
        usage = recorder.usage
        collector.add(
            index,
            RowResult(
                output,
                input_tokens=usage.input if usage else None,
                output_tokens=usage.output if usage else None,
                request_id=recorder.request_id,
            ),
        )


def _named_schema(schema: Any) -> Any:
    """Return the schema; a JSON schema gets a title, which APIs require as its name."""
    if isinstance(schema, Mapping):
        return {"title": "output", **schema}
    if schema is not None and not isinstance(schema, type):
        raise ValueError(
            f"schema={schema!r} has the type {type(schema).__name__} (hint: pass a Pydantic class or a JSON schema)"
        )
    return schema


def _check_response(response: ModelResponse | None, output: Any) -> None:
    """Raise `RowError` for a response that is no output, which nobody would notice among many rows."""
    if response is None:  # from a cache of the framework
        return
    if response.refusal and not output:
        raise RowError(f"the model refused: {response.refusal}", code="ModelRefusal")
    reason = describe_incomplete(response.finish_reason)
    if "content filter" in reason:
        raise RowError(f"the output was {reason}", code="ContentFiltered")


def _to_list(value: Any) -> Any:
    """Return messages as a list of dicts: pandas and Arrow return arrays, and null for fields that others have."""
    if isinstance(value, str):
        return value
    items = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, list | tuple):
        return items
    return [
        {name: field for name, field in item.items() if field is not None or name == "content"}
        if isinstance(item, Mapping)
        else item
        for item in items
    ]


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and isinstance(message.get("role"), str) and "content" in message
