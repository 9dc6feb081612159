"""The fields of our LLMs: what they mean for the service behind, and what may be seen or copied of them."""

import asyncio
from typing import Any, Self

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_TEMPERATURE
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer, model_validator

from llamaindex_mdstream._platforms import Place
from llamaindex_mdstream._service import Services
from mdstream_core import Retry, Service, Timeout, dialect
from mdstream_core.auth import Signer
from mdstream_core.http import without_secrets
from mdstream_core.tracing import Hook


class ModelFields(Place, FunctionCallingLLM):
    """A model object: its fields, its service, its copies. A `Place` before it says where to ask and who signs."""

    # A misspelt field is an error, and an error shows no field: it may be a credential.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str = Field(default="", description="The model's name, as the server knows it; not sent where it is empty.")
    dialect: str | None = Field(
        default=None, description="What the endpoint speaks; default: what the models there do."
    )
    temperature: float | None = Field(default=DEFAULT_TEMPERATURE, ge=0, description="How freely tokens are chosen.")
    max_tokens: int | None = Field(default=None, gt=0, description="The most tokens of an answer; None: the server's.")
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
    http_client: Any = Field(default=None, exclude=True, repr=False, description="An httpx.Client of your own.")
    http_async_client: Any = Field(default=None, exclude=True, repr=False, description="An httpx.AsyncClient.")
    verify: bool | str = Field(default=True, description="TLS: False trusts everybody, a string names a CA file.")
    proxy: str | None = Field(default=None, exclude=True, repr=False, description="The proxy's URL.")
    trust_env: bool = Field(default=True, description="Whether HTTPS_PROXY and the like count.")
    hooks: tuple[Hook, ...] = Field(default=(), exclude=True, repr=False, description="Told of each attempt.")

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
            model_name=self._known_as() or "unknown",
        )

    def to_payload(self) -> dict[str, Any]:
        """What observers are told of the model: no credential. Core has this since 0.14.23."""
        return {"class_name": self.class_name(), **self.metadata.model_dump()}

    def close(self) -> None:
        """Close the synchronous connections. The object can still be used; it opens new ones."""
        self._services.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._services.aclose()

    def _known_as(self) -> str | None:
        """The model's name for observers, where a server gives none."""
        return self.model or None

    def _service(self) -> Service:
        place = [getattr(self, name) for name in self._place]
        connection = (self.http_client, self.http_async_client, self.verify, self.proxy, self.trust_env)
        manners = (self.timeout, self.max_retries, dict(self.default_headers or {}), self.hooks)
        return self._services.get((*place, *connection, *manners), self._build)

    async def _ready(self) -> None:
        """Build the service off the event loop, where that takes long."""
        if self.slow_to_connect and not self._services:
            await asyncio.to_thread(self._service)

    def _build(self) -> Service:
        platform, auth = self._connected()
        return Service(
            platform,
            auth=auth,
            headers=self.default_headers,
            timeout=self.timeout,
            retry=Retry(self.max_retries),
            hooks=self.hooks,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            verify=self.verify,
            proxy=self.proxy,
            trust_env=self.trust_env,
        )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        Timeout.of(self.timeout)
        self._checks()
        dialect(self.dialect or self._speaks(self.model, chat=self.is_chat_model))
        return self

    @field_serializer("default_headers")
    def _shown_headers(self, headers: dict[str, str] | None) -> dict[str, str] | None:
        return headers and without_secrets(headers)

    def _unsaid(self) -> dict[str, Any]:
        """The fields that are neither shown nor saved, and their defaults: credentials, clients, hooks."""
        fields = type(self).model_fields
        ours = fields.keys() - FunctionCallingLLM.model_fields.keys()
        return {name: fields[name].default for name in ours if fields[name].exclude}

    def __getstate__(self) -> dict[str, Any]:
        """Without credentials: the other side finds them as a new object does. A signer that can find its key stays."""
        auth = self.auth if isinstance(self.auth, Signer) else None
        headers = self._shown_headers(self.default_headers)
        shown = self.model_copy(update={**self._unsaid(), "auth": auth, "default_headers": headers})
        return super(ModelFields, shown).__getstate__()  # core's own, which removes what cannot be pickled from `self`

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared = [getattr(self, name) for name in self._unsaid()]
        return super().__deepcopy__({**(memo or {}), **{id(one): one for one in shared}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
