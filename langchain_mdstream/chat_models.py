"""Chat models."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict

from langchain_mdstream._call_headers import hide_call_headers, hide_headers
from langchain_mdstream._connection_fields import ModelKind
from langchain_mdstream._content_blocks import register_provider
from langchain_mdstream._content_events import ContentEvent, ContentEventBuilder
from langchain_mdstream._errors import map_errors
from langchain_mdstream._generation_fields import GenerationFields
from langchain_mdstream._messages import openai_messages
from langchain_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from langchain_mdstream._profiles import known_profile
from langchain_mdstream._registration import register_loadable
from langchain_mdstream._responses import ChunkBuilder, build_result
from langchain_mdstream._structured import Method, build_structured_output
from langchain_mdstream._tools import Tool, openai_tool
from mdstream_core import Call, Dialect, ReasoningHistory, SendReasoning, has_assistant_messages


@hide_call_headers
class ChatModel(GenerationFields, BaseChatModel):
    """A chat model on any platform: what differs is where it is asked."""

    # A misspelt option is told, not swallowed, and no value is shown with it: it may be a secret. Said here because
    # LangChain's base says otherwise.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model_kind: ClassVar[ModelKind] = "chat"

    send_reasoning: SendReasoning | None = None
    """Of which earlier responses the reasoning is sent back to the model: `"never"`; `"tool_turns"`, of those that
    called tools since the user's last message; or `"always"`, of all.

    Where it is `None`, the model's family decides (DeepSeek V3.2 and V4, Kimi K2 Thinking and later: always; GLM 4.5
    and later, MiniMax M2, gpt-oss: tool turns; others: never), and a server that refuses a request because reasoning
    is missing is asked again with it, and so from then on. Reasoning of other providers is never sent.
    """

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
        return build_result(response, self.provider_name, self._model_name(kwargs))

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
        return build_result(response, self.provider_name, self._model_name(kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # LangChain itself tells the callbacks of each chunk; telling them here too would tell them twice.
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        chunks = ChunkBuilder(self.provider_name, self._model_name(kwargs))
        with map_errors(), closing(self.service.client.stream(call)) as events:
            for event in events:
                if chunk := chunks.convert(event):
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
        chunks = ChunkBuilder(self.provider_name, self._model_name(kwargs))
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    if chunk := chunks.convert(event):
                        yield chunk
        yield chunks.finish()

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ContentEvent]:
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        content = ContentEventBuilder(self.provider_name, self._model_name(kwargs), run_manager)
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
    ) -> AsyncIterator[ContentEvent]:
        await self._prepare_service()
        call = self._create_chat_call(messages, stop, kwargs, stream=True)
        content = ContentEventBuilder(self.provider_name, self._model_name(kwargs), run_manager)
        with map_errors():
            async with aclosing(self.service.async_client.stream(call)) as events:
                async for event in events:
                    for told in content.convert(event):
                        yield told
        for told in content.finish():
            yield told

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools.

        Args:
            tools: Tools, functions, Pydantic classes, TypedDicts, or dicts in the shape of OpenAI, Anthropic, Bedrock
                or MCP; may be empty. Tools that a provider runs itself (`{"type": "web_search"}`) are refused by name.
            tool_choice: `"auto"`, `"none"`, `"any"` or `"required"` or `True` for at least one, a tool's name, or
                OpenAI's own form.
            strict: Whether the arguments must follow the schema: it is closed (`additionalProperties: false`) and all
                fields are required in each of its objects, as OpenAI's strict mode wants it.
            parallel_tool_calls: Whether more than one call may be made at once.
            kwargs: Bound as they are, such as `response_format`.

        Returns:
            A runnable whose messages may have `tool_calls`.
        """
        wires = [openai_tool(tool, strict=strict) for tool in tools]
        choice = _choice(tool_choice, [wire["function"]["name"] for wire in wires]) if wires else None
        given = {"tools": wires or None, "tool_choice": choice, "parallel_tool_calls": parallel_tool_calls}
        return self.bind(**{name: value for name, value in given.items() if value is not None}, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers in the shape of a schema.

        Args:
            schema: A Pydantic class, a TypedDict, a JSON schema with a title, or an OpenAI tool.
            method: `json_schema` lets the server hold the answer to the schema while it writes (vLLM, SGLang, TGI);
                `function_calling` forces a tool call; `json_mode` only asks for JSON, so say in the prompt which;
                `guided_decoding` is vLLM's own field for servers whose `response_format` knows no schema. Choices,
                patterns and grammars go without this method: `chat.bind(structured_outputs={"choice": […]})`.
            include_raw: Whether to return `{"raw", "parsed", "parsing_error"}` instead of raising
                `OutputParserException` for output that is truncated, refused or invalid.
            strict: Whether the server must refuse a schema that it cannot follow to the letter.
            kwargs: Bound as they are.

        Returns:
            A runnable that gives instances of a Pydantic class, or dictionaries.
        """
        return build_structured_output(self, schema, method=method, include_raw=include_raw, strict=strict, **kwargs)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Tool] | None = None) -> int:
        """How many tokens a conversation is, chat template and tools included.

        Counted by the model server where it does that (`count_tokens`), else by `custom_get_token_ids` without tools,
        else estimated. Pictures and sounds count in the server's answer only.

        Args:
            messages: The conversation.
            tools: The tools that are offered with it, as for `bind_tools`.
        """
        wires = [openai_tool(tool) for tool in tools or ()]
        answer = self._tokenize({"messages": openai_messages(messages), "tools": wires or None})
        if answer is not None:
            return int(answer["count"])
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, tools)
        self._warn_about_estimates()
        return count_tokens_approximately(messages, tools=[*wires] or None)

    def fetch_profile(self) -> ModelProfile:
        """What the model can do, from the server where it tells (`/v1/models`, `/tokenize`), over what is known.

        Raises:
            ModelError: The server could not be asked.

        Example:
            ```python
            chat = chat.model_copy(update={"profile": chat.fetch_profile()})
            ```
        """
        return {**(self.profile or {}), **self._server_profile()}

    async def afetch_profile(self) -> ModelProfile:
        """The same, for asynchronous code."""
        return {**(self.profile or {}), **await self._aserver_profile()}

    def _create_chat_call(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], *, stream: bool
    ) -> Call:
        if isinstance(choice := kwargs.get("tool_choice"), str | bool) and (tools := kwargs.get("tools")):
            kwargs = {
                **kwargs,
                "tool_choice": _choice(choice, [tool.get("function", {}).get("name") for tool in tools]),
            }
        return self._build_call({"messages": openai_messages(messages, reasoning=True)}, stop, kwargs, stream=stream)

    def _with_history(self, dialect: Dialect, params: Mapping[str, Any]) -> Dialect:
        if not has_assistant_messages(params.get("messages")):
            return dialect
        return ReasoningHistory(dialect, self.send_reasoning, self.service.reasoning_rules)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """What the cache goes by: core's own, and all that an answer depends on but is not serialized."""
        return f"{super()._get_llm_string(stop, **hide_headers(kwargs))}---{self._identifying_params}"

    def _model_name(self, kwargs: dict[str, Any]) -> str:
        """The model that is asked."""
        return str(kwargs.get("model") or self.model)

    def _resolve_model_profile(self) -> ModelProfile:
        """What is known without asking: a served model may be any. Say more of yours with `profile=`."""
        return known_profile(self.provider_name, self.model)

    @property
    def _llm_type(self) -> str:
        return f"{self.provider_name}_create_chat_call"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = self.provider_name
        return params


def _choice(choice: str | bool | dict[str, Any] | None, names: list[str]) -> str | dict[str, Any] | None:
    if choice in ("any", "required", True):
        return "required"
    if choice in ("auto", "none") or not choice:
        return choice or None
    if isinstance(choice, str):
        if choice not in names:
            raise ValueError(f"tool_choice={choice!r} is none of the tools: {', '.join(names)}")
        return {"type": "function", "function": {"name": choice}}
    return choice if isinstance(choice, dict) else None


class ChatOCIModelDeployment(OCIModelDeploymentMixin, ChatModel):
    """A chat model on an OCI Data Science model deployment.

    A stream that OCI ends with its `StreamFailure` trailer, and every other broken stream, raises; the error carries
    what was received (`error.partial`), the service's code and the request's id, and reaches `on_llm_error`.

    Setup:
        `pip install 'mdstream-llm[langchain,oci-lite]'`; `[langchain,oci]` for instance principals and OKE workloads.

    Key init args — completion params:
        model, temperature, top_p, max_tokens, stop, seed, n, logprobs, send_reasoning, model_kwargs, extra_body

    Key init args — client params:
        endpoint, region, route, auth, auth_type, auth_profile, api_key, timeout, max_retries, default_headers,
        http_client, http_async_client

    Instantiate:
        >>> chat = ChatOCIModelDeployment(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     auth_type="resource_principal",
        ... )

    Stream:
        ```python
        for chunk in chat.stream("Name three rivers."):
            print(chunk.text, end="", flush=True)
        ```

    Async:
        ```python
        async for chunk in chat.astream("Name three rivers."):
            print(chunk.text, end="", flush=True)
        ```

    Tool calling:
        ```python
        chat.bind_tools([get_weather]).invoke("What is the weather in Paris?").tool_calls
        ```

    Structured output:
        ```python
        chat.with_structured_output(Joke).invoke("Tell me a joke about cats.")
        ```

    Token usage:
        ```python
        chat.invoke("Hello").usage_metadata
        ```
    """


class ChatOCIGenAI(OCIGenerativeAIMixin, ChatModel):
    """A chat model of OCI Generative AI: Cohere, Meta, xAI, OpenAI, Google, Mistral, on demand or dedicated.

    The model's name decides which of the service's formats is spoken (`api_format=` to say it). Errors, streaming and
    tools are those of `ChatOCIModelDeployment`.

    Instantiate:
        >>> chat = ChatOCIGenAI(
        ...     model="meta.llama-3.3-70b-instruct",
        ...     region="us-chicago-1",
        ...     compartment_id="ocid1.compartment.oc1..aaaa",
        ... )
    """


class ChatSagemakerEndpoint(SageMakerMixin, ChatModel):
    """A chat model on an Amazon SageMaker endpoint: vLLM, SGLang, TGI, LMI, JumpStart, found out by itself.

    Exceptions inside the event stream raise, with what was received; see `ChatOCIModelDeployment`. Needs
    `pip install 'mdstream-llm[langchain,aws]'` for botocore's signer and its chain of credentials.

    Instantiate:
        >>> chat = ChatSagemakerEndpoint(endpoint_name="my-endpoint", region_name="us-east-1")
    """


class ChatModelArts(ModelArtsMixin, ChatModel):
    """A chat model on a Huawei ModelArts real-time service, over HTTPS or a WebSocket, or on MaaS.

    Instantiate:
        >>> chat = ChatModelArts(
        ...     endpoint="https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be", token="..."
        ... )
    """


_ALL = (ChatOCIModelDeployment, ChatOCIGenAI, ChatSagemakerEndpoint, ChatModelArts)
for _model in _ALL:
    register_provider(_model.provider_name)
register_loadable(*_ALL)
