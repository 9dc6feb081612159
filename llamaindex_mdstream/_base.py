"""Base class of the LLMs: the eight chat and completion methods, and tool calls."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

import mdstream_core
from llamaindex_mdstream import _requests, _streams
from llamaindex_mdstream._callbacks import observe_chat, observe_completion
from llamaindex_mdstream._platform_fields import ModelKind
from llamaindex_mdstream._responses_fields import RESPONSES_DIALECT, RESPONSES_PARAMETERS, split_at_last_response
from llamaindex_mdstream._rows import GenerationRows
from llamaindex_mdstream._server_parameters import CHAT_PARAMETERS, SAMPLING_PARAMETERS
from llamaindex_mdstream._structured import StructuredOutput
from mdstream_core._lazy import LazyModule

if TYPE_CHECKING:
    from llamaindex_mdstream import _messages, _output_items, _responses, _tools
    from llamaindex_mdstream._responses import ResponseBuilder
    from mdstream_core import Call, Dialect, Service
else:
    _messages = LazyModule("llamaindex_mdstream._messages")
    _output_items = LazyModule("llamaindex_mdstream._output_items")
    _responses = LazyModule("llamaindex_mdstream._responses")
    _tools = LazyModule("llamaindex_mdstream._tools")

R = TypeVar("R", ChatResponse, CompletionResponse)

#: Fields that are sent with every request.
_PARAMETERS: tuple[str, ...] = (
    *("model", "temperature", "max_tokens", "top_p", "stop", "extra_body"),
    *SAMPLING_PARAMETERS,
    *RESPONSES_PARAMETERS,
)
_CHAT_PARAMETERS: tuple[str, ...] = (*_PARAMETERS, *CHAT_PARAMETERS)
#: Read the values of these fields from the `__dict__` of a model: reading attributes takes ten times as long.
_read_parameters, _read_chat_parameters = itemgetter(*_PARAMETERS), itemgetter(*_CHAT_PARAMETERS)


@_requests.with_hidden_headers
class MDStreamLLM(GenerationRows, StructuredOutput):
    """Base class of the LLMs of all platforms.

    Use the class of a platform: `OCIDataScience`, `OCIGenAI`, `SageMakerLLM` or `ModelArts`.

    Failed requests and streams raise a subclass of `mdstream_core.MDStreamError`, never a bare `ValueError`, which
    LlamaIndex's engines turn into an empty response. Error responses of the service are raised by the call, also by
    the streaming methods; failures of a stream are raised where it is read. `error.partial_response`, a `ChatResponse`
    or `CompletionResponse`, holds what was received; callback handlers get it too.

    Example:
        >>> from llamaindex_mdstream import OCIDataScience
        >>> llm = OCIDataScience(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none")
        >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
        ...     print(response.delta, end="", flush=True)
    """

    @observe_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send a chat request and return the complete response.

        Args:
            messages: The conversation.
            kwargs: Parameters of this request, such as `temperature` or `max_tokens`; `headers` and `extra_headers` are
                sent as HTTP headers.

        Raises:
            MDStreamError: The request failed, or the response is incomplete.
            RequestNotSent: The request was not sent: a message cannot be converted, or no credential was found.
        """
        return self._complete(*self._chat_call(messages, kwargs, stream=False))

    @observe_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Send a prompt and return the complete response. A chat model receives it as a user message.

        Args:
            prompt: The prompt.
            formatted: Whether `completion_to_prompt` was already applied to the prompt.
            kwargs: As for `chat`.

        Raises:
            MDStreamError: As for `chat`.
        """
        return self._complete(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @observe_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Send a chat request and stream the response. Arguments as for `chat`.

        Returns a generator once the first event was received. `delta` of each response is the new text, `message` all
        of it so far; the last response has usage and finish reason. Closing the generator closes the connection.

        Raises:
            MDStreamError: The request failed, or the stream failed or ended early while it was read.
        """
        return self._stream(*self._chat_call(messages, kwargs, stream=True))

    @observe_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Send a prompt and stream the response. Arguments as for `complete`, responses as for `stream_chat`."""
        return self._stream(*self._completion_call(prompt, formatted, kwargs, stream=True))

    @observe_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async variant of `chat`."""
        await self._prepare_service()
        return await self._acomplete(*self._chat_call(messages, kwargs, stream=False))

    @observe_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Async variant of `complete`."""
        await self._prepare_service()
        return await self._acomplete(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @observe_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Async variant of `stream_chat`: `async for response in await llm.astream_chat(messages)`."""
        await self._prepare_service()
        return await self._astream(*self._chat_call(messages, kwargs, stream=True))

    @observe_completion
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Async variant of `stream_complete`."""
        await self._prepare_service()
        return await self._astream(*self._completion_call(prompt, formatted, kwargs, stream=True))

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the tool calls of a response.

        Args:
            response: A response of `chat` or `stream_chat`. Calls of a chunk may be incomplete.
            error_on_no_tool_call: Whether a response without tool calls raises `ValueError`.
            kwargs: Ignored.

        Raises:
            MDStreamError: The arguments of a call in a complete response are truncated or not a JSON object.
            ValueError: The response has no tool call.
        """
        calls = _tools.read_tool_selections(response)
        if not calls and error_on_no_tool_call:
            raise ValueError(f"the model called no tool; its response is {response.message.content!r}")
        return calls

    def _chat_call(
        self, messages: Sequence[ChatMessage], options: dict[str, Any], *, stream: bool
    ) -> "tuple[Service, Call, ResponseBuilder[ChatResponse]]":
        if self.is_chat_model:
            inputs = self._chat_inputs(messages, options)
        else:
            inputs = {"prompt": self.messages_to_prompt(messages)}  # type: ignore[misc]  # a validator sets it
        params = self._build_params(inputs, options)
        builder = _responses.ChatResponseBuilder(
            params.get("model") or self._reported_model_name(), parallel=_requests.is_parallel(params, options)
        )
        return *self._create_call(params, options, stream=stream), builder

    @property
    def _uses_responses_api(self) -> bool:
        return self.dialect == RESPONSES_DIALECT

    def _chat_inputs(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs of a chat; for OpenAI's Responses API with the items of earlier responses, or their id."""
        if not self._uses_responses_api:
            return {"messages": _messages.openai_messages(messages, reasoning=True)}
        known: dict[str, Any] = {}
        if self.use_previous_response_id and "previous_response_id" not in {**self.additional_kwargs, **options}:
            messages, id = split_at_last_response(messages)
            known = {"previous_response_id": id} if id else {}
        return {"messages": _messages.openai_messages(messages, reasoning=True, find_items=self._find_items), **known}

    def _find_items(self, message: ChatMessage) -> list[dict[str, Any]]:
        """Return the output items of a message that are sent back."""
        return _output_items.items_to_send(message, reasoning=self.send_reasoning != "never")

    def _completion_call(
        self, prompt: str, formatted: bool, options: dict[str, Any], *, stream: bool
    ) -> "tuple[Service, Call, ResponseBuilder[CompletionResponse]]":
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        chat = {"messages": [{"role": "user", "content": prompt}]}
        params = self._build_params(chat if self.is_chat_model else {"prompt": prompt}, options)
        builder = _responses.CompletionResponseBuilder(params.get("model") or self._reported_model_name())
        return *self._create_call(params, options, stream=stream), builder

    def _build_params(self, inputs: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        if "messages" in inputs:
            names, values = _CHAT_PARAMETERS, _read_chat_parameters(self.__dict__)
        else:
            names, values = _PARAMETERS, _read_parameters(self.__dict__)
        fields = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        if self.built_in_tools and "messages" in inputs:
            of_call = {**self.additional_kwargs, **options}.get("tools") or ()
            options = {**options, "tools": [*self.built_in_tools, *of_call]}
        params = _requests.build_params(
            fields,
            self.additional_kwargs,
            options,
            inputs,
            strict=self.strict,
            allows_any_tool=self._uses_responses_api,
        )
        if not self.header_arguments:
            return params
        return {name: value for name, value in params.items() if name not in self.header_arguments}

    def _create_call(self, params: dict[str, Any], options: dict[str, Any], *, stream: bool) -> "tuple[Service, Call]":
        headers = _requests.merge_headers(self.additional_kwargs, options)
        if own := self._call_headers({**self.additional_kwargs, **options}):
            headers = headers | own  # not in place: the headers are immutable
        if self.tool_call_parser and params.get("tools") and params.get("tool_choice") in {None, "auto"}:
            # A server without a tool call parser rejects tools with the choice `auto`.
            params |= {"tool_choice": "none", "skip_special_tokens": False}
        service = self._get_service()
        dialect = self._with_history(self._resolve_dialect(params, stream=stream), params, service)
        return service, service.call(dialect, params, stream=stream, headers=headers)

    def _dialect_name(self, params: dict[str, Any]) -> str:
        """Name of the dialect of a request."""
        kind: ModelKind = "chat" if "messages" in params else "completions"
        return self.dialect or self._default_dialect(str(params.get("model") or ""), kind)

    def _resolve_dialect(self, params: dict[str, Any], *, stream: bool) -> "Dialect":
        resolved_dialect: Dialect = mdstream_core.dialect(self._dialect_name(params))
        if self.tool_call_parser or self.reasoning_parser:
            resolved_dialect = mdstream_core.TextParsingDialect(
                resolved_dialect, tool_calls=self.tool_call_parser, reasoning=self.reasoning_parser
            )
        if self.recover_tool_calls and not self.tool_call_parser:
            resolved_dialect = mdstream_core.recover_tool_calls(resolved_dialect, params)
        return resolved_dialect

    def _with_history(self, dialect: "Dialect", params: dict[str, Any], service: "Service") -> "Dialect":
        if not mdstream_core.has_assistant_messages(params.get("messages")):
            return dialect
        return mdstream_core.ReasoningHistory(dialect, self.send_reasoning, service.reasoning_rules)

    def _complete(self, service: "Service", call: "Call", builder: "ResponseBuilder[R]") -> R:
        with _streams.attach_partial_response(builder):
            return builder.complete_response(service.client.complete(call))

    async def _acomplete(self, service: "Service", call: "Call", builder: "ResponseBuilder[R]") -> R:
        with _streams.attach_partial_response(builder):
            return builder.complete_response(await service.async_client.complete(call))

    def _stream(self, service: "Service", call: "Call", builder: "ResponseBuilder[R]") -> Generator[R]:
        return _streams.stream_responses(service.client.stream(call), builder)

    async def _astream(self, service: "Service", call: "Call", builder: "ResponseBuilder[R]") -> AsyncGenerator[R]:
        return await _streams.astream_responses(service.async_client.stream(call), builder)

    def _prepare_chat_with_tools(  # noqa: PLR0917  # LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Arguments of `chat` for a request with tools. `chat_history` is not changed."""
        arguments = {"messages": _tools.append_message(chat_history, user_msg), **kwargs}
        if not tools:
            return arguments
        return {
            **arguments,
            "tool_choice": _tools.tool_choice(
                self.tool_choice if tool_choice is None and not tool_required else tool_choice, required=tool_required
            ),
            "tools": _tools.wire_tools(
                tools, strict=self.strict if strict is None else strict, allows_any=self._uses_responses_api
            ),
            "parallel_tool_calls": allow_parallel_tool_calls,
        }
