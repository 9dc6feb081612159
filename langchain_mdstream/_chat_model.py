"""Base class of the chat models."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, model_validator

import mdstream_core
from langchain_mdstream._call_headers import hide_call_headers, hide_headers
from langchain_mdstream._callbacks import OriginalMethods
from langchain_mdstream._chat_calls import LEFT_OUT, ChatCalls
from langchain_mdstream._connection_fields import ModelKind
from langchain_mdstream._errors import map_errors
from langchain_mdstream._generation_fields import GenerationFields
from langchain_mdstream._profiles import known_profile
from langchain_mdstream._responses_fields import (
    RESPONSES_DIALECT,
    RESPONSES_PARAMETERS,
    ResponsesFields,
    split_at_last_response,
)
from langchain_mdstream._rows import ChatRows
from langchain_mdstream._server_parameters import CHAT_PARAMETERS, ChatParameters
from mdstream_core._lazy import LazyModule
from mdstream_core.options import SendReasoning

if TYPE_CHECKING:
    from langchain_mdstream import (
        _block_chunks,
        _content_events,
        _messages,
        _output_items,
        _responses,
        _structured,
        _tools,
    )
    from langchain_mdstream._content_events import ContentEvent
    from langchain_mdstream._content_handler_dialect import HandlerChunkBuilder
    from langchain_mdstream._responses import ChunkBuilder
    from langchain_mdstream._structured import Method
    from langchain_mdstream._tools import Tool
    from mdstream_core import Call, Dialect
else:
    _block_chunks = LazyModule("langchain_mdstream._block_chunks")
    _content_events = LazyModule("langchain_mdstream._content_events")
    _messages = LazyModule("langchain_mdstream._messages")
    _output_items = LazyModule("langchain_mdstream._output_items")
    _responses = LazyModule("langchain_mdstream._responses")
    _structured = LazyModule("langchain_mdstream._structured")
    _tools = LazyModule("langchain_mdstream._tools")


_PARAMETERS = (*CHAT_PARAMETERS, *RESPONSES_PARAMETERS)

F = TypeVar("F", bound=Callable[..., Any])


def store_signature(function: F) -> F:
    """Decorate a method whose signature LangChain reads in each call: `inspect` then does not build it again."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


