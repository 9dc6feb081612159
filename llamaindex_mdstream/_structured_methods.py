"""Methods of structured output: JSON by schema, the arguments of a required tool, JSON that the prompt requests.

LlamaIndex's programs do not expose the response that they parse, nor its finish reason. So requests are built and
responses are parsed here, with LlamaIndex's functions for prompts, tools and partial objects.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.program.streaming_utils import process_streaming_content_incremental
from llama_index.core.program.utils import process_streaming_objects
from llama_index.core.prompts import BasePromptTemplate
from pydantic import BaseModel

from llamaindex_mdstream._errors import StructuredOutputError
from llamaindex_mdstream._tools import is_partial
from mdstream_core import Choice, MDStreamError, ModelResponse, ToolCall, describe_incomplete, strict_schema

#: Options that `llm_kwargs` must not set: the method sets them.
_TOOL_OPTIONS = frozenset({"allow_parallel_tool_calls", "tool_choice", "tool_required", "tools"})


def response_format(output_cls: type[BaseModel], *, strict: bool = False) -> dict[str, Any]:
    """Build `response_format` for a Pydantic class.

    Args:
        output_cls: The Pydantic class of the response.
        strict: Whether the server must follow the schema exactly; that closes all its objects.
    """
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)
    json_schema = output_cls.model_json_schema()
    schema = {
        "name": name,
        "schema": strict_schema(json_schema, nullable=False) if strict else json_schema,
        "strict": strict,
    }
    return {"type": "json_schema", "json_schema": schema}


@dataclass
class StructuredOutputMethod:
    """A method to request one object and to parse the response.

    Args:
        llm: The model object.
        output_cls: The Pydantic class of the response.
    """

    llm: Any
    output_cls: type[Any]

    #: Whether the request is a chat, and not a completion.
    is_chat: ClassVar[bool] = True

    def build_request(
        self, prompt: BasePromptTemplate, options: Mapping[str, Any] | None, prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Build the keyword arguments of `chat` or `complete`."""
        known = {name: value for name, value in (options or {}).items() if name not in _TOOL_OPTIONS}
        return self._build_request(prompt, known, prompt_args)

    def parse_chunk(self, response: Any, so_far: Any) -> Any:
        """Parse a response of a stream: a partial object, or of the last response the complete one."""
        return self.parse_partial(response, so_far) if is_partial(response.raw) else self.parse_response(response)

    def parse_partial(self, response: Any, so_far: Any) -> Any:
        """Parse the part of the object that a chunk of a stream holds."""
        so_far = so_far if so_far is None else [so_far]
        return process_streaming_objects(response, self.output_cls, cur_objects=so_far, llm=self.llm)

    def parse_response(self, response: Any) -> Any:
        """Parse a complete response.

        Raises:
            StructuredOutputError: The response is truncated, filtered, refused, or not an instance of `output_cls`.
        """
        choice = _read_choice(response)
        if choice.refusal:
            raise self._error(f"the model refused: {choice.refusal}", "ModelRefusal", response, choice)
        if reason := describe_incomplete(choice.finish_reason):
            raise self._error(f"the response was {reason}", "IncompleteOutput", response, choice)
        try:
            return self._parse(response, choice)
        except (ValueError, TypeError, MDStreamError) as error:
            message = f"the response is not a {self._output_name}: {error}"
            raise self._error(message, "InvalidOutput", response, choice) from error

    @property
    def _output_name(self) -> str:
        """Name of the requested object, for error messages."""
        return self.output_cls.__name__

    def _build_request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        raise NotImplementedError

    def _parse(self, response: Any, choice: Choice) -> Any:
        raise NotImplementedError

    def _messages(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> Any:
        return self.llm._extend_messages(prompt.format_messages(llm=self.llm, **prompt_args))

    def _error(self, message: str, code: str, response: Any, choice: Choice) -> StructuredOutputError:
        output = choice.text or "".join(call.arguments for call in choice.tool_calls)
        received = f"the output ends in {output[-80:]!r}" if output else "no output was received"
        message = message if choice.refusal else f"{message} ({received})"
        error = StructuredOutputError(message, code=code, raw=output or choice.refusal)
        error.partial = ModelResponse((choice,))
        vars(error)["partial_response"] = response
        return error


class SchemaMethod(StructuredOutputMethod):
    """`response_format` with a JSON schema."""

    def parse_partial(self, response: Any, so_far: Any) -> Any:
        """Parse the part of the object that a chunk of a stream holds."""
        return process_streaming_content_incremental(response, self.output_cls, so_far)

    def _build_request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        options["response_format"] = response_format(self.output_cls, strict=self.llm.strict)
        return {"messages": self._messages(prompt, prompt_args), **options}

    def _parse(self, response: Any, choice: Choice) -> Any:
        return self.output_cls.model_validate_json(choice.text)


@dataclass
class JSONSchemaMethod(SchemaMethod):
    """`response_format` with a JSON schema that has no class; the object is a dictionary.

    Args:
        schema: The JSON schema.
    """

    schema: Mapping[str, Any]

    @property
    def _output_name(self) -> str:
        return str(self.schema.get("title", "output"))

    def _build_request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        schema = dict(self.schema)
        json_schema = {
            "name": re.sub(r"[^a-zA-Z0-9_-]", "_", self._output_name),
            "schema": strict_schema(schema, nullable=False) if self.llm.strict else schema,
            "strict": self.llm.strict,
        }
        options["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return {"messages": self._messages(prompt, prompt_args), **options}

    def _parse(self, response: Any, choice: Choice) -> Any:
        value = json.loads(choice.text)
        if not isinstance(value, dict) and self.schema.get("type", "object") == "object":
            raise ValueError("it is no JSON object")
        return value


class ToolMethod(StructuredOutputMethod):
    """A required tool call; the object is its arguments."""

    def _build_request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        messages, tool = self._messages(prompt, prompt_args), get_function_tool(self.output_cls)
        request: dict[str, Any] = self.llm._prepare_chat_with_tools(
            [tool], chat_history=messages, allow_parallel_tool_calls=False, tool_required=True, **options
        )
        return request

    def _parse(self, response: Any, choice: Choice) -> Any:
        name = get_function_tool(self.output_cls).metadata.name
        called = self.llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        arguments = next((call.tool_kwargs for call in called if call.tool_name == name), None)
        if arguments is None:
            instead = f"it called {', '.join(call.tool_name for call in called)}" if called else "it called no tool"
            raise ValueError(f"the model did not call the tool {name!r}: {instead}")
        return self.output_cls.model_validate(arguments)


class TextMethod(StructuredOutputMethod):
    """Instructions in the prompt; the object is JSON in the text of a chat or completion response."""

    @property
    def is_chat(self) -> bool:  # type: ignore[override]
        """Whether the model has a chat endpoint."""
        return bool(self.llm.metadata.is_chat_model)

    def _build_request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        prompt = prompt.model_copy(update={"output_parser": PydanticOutputParser(self.output_cls)})
        if self.is_chat:
            return {"messages": self._messages(prompt, prompt_args), **options}
        return {"prompt": prompt.format(llm=self.llm, **prompt_args), **options}

    def _parse(self, response: Any, choice: Choice) -> Any:
        return PydanticOutputParser(self.output_cls).parse(choice.text)


def _read_choice(response: Any) -> Choice:
    """Read the content of a complete response from `raw`, which has the OpenAI shape for chats and completions."""
    (wire, *_) = response.raw["choices"]
    message = wire["message"]
    calls = [
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    return Choice(
        text=message["content"] or "",
        reasoning=message.get("reasoning_content") or "",
        refusal=message.get("refusal") or "",
        tool_calls=tuple(calls),
        finish_reason=wire["finish_reason"],
    )
