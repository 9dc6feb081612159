"""What all our LLMs are: the fields, the eight ways of asking, tools. A platform adds where to ask and who signs."""

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Self, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_TEMPERATURE
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_serializer, model_validator

from llamaindex_mdstream import _question, _streams, _tools
from llamaindex_mdstream._answer import Answer, ChatAnswer, TextAnswer
from llamaindex_mdstream._callbacks import told_as_chat, told_as_completion
from llamaindex_mdstream._service import Services
from llamaindex_mdstream._structured import StructuredOutput
from llamaindex_mdstream._translate import openai_messages
from mdstream_core import Call, OpenAIChat, OpenAICompletions, Platform, Retry, Service, Timeout
from mdstream_core.auth import Signer
from mdstream_core.http import without_secrets

R = TypeVar("R", ChatResponse, CompletionResponse)

_CHAT, _COMPLETIONS = OpenAIChat(), OpenAICompletions()


class MDStreamLLM(StructuredOutput):
    """A model that a cloud hosts. A stream that failed is never a success, and nothing that was received is lost.

    Every error is a `mdstream_core.MDStreamError` (or a `ValueError` for a wrong argument). It keeps what was received
    as `partial_response`, a `ChatResponse` or `CompletionResponse`, which callback handlers get too. A refusal of the
    service is raised by the call itself, also by the streaming ones; later failures are raised while reading.

    Subclasses say where to ask (`_platform`) and who signs (`_auth`).
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default="odsc-llm", description="The model's name, as the server knows it.")
    temperature: float | None = Field(default=DEFAULT_TEMPERATURE, ge=0, description="How freely tokens are chosen.")
    max_tokens: int | None = Field(default=512, gt=0, description="The most tokens of an answer; None: no limit.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="The share of likely tokens to choose from.")
    stop: list[str] | str | None = Field(default=None, description="Where an answer ends.")
    timeout: float | Timeout | None = Field(
        default=None, description="The longest silence in seconds, or a mdstream_core.Timeout."
    )
    max_retries: int = Field(default=2, ge=0, description="How often to ask again, before the first token; 0: never.")
    default_headers: dict[str, str] | None = Field(
        default=None, repr=False, description="Further headers of each request."
    )
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further parameters of each question.")
    extra_body: dict[str, Any] | None = Field(default=None, description="Merged into each question as it is.")
    context_window: int = Field(default=DEFAULT_CONTEXT_WINDOW, gt=0, description="Tokens of question and answer.")
    is_chat_model: bool = Field(default=True, description="Whether the server has a chat endpoint.")
    is_function_calling_model: bool = Field(default=True, description="Whether the model can call tools.")
    strict: bool = Field(default=False, description="Whether the server holds tool calls and schemas to the letter.")
    should_use_structured_outputs: bool = Field(
        default=False, description="Whether structured predictions ask for JSON by schema instead of a tool call."
    )
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False, description="A bearer key.")
    auth: Any = Field(default=None, exclude=True, repr=False, description="Who signs the requests.")
    http_client: Any = Field(default=None, exclude=True, repr=False, description="An httpx.Client of your own.")
    http_async_client: Any = Field(default=None, exclude=True, repr=False, description="An httpx.AsyncClient.")
    verify: bool | str = Field(default=True, description="TLS: False trusts everybody, a string names a CA file.")
    proxy: str | None = Field(default=None, exclude=True, repr=False, description="The proxy's URL.")
    trust_env: bool = Field(default=True, description="Whether HTTPS_PROXY and the like count.")

    _services: Services = PrivateAttr(default_factory=Services)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What core wants to know of the model."""
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.max_tokens or -1,
            is_chat_model=self.is_chat_model,
            is_function_calling_model=self.is_function_calling_model,
            model_name=self.model,
        )

    @told_as_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Ask, and wait for the whole answer.

        Args:
            messages: The conversation.
            kwargs: Parameters of this question alone; `headers` are sent as headers.
        """
        return self._whole(*self._chat_call(messages, kwargs, stream=False))

    @told_as_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Have a text continued, or answered by a chat model, and wait for the whole of it.

        Args:
            prompt: The text.
            formatted: Whether `completion_to_prompt` was applied already.
            kwargs: As for `chat`.
        """
        return self._whole(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @told_as_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Ask, and read the answer while it comes. Arguments as for `chat`.

        Returns once the answer has begun. Each response has the news as `delta` and everything so far as `message`; the
        last one has usage and finish reason. Closing the generator closes the connection at once.
        """
        return self._stream(*self._chat_call(messages, kwargs, stream=True))

    @told_as_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """As `complete`, but read as `stream_chat`."""
        return self._stream(*self._completion_call(prompt, formatted, kwargs, stream=True))

    @told_as_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, awaited."""
        return await self._awhole(*self._chat_call(messages, kwargs, stream=False))

    @told_as_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """`complete`, awaited."""
        return await self._awhole(*self._completion_call(prompt, formatted, kwargs, stream=False))

    @told_as_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """`stream_chat`, awaited: `async for response in await llm.astream_chat(messages)`."""
        return await self._astream(*self._chat_call(messages, kwargs, stream=True))

    @told_as_completion
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """`stream_complete`, awaited."""
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
        calls = _tools.selections(response)
        if not calls and error_on_no_tool_call:
            raise ValueError(f"the model called no tool; it said {response.message.content!r}")
        return calls

    def close(self) -> None:
        """Close the synchronous connections. The object can still be used; it opens new ones."""
        self._services.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._services.aclose()

    def _platform(self) -> Platform:
        raise NotImplementedError

    def _auth(self) -> Any:
        raise NotImplementedError

    def _origin(self) -> tuple[Any, ...]:
        """The fields of a subclass that its platform and its signer are built from."""
        return ()

    def _service(self) -> Service:
        connection = (self.http_client, self.http_async_client, self.verify, self.proxy, self.trust_env)
        manners = (self.timeout, self.max_retries, dict(self.default_headers or {}))
        return self._services.get((self.auth, self.api_key, *self._origin(), *connection, *manners), self._build)

    def _build(self) -> Service:
        return Service(
            self._platform(),
            auth=self._auth(),
            headers=self.default_headers,
            timeout=self.timeout,
            retry=Retry(self.max_retries),
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            verify=self.verify,
            proxy=self.proxy,
            trust_env=self.trust_env,
        )

    def _chat_call(
        self, messages: Sequence[ChatMessage], given: dict[str, Any], *, stream: bool
    ) -> tuple[Call, Answer[ChatResponse]]:
        if self.is_chat_model:
            asked: dict[str, Any] = {"messages": openai_messages(messages)}
        else:
            asked = {"prompt": self.messages_to_prompt(messages)}  # type: ignore[misc]  # a validator sets it
        body = self._question(asked, given)
        return self._call(body, given, stream=stream), ChatAnswer(parallel=_question.parallel(body))

    def _completion_call(
        self, prompt: str, formatted: bool, given: dict[str, Any], *, stream: bool
    ) -> tuple[Call, Answer[CompletionResponse]]:
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        chat = {"messages": [{"role": "user", "content": prompt}]}
        body = self._question(chat if self.is_chat_model else {"prompt": prompt}, given)
        return self._call(body, given, stream=stream), TextAnswer()

    def _question(self, asked: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        names = ("model", "temperature", "max_tokens", "top_p", "stop", "extra_body")
        return _question.question({name: getattr(self, name) for name in names}, self.additional_kwargs, given, asked)

    def _call(self, body: dict[str, Any], given: dict[str, Any], *, stream: bool) -> Call:
        dialect = _CHAT if self.is_chat_model else _COMPLETIONS
        return self._service().call(dialect, body, stream=stream, headers=_question.headers(given))

    def _whole(self, call: Call, answer: Answer[R]) -> R:
        with _streams.partial_kept(answer):
            return answer.whole(self._service().client.complete(call))

    async def _awhole(self, call: Call, answer: Answer[R]) -> R:
        with _streams.partial_kept(answer):
            return answer.whole(await self._service().async_client.complete(call))

    def _stream(self, call: Call, answer: Answer[R]) -> Generator[R]:
        return _streams.responses(self._service().client.stream(call), answer)

    async def _astream(self, call: Call, answer: Answer[R]) -> AsyncGenerator[R]:
        return await _streams.aresponses(self._service().async_client.stream(call), answer)

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
        asked = {"messages": _tools.history(chat_history, user_msg), **kwargs}
        if not tools:
            return asked
        return {
            **asked,
            "tools": _tools.wire_tools(tools, strict=self.strict if strict is None else strict),
            "tool_choice": _tools.tool_choice(tool_choice, required=tool_required),
            "parallel_tool_calls": allow_parallel_tool_calls,
        }

    @model_validator(mode="after")
    def _checked(self) -> Self:
        Timeout.of(self.timeout)
        self._platform()
        return self

    @field_serializer("default_headers")
    def _shown_headers(self, headers: dict[str, str] | None) -> dict[str, str] | None:
        return headers and without_secrets(headers)

    def __getstate__(self) -> dict[str, Any]:
        """Without credentials: the other side finds them as a new object does. A signer that can find its key stays."""
        hidden = {"api_key": None, "http_client": None, "http_async_client": None, "proxy": None}
        auth = self.auth if isinstance(self.auth, Signer) else None
        shown = self.model_copy(
            update={**hidden, "auth": auth, "default_headers": self._shown_headers(self.default_headers)}
        )
        return super(MDStreamLLM, shown).__getstate__()  # core's own, which removes what cannot be pickled from `self`

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared = (self.auth, self.http_client, self.http_async_client)
        return super().__deepcopy__({**(memo or {}), **{id(one): one for one in shared}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