@hide_call_headers
class ChatModel(ChatRows, ResponsesFields, GenerationFields, ChatParameters, ChatCalls):
    """Base class of the chat models. The platform's mixin adds the endpoint and the authentication."""

    # Unknown options are errors, without their values, which may be secrets. LangChain's base class ignores them.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model_kind: ClassVar[ModelKind] = "chat"

    send_reasoning: SendReasoning | None = None
    """Which earlier responses are sent back to the model with their reasoning: `"never"`, `"tool_turns"` (those with
    tool calls since the last user message) or `"always"`.

    `None` follows the model family: always for DeepSeek V3.2 and V4 and for Kimi K2 Thinking and later; tool turns for
    GLM 4.5 and later, MiniMax M2 and gpt-oss; never for others. A request that a server rejects because reasoning is
    missing is retried with it, and so are later requests. Reasoning of other providers is never sent.
    """

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Warn about unknown keys of the profile, as LangChain's validator, which resolves the types of all keys."""
        check = getattr(super(), "_check_profile_keys", None)
        if check is None or not self.profile or self.profile.keys() <= ModelProfile.__annotations__.keys():
            return self
        return cast(Self, check())

    @store_signature
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._create_chat_call(messages, stop, kwargs, stream=False)
        with map_errors():
            response = self.service.client.complete(call)
        return _responses.build_result(response, self.provider_name, self._model_name(kwargs))

    @store_signature
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await self._prepare_service()
        call = self._create_chat_call(messages, stop, kwargs, stream=False)
        with map_errors():
            response = await self.service.async_client.complete(call)
        return _responses.build_result(response, self.provider_name, self._model_name(kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # LangChain itself calls `on_llm_new_token` for each chunk, and `on_llm_error` for an exception.
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        chunks = self._create_chunk_builder(kwargs)
        convert = chunks.convert
        with map_errors(), closing(self.service.client.stream(call)) as events:
            for event in events:
                if (chunk := convert(event)) is not None:
                    yield chunk
        yield chunks.finish()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        await self._prepare_service()
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        chunks = self._create_chunk_builder(kwargs)
        convert = chunks.convert
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    if (chunk := convert(event)) is not None:
                        yield chunk
        yield chunks.finish()

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> "Iterator[ContentEvent]":
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        content = _content_events.ContentEventBuilder(self.provider_name, self._model_name(kwargs), run_manager)
        with map_errors(), closing(self.service.client.stream(call)) as events:
            for event in events:
                yield from content.convert(event)
        yield from content.finish()

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> "AsyncIterator[ContentEvent]":
        await self._prepare_service()
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        content = _content_events.ContentEventBuilder(self.provider_name, self._model_name(kwargs), run_manager)
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    for content_event in content.convert(event):
                        yield content_event
        for content_event in content.finish():
            yield content_event

    def bind_tools(
        self,
        tools: "Sequence[Tool]",
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: Tools, functions, Pydantic classes, TypedDicts, or dicts in the format of OpenAI, Anthropic, Bedrock
                or MCP; may be empty. Tools that a provider runs itself (`{"type": "web_search"}`) are for OpenAI's
                Responses API; for other dialects they raise an error that names them.
            tool_choice: `"auto"`, `"none"`, the name of a tool (the type of one that the provider runs), OpenAI's own
                format, or `"any"`, `"required"` or `True` for at least one call.
            strict: Whether arguments must follow the schema. All objects of the schema then have all fields required
                and `additionalProperties: false`, as OpenAI's strict mode requires.
            parallel_tool_calls: Whether the model may make several calls at once.
            kwargs: Further arguments to bind, such as `response_format`.

        Returns:
            A runnable whose messages may have `tool_calls`.
        """
        allows_any = self._uses_responses_api(kwargs)
        converted = [_tools.openai_tool(tool, strict=strict, allows_any=allows_any) for tool in tools]
        choice = _tool_choice(tool_choice, converted) if converted else None
        options = {"tools": converted or None, "tool_choice": choice, "parallel_tool_calls": parallel_tool_calls}
        return self.bind(**{name: value for name, value in options.items() if value is not None}, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: "Method" = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose output follows a schema.

        Args:
            schema: A Pydantic class, a TypedDict, a JSON schema with a title, or an OpenAI tool.
            method: `json_schema` constrains the generation on the server (vLLM, SGLang, TGI); `function_calling` forces
                a tool call; `json_mode` only requests JSON, so describe it in the prompt; `guided_decoding` uses vLLM's
                own field, for servers whose `response_format` supports no schema. For choices, patterns and grammars
                use `chat.bind(structured_outputs={"choice": […]})` instead of this method.
            include_raw: Whether to return `{"raw", "parsed", "parsing_error"}` instead of raising
                `OutputParserException` for output that is truncated, refused or invalid.
            strict: Whether the server must reject a schema that it cannot enforce exactly.
            kwargs: Further arguments to bind.

        Returns:
            A runnable that returns instances of a Pydantic class, or dicts.
        """
        return _structured.build_structured_output(
            self, schema, method=method, include_raw=include_raw, strict=strict, **kwargs
        )

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: "Sequence[Tool] | None" = None) -> int:
        """Return the number of tokens of a conversation, with chat template and tools.

        The model server counts them where it can (`count_tokens`), else `custom_get_token_ids` (without tools), else
        they are estimated. Images and audio are included only in the server's count.

        Args:
            messages: The conversation.
            tools: The tools that are bound, as for `bind_tools`.
        """
        converted = [_tools.openai_tool(tool) for tool in tools or ()]
        response = self._tokenize({"messages": _messages.openai_messages(messages), "tools": converted or None})
        if response is not None:
            return int(response["count"])
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, tools)
        self._warn_about_estimates()
        return count_tokens_approximately(messages, tools=[*converted] or None)

    def fetch_profile(self) -> ModelProfile:
        """Request the model's profile from the server and merge it into the known one.

        Uses `/v1/models` and `/tokenize`, where the server has them.

        Raises:
            ModelError: The request failed.

        Example:
            ```python
            chat = chat.model_copy(update={"profile": chat.fetch_profile()})
            ```
        """
        return {**(self.profile or {}), **self._server_profile()}

    async def afetch_profile(self) -> ModelProfile:
        """Request the model's profile asynchronously; see `fetch_profile`."""
        return {**(self.profile or {}), **await self._aserver_profile()}

    def _create_chat_call(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], *, stream: bool
    ) -> "Call":
        if tools := kwargs.get("tools"):
            default = None if "tool_choice" in self.model_kwargs else self.tool_choice
            if (choice := kwargs.get("tool_choice", default)) is not None:
                kwargs = {**kwargs, "tool_choice": _tool_choice(choice, tools)}
        if self._uses_responses_api(kwargs):
            inputs = self._responses_inputs(messages, kwargs)
        else:
            inputs = {"messages": _messages.openai_messages(messages, reasoning=True)}
        return self._build_call(inputs, stop, kwargs, stream=stream)

    def _uses_responses_api(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether a request is one of OpenAI's Responses API."""
        return (self.dialect or self._default_dialect(self._model_name(kwargs))) == RESPONSES_DIALECT

    def _responses_inputs(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs of a request of OpenAI's Responses API: the items of earlier responses are sent back."""
        known: dict[str, Any] = {}
        if self.use_previous_response_id and "previous_response_id" not in kwargs:
            messages, id = split_at_last_response(messages)
            known = {"previous_response_id": id} if id else {}
        find_items = partial(_output_items.items_to_send, reasoning=self.send_reasoning != "never")
        return {"messages": _messages.openai_messages(messages, reasoning=True, find_items=find_items), **known}

    def _create_chunk_builder(self, kwargs: dict[str, Any]) -> "ChunkBuilder | HandlerChunkBuilder":
        """Create the builder of the chunks of a stream."""
        if self.output_version == "v1" and self._uses_responses_api(kwargs):
            return _block_chunks.BlockChunkBuilder(self.provider_name, self._model_name(kwargs))
        return _responses.ChunkBuilder(self.provider_name, self._model_name(kwargs))

    def _parameters(self) -> dict[str, Any]:
        fields = self.__dict__
        parameters = super()._parameters()
        for name in _PARAMETERS:
            if (value := fields[name]) is not None:
                parameters[name] = value
        return parameters

    def _with_history(self, dialect: "Dialect", params: Mapping[str, Any]) -> "Dialect":
        if not mdstream_core.has_assistant_messages(params.get("messages")):
            return dialect
        return mdstream_core.ReasoningHistory(dialect, self.send_reasoning, self.service.reasoning_rules)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the cache key: LangChain's, and all parameters that are not serialized."""
        return f"{super()._get_llm_string(stop, **hide_headers(kwargs))}---{self._identifying_params}"

    def _model_name(self, kwargs: Mapping[str, Any]) -> str:
        """Name of the model of a request."""
        return str(kwargs.get("model") or self.model)

    def _resolve_model_profile(self) -> ModelProfile:
        """Return the profile from the built-in table, without a request. Override it with `profile=`."""
        return known_profile(self.provider_name, self.model)

    @property
    def _llm_type(self) -> str:
        return f"{self.provider_name}_chat"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = self.provider_name
        return params


ChatModel._original_methods = OriginalMethods(ChatModel, BaseChatModel, LEFT_OUT)


def _tool_choice(
    choice: str | bool | dict[str, Any] | None, tools: Sequence[Mapping[str, Any]]
) -> str | dict[str, Any] | None:
    """Return `tool_choice` in OpenAI's form; a name is that of a function, or the type of a provider's own tool."""
    if choice in ("any", "required", True):
        return "required"
    if choice in ("auto", "none") or not choice:
        return choice or None
    if isinstance(choice, str):
        names = [str((tool.get("function") or tool).get("name") or tool.get("type")) for tool in tools]
        if choice not in names:
            raise ValueError(f"tool_choice={choice!r} is not a bound tool (hint: use one of {', '.join(names)})")
        is_function = "function" in tools[names.index(choice)]
        return {"type": "function", "function": {"name": choice}} if is_function else {"type": choice}
    return choice if isinstance(choice, dict) else None
