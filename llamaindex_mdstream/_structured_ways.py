"""The three ways to an object: JSON by schema, the arguments of a required tool, JSON that the prompt asks for.

Core's programs hide the response that they parse, and with it why it ended. So the requests and the parsing are here,
built from core's functions for prompts, tools and partial objects.
"""

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
from mdstream_core import Choice, MDStreamError, Reply, ToolCall, describe_incomplete

#: What `llm_kwargs` must not contain: these belong to the way.
_ABOUT_TOOLS = frozenset({"allow_parallel_tool_calls", "tool_choice", "tool_required", "tools"})


def response_format(output_cls: type[BaseModel], *, strict: bool = False) -> dict[str, Any]:
    """`response_format` for a schema.

    Args:
        output_cls: The model of the answer.
        strict: Whether the server shall hold the answer to it exactly.
    """
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)
    schema = {"name": name, "schema": output_cls.model_json_schema(), "strict": strict}
    return {"type": "json_schema", "json_schema": schema}


@dataclass
class Way:
    """How one object is requested and parsed.

    Args:
        llm: The model object.
        output_cls: The model of the answer.
    """

    llm: Any
    output_cls: type[Any]

    #: Whether the request is a chat, and not a completion.
    is_chat: ClassVar[bool] = True

    def request(
        self, prompt: BasePromptTemplate, options: Mapping[str, Any] | None, prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The keyword arguments of the LLM's method."""
        return self._request(prompt, {n: v for n, v in (options or {}).items() if n not in _ABOUT_TOOLS}, prompt_args)

    def partial(self, response: Any, so_far: Any) -> Any:
        """The object as far as it can be read, while a response streams."""
        so_far = so_far if so_far is None else [so_far]
        return process_streaming_objects(response, self.output_cls, cur_objects=so_far, llm=self.llm)

    def read(self, response: Any) -> Any:
        """The object of a whole response.

        Raises:
            StructuredOutputError: The response is truncated or refused, or is no such object.
        """
        choice = _choice_of(response)
        if choice.refusal:
            raise self._error(f"the model refused: {choice.refusal}", "ModelRefusal", response, choice)
        if reason := describe_incomplete(choice.finish_reason):
            raise self._error(f"the answer was {reason}", "IncompleteOutput", response, choice)
        try:
            return self._parse(response, choice)
        except (ValueError, TypeError, MDStreamError) as error:
            sentence = f"the answer is no {self.output_cls.__name__}: {error}"
            raise self._error(sentence, "InvalidOutput", response, choice) from error

    def _request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        raise NotImplementedError

    def _parse(self, response: Any, choice: Choice) -> Any:
        raise NotImplementedError

    def _messages(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> Any:
        return self.llm._extend_messages(prompt.format_messages(llm=self.llm, **prompt_args))

    def _error(self, sentence: str, code: str, response: Any, choice: Choice) -> StructuredOutputError:
        output = choice.text or "".join(call.arguments for call in choice.tool_calls)
        end = f"{output[-80:]!r} is the end of what came" if output else "nothing of it came"
        sentence = sentence if choice.refusal else f"{sentence} ({end})"
        error = StructuredOutputError(sentence, code=code, raw=output or choice.refusal)
        error.partial = Reply((choice,))
        vars(error)["partial_response"] = response
        return error


class BySchema(Way):
    """JSON that the server holds to a schema."""

    def partial(self, response: Any, so_far: Any) -> Any:
        """The object as far as it can be read, while a response streams."""
        return process_streaming_content_incremental(response, self.output_cls, so_far)

    def _request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        options["response_format"] = response_format(self.output_cls, strict=self.llm.strict)
        return {"messages": self._messages(prompt, prompt_args), **options}

    def _parse(self, response: Any, choice: Choice) -> Any:
        return self.output_cls.model_validate_json(choice.text)


class ByTool(Way):
    """The arguments of a tool that must be called."""

    def _request(
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


class ByText(Way):
    """JSON that the prompt asks for, of a chat model or a completion model."""

    @property
    def is_chat(self) -> bool:  # type: ignore[override]
        """Whether the model has a chat endpoint."""
        return bool(self.llm.metadata.is_chat_model)

    def _request(
        self, prompt: BasePromptTemplate, options: dict[str, Any], prompt_args: Mapping[str, Any]
    ) -> dict[str, Any]:
        prompt = prompt.model_copy(update={"output_parser": PydanticOutputParser(self.output_cls)})
        if self.is_chat:
            return {"messages": self._messages(prompt, prompt_args), **options}
        return {"prompt": prompt.format(llm=self.llm, **prompt_args), **options}

    def _parse(self, response: Any, choice: Choice) -> Any:
        return PydanticOutputParser(self.output_cls).parse(choice.text)


def _choice_of(response: Any) -> Choice:
    """What a whole response consists of; `raw` has it in the OpenAI shape, for chats and completions."""
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
