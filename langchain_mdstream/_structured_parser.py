"""Output parser of `with_structured_output` that rejects incomplete responses for every method.

LangChain's parsers complete truncated JSON to an object, return `None` if the model called no tool, and do not check
the end of a stream.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation

from mdstream_core import ToolCall, describe_incomplete, is_unfinished

#: What the parsers of langchain-core raise for a refusal since version 1.7.5; earlier ones know none.
ModelRefusalError: type[Exception] = getattr(exceptions, "ModelRefusalError", OutputParserException)

#: JSON inside a Markdown fence, which LangChain's JSON parser looks for.
_FENCE = re.compile(r"```(?:json)?(.*)", re.DOTALL)

#: Characters around JSON in a text.
_SURROUNDING = " \n\r\t`"

#: The beginning of another object or array behind the first one; other text behind it is ignored.
_NEXT_VALUE = re.compile(r"""\{\s*["}]|\[\s*["\[{\]]""")

_DECODER = json.JSONDecoder(strict=False)


class StrictOutputParser(BaseTransformOutputParser[Any]):
    """Parser that rejects a response that is truncated, refused, or not of the requested type.

    Partial objects of a tool call are yielded while a response streams; JSON text is parsed at its end.

    Attributes:
        parser: LangChain's parser for this method and schema.
        tool: The name of the required tool; `None` if the object is JSON text.
        requires_object: Whether other JSON values (`5`, `[]`) are rejected.
    """

    parser: Any
    tool: str | None = None
    requires_object: bool = False

    @property
    def OutputType(self) -> Any:  # noqa: N802  # LangChain's name
        """The type of the parsed object."""
        return self.parser.OutputType

    def parse(self, text: str) -> Any:
        """Parse the text of a whole response."""
        return self.parse_result([ChatGeneration(message=AIMessage(content=text))])

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse a response.

        Args:
            result: The response, as the first generation.
            partial: Whether more of it may follow.

        Raises:
            OutputParserException: The complete response is not of the requested type.
            ModelRefusalError: The model refused; an `OutputParserException` with langchain-core before 1.7.5.
        """
        if partial:
            return self._parse_partial(result)
        message = result[0].message if isinstance(result[0], ChatGeneration) else AIMessage(content=result[0].text)
        if isinstance(message, AIMessage) and not _is_reported_refusal(message):
            _check_text(message) if self.tool is None else _check_tool_call(message, self.tool)
        parsed = self._parse(result, message)
        if parsed is None:
            raise OutputParserException("the model returned null instead of an object", llm_output=message.text)
        if self.requires_object and not isinstance(parsed, dict):
            problem = f"the model returned {message.text.strip()!r} instead of an object"
            raise OutputParserException(problem, llm_output=message.text)
        return parsed

    def _parse_partial(self, result: list[Generation]) -> Any:
        try:
            return self.parser.parse_result(result, partial=True)
        except (OutputParserException, ModelRefusalError):
            return None  # of a tool that was not requested, or of half a refusal; `finish` reports it

    def _parse(self, result: list[Generation], message: BaseMessage) -> Any:
        try:
            return self.parser.parse_result(result)
        except OutputParserException:
            raise
        except ValueError as error:  # pydantic's, of a tool's arguments
            text = _output(message)
            raise OutputParserException(f"{error}\nThe model returned {text!r}", llm_output=text) from error

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        stream = _StreamState(self)
        for chunk in input:
            yield from stream.add(chunk)
        yield from stream.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        stream = _StreamState(self)
        async for chunk in input:
            for parsed in stream.add(chunk):
                yield parsed
        for parsed in stream.finish():
            yield parsed


class _StreamState:
    """The chunks of one response, and the object that was yielded last."""

    def __init__(self, parser: StrictOutputParser) -> None:
        self._parser = parser
        self._message: Any = None
        self._yielded: Any = None

    def add(self, chunk: Any) -> Iterator[Any]:
        chunk = AIMessageChunk(content=chunk) if isinstance(chunk, str) else chunk
        self._message = chunk if self._message is None else self._message + chunk
        if self._parser.tool is not None:
            yield from self._next_object(partial=True)

    def finish(self) -> Iterator[Any]:
        yield from self._next_object(partial=False)

    def _next_object(self, *, partial: bool) -> Iterator[Any]:
        parsed = self._parser.parse_result([ChatGeneration(message=self._message)], partial=partial)
        if parsed is not None and parsed != self._yielded:
            self._yielded = parsed
            yield parsed


def _is_reported_refusal(message: AIMessage) -> bool:
    """Whether the message is a refusal that langchain-core's parser reports itself."""
    return bool(message.additional_kwargs.get("refusal")) and ModelRefusalError is not OutputParserException


def _check_text(message: AIMessage) -> None:
    """Raise `OutputParserException` if the text is not the complete JSON that was requested."""
    _check_ending(message)
    text = message.text
    if not text.strip():
        raise OutputParserException("the model returned no text instead of JSON", llm_output=text)
    json_text = _json_in(text)
    if is_unfinished(json_text):
        raise _truncated_error(text, "cut off")
    if _NEXT_VALUE.search(trailing := _text_after_first(json_text)):
        problem = f"the model returned more than one object: {trailing!r} follows the first one"
        raise OutputParserException(problem, llm_output=text)


def _check_tool_call(message: AIMessage, name: str) -> None:
    """Raise `OutputParserException` if the message has no complete call of the tool."""
    _check_ending(message)
    for call in message.invalid_tool_calls:
        raise OutputParserException(
            f"the arguments of the tool call {call['name']!r} are not a JSON object: {call['args']!r}",
            llm_output=call["args"],
        )
    if isinstance(message, AIMessageChunk):
        _check_arguments(message)
    called = [call["name"] for call in message.tool_calls]
    if name not in called:
        instead = f"it called {', '.join(called)}" if called else f"it returned {message.text!r}"
        problem = f"the model did not call the tool {name!r}: {instead}"
        raise OutputParserException(problem, llm_output=_output(message))


def _check_ending(message: AIMessage) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        raise OutputParserException(f"the model refused: {refusal}", llm_output=str(refusal))
    if reason := describe_incomplete(message.response_metadata.get("finish_reason")):
        raise _truncated_error(_output(message), reason)


def _check_arguments(message: AIMessageChunk) -> None:
    """LangChain completes the arguments of merged chunks to an object."""
    for chunk in message.tool_call_chunks:
        call = ToolCall(chunk["id"] or "", chunk["name"] or "", chunk["args"] or "")
        try:
            call.parse_arguments()
        except ValueError as error:
            raise OutputParserException(
                f"the arguments of the tool call {call.name!r} are not a JSON object: {call.arguments!r}",
                llm_output=call.arguments,
            ) from error


def _truncated_error(output: str, reason: str) -> OutputParserException:
    end = f": it ends with {output[-80:]!r}" if output else ": it has no output"
    return OutputParserException(f"the response was {reason}{end}", llm_output=output)


def _output(message: BaseMessage) -> str:
    """Return what the model generated: its text, or else the arguments of its tool calls."""
    if message.text or not isinstance(message, AIMessage):
        return message.text
    if isinstance(message, AIMessageChunk):
        return "".join(chunk["args"] or "" for chunk in message.tool_call_chunks)
    return "".join(json.dumps(call["args"], ensure_ascii=False) for call in message.tool_calls)


def _json_in(text: str) -> str:
    bare = text.strip(_SURROUNDING)
    if bare[:1] not in {"{", "["} and (fenced := _FENCE.search(text)):
        return fenced[1].strip(_SURROUNDING)
    return bare


def _text_after_first(text: str) -> str:
    """Return the text behind the object or array that a text begins with; empty if it begins with neither."""
    if text[:1] not in {"{", "["}:
        return ""
    try:
        _, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):  # the parser reports it
        return ""
    return text[end:].strip(_SURROUNDING)
