"""What all our LLMs do: the eight ways of asking, and tools."""

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, TypeVar

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

from llamaindex_mdstream import _requests, _streams, _tools
from llamaindex_mdstream._callbacks import observe_chat, observe_completion
from llamaindex_mdstream._messages import openai_messages
from llamaindex_mdstream._platforms import ModelKind
from llamaindex_mdstream._responses import ChatResponseBuilder, CompletionResponseBuilder, ResponseBuilder
from llamaindex_mdstream._structured import StructuredOutput
from mdstream_core import Call, Dialect, ReasoningHistory, TextParsingDialect, dialect, has_assistant_messages

R = TypeVar("R", ChatResponse, CompletionResponse)


@_requests.hides_headers
class MDStreamLLM(StructuredOutput):
    """A model that a cloud hosts. A stream that failed is never a success, and nothing that was received is lost.

    Every error of a question is a `mdstream_core.MDStreamError`; core's engines would take a `ValueError` for an empty
    answer. It keeps what was received as `partial_response`, a `ChatResponse` or `CompletionResponse`, which callback
    handlers get too. A refusal of the service is raised by the call itself, also by the streaming ones; later failures
    are raised while reading.

    Where to ask and who signs is said by the classes of the platforms.

    Example:
        >>> from llamaindex_mdstream import OCIDataScience
        >>> llm = OCIDataScience(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none")
        >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
        ...     print(response.delta, end="", flush=True)
    """

    @observe_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Ask, and wait for the whole answer.

        Args:
            messages: The conversation.
            kwargs: Parameters of this question alone; `headers` are sent as headers.

        Raises:
            MDStreamError: There is no whole answer.
            NotAsked: … because a message cannot be said to the model, or there is no credential.
        """
        return self._complete(*self._chat_call(messages, kwargs, stream=False))

    @observe_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Have a text continued, or answered by a chat model, and wait for the whole of it.

        Args:
            prompt: The text.
            formatted: Whether `completion_to_prompt` was applied already.
            kwargs: As for `chat`.
        """
        return self._complete(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @observe_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Ask, and read the answer while it comes. Arguments as for `chat`.

        Returns once the answer has begun. Each response has the news as `delta` and everything so far as `message`; the
        last one has usage and finish reason. Closing the generator closes the connection at once.
        """
        return self._stream(*self._chat_call(messages, kwargs, stream=True))

    @observe_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """As `complete`, but read as `stream_chat`."""
        return self._stream(*self._completion_call(prompt, formatted, kwargs, stream=True))

    @observe_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, awaited."""
        await self._prepare_service()
        return await self._acomplete(*self._chat_call(messages, kwargs, stream=False))

    @observe_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`complete`, awaited."""
        await self._prepare_service()
        return await self._acomplete(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @observe_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, awaited: `async for response in await llm.astream_chat(messages)`."""
        await self._prepare_service()
        return await self._astream(*self._chat_call(messages, kwargs, stream=True))

    @observe_completion
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """`stream_complete`, awaited."""
        await self._prepare_service()
        return await self._astream(*self._completion_call(prompt, formatted, kwargs, stream=True))

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls of a response; those of a whole one are complete, or an error is raised.

        Args:
            response: What the model said.
            error_on_no_tool_call: Whether `ValueError` is raised when there is none.
            kwargs: Not used.

        Raises:
            MDStreamError: A call is cut off or no JSON, and must not be executed.
        """
        calls = _tools.read_tool_selections(response)
        if not calls and error_on_no_tool_call:
            raise ValueError(f"the model called no tool; it said {response.message.content!r}")
        return calls

    def _chat_call(
        self, messages: Sequence[ChatMessage], given: dict[str, Any], *, stream: bool
    ) -> tuple[Call, ResponseBuilder[ChatResponse]]:
        if self.is_chat_model:
            asked: dict[str, Any] = {"messages": openai_messages(messages, reasoning=True)}
        else:
            asked = {"prompt": self.messages_to_prompt(messages)}  # type: ignore[misc]  # a validator sets it
        body = self._build_params(asked, given)
        answer = ChatResponseBuilder(
            body.get("model") or self._observed_name(), parallel=_requests.is_parallel(body, given)
        )
        return self._create_call(body, given, stream=stream), answer

    def _completion_call(
        self, prompt: str, formatted: bool, given: dict[str, Any], *, stream: bool
    ) -> tuple[Call, ResponseBuilder[CompletionResponse]]:
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        chat = {"messages": [{"role": "user", "content": prompt}]}
        body = self._build_params(chat if self.is_chat_model else {"prompt": prompt}, given)
        return self._create_call(body, given, stream=stream), CompletionResponseBuilder(
            body.get("model") or self._observed_name()
        )

    def _build_params(self, inputs: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        names = ("model", "temperature", "max_tokens", "top_p", "stop", "extra_body")
        fields = {name: getattr(self, name) for name in names}
        return _requests.build_params(fields, self.additional_kwargs, given, inputs, strict=self.strict)

    def _create_call(self, body: dict[str, Any], given: dict[str, Any], *, stream: bool) -> Call:
        headers = _requests.merge_headers(self.additional_kwargs, given)
        if self.tool_call_parser and body.get("tools") and body.get("tool_choice") in {None, "auto"}:
            body |= {"tool_choice": "none", "skip_special_tokens": False}  # or the server would not take tools at all
        return self._get_service().call(self._resolve_dialect(body), body, stream=stream, headers=headers)

    def _dialect_name(self, body: dict[str, Any]) -> str:
        """The name of the dialect in which this question is asked."""
        kind: ModelKind = "chat" if "messages" in body else "completions"
        return self.dialect or self._default_dialect(str(body.get("model") or ""), kind)

    def _resolve_dialect(self, body: dict[str, Any]) -> Dialect:
        resolved_dialect = dialect(self._dialect_name(body))
        if self.tool_call_parser or self.reasoning_parser:
            resolved_dialect = TextParsingDialect(
                resolved_dialect, tool_calls=self.tool_call_parser, reasoning=self.reasoning_parser
            )
        if not has_assistant_messages(body.get("messages")):
            return resolved_dialect
        return ReasoningHistory(resolved_dialect, self.send_reasoning, self._get_service().reasoning_rules)

    def _complete(self, call: Call, answer: ResponseBuilder[R]) -> R:
        with _streams.attach_partial_response(answer):
            return answer.complete_response(self._get_service().client.complete(call))

    async def _acomplete(self, call: Call, answer: ResponseBuilder[R]) -> R:
        with _streams.attach_partial_response(answer):
            return answer.complete_response(await self._get_service().async_client.complete(call))

    def _stream(self, call: Call, answer: ResponseBuilder[R]) -> Generator[R]:
        return _streams.stream_responses(self._get_service().client.stream(call), answer)

    async def _astream(self, call: Call, answer: ResponseBuilder[R]) -> AsyncGenerator[R]:
        return await _streams.astream_responses(self._get_service().async_client.stream(call), answer)

    def _prepare_chat_with_tools(  # noqa: PLR0917  # core's signature
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
        """The arguments of `chat` for a question with tools. The caller's history stays as it is."""
        asked = {"messages": _tools.append_message(chat_history, user_msg), **kwargs}
        if not tools:
            return asked
        return {
            **asked,
            "tools": _tools.wire_tools(tools, strict=self.strict if strict is None else strict),
            "tool_choice": _tools.tool_choice(tool_choice, required=tool_required),
            "parallel_tool_calls": allow_parallel_tool_calls,
        }
