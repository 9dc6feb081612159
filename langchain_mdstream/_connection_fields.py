"""What models, embeddings and rerankers of every platform have in common: who is asked, how, and as whom."""

import asyncio
import os
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, model_validator

from langchain_mdstream._aliases import ConnectionAliases
from langchain_mdstream._errors import map_errors
from mdstream_core import Call, Dialect, Platform, Retry, Service, Timeout, __version__, dialect
from mdstream_core._fork import Lock
from mdstream_core.auth import Signer
from mdstream_core.hooks import Hook
from mdstream_core.http import (
    HIDDEN,
    SecretHeaders,
    SecretText,
    check_proxy,
    check_sendable,
    scrub_credentials,
    sendable_headers,
    without_inputs,
)
from mdstream_core.options import AsyncHTTPClient, HTTPClient, OCIAuth, changed_fields

#: What an object asks its endpoint for; the platform knows what is spoken for each.
ModelKind = Literal["chat", "completions", "embeddings", "rerank"]

#: The environment variable of a bearer key.
_API_KEY_VARIABLE = "MDSTREAM_API_KEY"

#: What an object is made with, and cannot be told in a call; `requests_kwargs` is langchain-oci's.
_CONNECTION_OPTIONS = frozenset(
    {"timeout", "max_retries", "endpoint", "api_key", "auth", "auth_type", "default_headers", "verify", "proxy"}
    | {"request_timeout", "requests_kwargs", "base_url", "headers"}
)

#: Fields for which other packages take `None`.
_MAP_FIELDS = frozenset({"model_kwargs", "default_headers"})

#: Held while a service is built: two threads that ask first must not sign in twice.
_BUILD_LOCK = Lock()


class ConnectionFields(ConnectionAliases, BaseModel):
    """The fields that everything of ours has. Mixed into LangChain's base classes."""

    model: str = ""
    """The served model's name; also accepted as `model_name` and `model_id`. Not sent where it is empty."""

    dialect: str | None = None
    """What the endpoint speaks (see `mdstream_core.dialect`); by default what the platform's models speak."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, such as `top_k` or `chat_template_kwargs`; `None` is none."""

    extra_body: dict[str, Any] | None = None
    """The same, under OpenAI's name; wins over `model_kwargs`."""

    timeout: float | Timeout | None = None
    """The longest silence in seconds, or a `mdstream_core.Timeout`; also accepted as `request_timeout`.

    What is not given is the platform's default: a little more than the service itself allows, or 240 s of silence where
    it documents no limit. A whole response that does not come in time is not asked for again.
    """

    max_retries: int = 2
    """How many times to ask again before the first token; 0 means one request."""

    default_headers: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Further request headers. Their values may be secrets: they are in no dump, pickle, trace or cache, and have to be
    given again to a model that was loaded. Values are texts of ASCII."""

    api_key: SecretStr | None = None
    """A bearer key, for endpoints that take one; `MDSTREAM_API_KEY` where nothing is said of who signs."""

    auth: OCIAuth | None = Field(default=None, exclude=True, repr=False)
    """Who signs: an `oci` signer, an `oracle-ads` dict, an `httpx.Auth`, a `mdstream_core.auth.Signer`."""

    auth_type: str | None = None
    """Which way to sign, in the platform's words; `none` sends unsigned requests. See the README's table."""

    http_client: HTTPClient | None = Field(default=None, exclude=True, repr=False)
    """An `httpx.Client` of your own."""

    http_async_client: AsyncHTTPClient | None = Field(default=None, exclude=True, repr=False)
    """An `httpx.AsyncClient` of your own."""

    verify: bool | str = True
    """Whether to check certificates, or the file of the authorities to trust."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    proxy: str | None = Field(default=None, exclude=True, repr=False)
    """The proxy's URL; not serialized, it may hold a password."""

    trust_env: bool = True
    """Whether `HTTPS_PROXY` and the like count."""

    hooks: tuple[Hook, ...] = Field(default=(), exclude=True, repr=False)
    """Told what happens in each call: attempts, the first event, the end; see `mdstream_core.hooks`."""

    _service: Service | None = PrivateAttr(default=None)

    #: What is asked for.
    model_kind: ClassVar[ModelKind]

    #: Other packages' names of our fields.
    aliases: ClassVar[Mapping[str, str]] = {
        "model_name": "model",
        "model_id": "model",
        "base_url": "endpoint",
        "request_timeout": "timeout",
    }

    #: The same of the platform's fields.
    platform_aliases: ClassVar[Mapping[str, str]] = {}

    #: The dialect for each kind of question, where none is given.
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "openai-chat",
        "completions": "openai-completions",
        "embeddings": "openai-embeddings",
        "rerank": "rerank",
    }

    #: The platform's name, in traces and in each message's `model_provider`.
    provider_name: ClassVar[str]

    #: The fields that say where the model is.
    address_fields: ClassVar[tuple[str, ...]] = ()

    #: Whether `MDSTREAM_API_KEY` is looked for.
    accepts_bearer_key: ClassVar[bool] = True

    #: Whether it takes so long to connect that the event loop must not wait for it.
    connects_in_thread: ClassVar[bool] = False

    #: The environment variable that stands for each secret field in what is serialized.
    secret_variables: ClassVar[Mapping[str, str]] = {"api_key": _API_KEY_VARIABLE}

    if not TYPE_CHECKING:  # checkers see the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            wrong = None
            try:
                super().__init__(*args, **kwargs)
            except ValidationError as error:
                wrong = without_inputs(error, self._accepted_names())
            if wrong is not None:
                kwargs.clear()  # locals are shown with tracebacks
                raise wrong

    @model_validator(mode="before")
    @classmethod
    def _mdstream_aliases(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        names = cls._accepted_names()
        named = {names.get(str(name), str(name)): value for name, value in values.items()}
        named = {name: value for name, value in named.items() if value is not None or name not in _MAP_FIELDS}
        named = cls._translate_aliases(named)
        if "default_headers" in named:
            named["default_headers"] = dict(sendable_headers("default_headers", named["default_headers"]))
        return _with_env_api_key(named, enabled=cls.accepts_bearer_key)

    @classmethod
    def _accepted_names(cls) -> dict[str, str]:
        """The names that the constructor accepts, each with the field that it sets."""
        return {**cls.aliases, **cls.platform_aliases, **{name: name for name in cls.model_fields}}

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a platform's other packages as ours."""
        return values

    @model_validator(mode="after")
    def _mdstream_checks(self) -> Self:
        self._validate_fields()
        if self.dialect is not None:
            dialect(self.dialect)
        self._build_retry()
        Timeout.from_value(self.timeout)
        check_proxy("proxy", self.proxy)
        for name in self.secret_variables.keys() - _NOT_IN_HEADERS:
            check_sendable(name, reveal_secret(getattr(self, name)))
        if hasattr(self, "_add_version"):
            self._add_version("mdstream-llm", __version__)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """LangChain's own, which private attributes would hide."""
        super().model_post_init(context)

    @property
    def service(self) -> Service:
        """The endpoint, its signer and its connections; made when first needed, and anew when a field was changed."""
        with _BUILD_LOCK:
            if self._service is None:
                self._service = self._build_service()
            return self._service

    async def _prepare_service(self) -> None:
        """Build the service off the event loop, where that takes long."""
        if self.connects_in_thread and self._service is None:
            await asyncio.to_thread(getattr, self, "service")

    def _build_service(self) -> Service:
        with scrub_credentials:
            platform, auth = self._build_platform(), self._build_auth()
        return Service(
            platform,
            auth=auth,
            headers=SecretHeaders(self.default_headers),
            timeout=self.timeout,
            retry=self._build_retry(),
            hooks=self.hooks,
            resume=self._max_resumes,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            verify=self.verify,
            proxy=self.proxy and SecretText(self.proxy),
            trust_env=self.trust_env,
        )

    @property
    def _max_resumes(self) -> int:
        """How many times an answer that broke is gone on with."""
        return 0

    def close(self) -> None:
        """Close the synchronous connections; they are opened again when needed."""
        if self._service is not None:
            self._service.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        if self._service is not None:
            await self._service.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Without credentials: the other side finds them as a new object does. A signer that can find its key stays."""
        state = super().__getstate__()
        private = {**(state.get("__pydantic_private__") or {}), **dict.fromkeys(self._cached_attributes)}
        fields = {name: self._pickled_value(name, value) for name, value in state["__dict__"].items()}
        return {**state, "__dict__": fields, "__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """With the key of the environment, as a new object finds it."""
        super().__setstate__(state)
        self.__dict__.update(
            _with_env_api_key({name: self.__dict__[name] for name in _CREDENTIALS}, enabled=self.accepts_bearer_key)
        )

    def _pickled_value(self, name: str, value: Any) -> Any:
        """What a pickle holds of a field."""
        field = type(self).model_fields.get(name)
        ours = name in self._own_fields()
        if field is None or not ours or isinstance(value, Signer):
            return value
        if name == "default_headers":  # what is missing is told by name when the model is used
            return dict.fromkeys(value, HIDDEN)
        return field.get_default(call_default_factory=True) if field.exclude or isinstance(value, SecretStr) else value

    @classmethod
    def _own_fields(cls) -> set[str]:
        """The fields that are not LangChain's."""
        return {name for base in cls.__mro__ if issubclass(base, ConnectionFields) for name in base.__annotations__}

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Where the model is, its name, and what was changed: without LangChain's own fields, in one line."""
        names = dict.fromkeys([*self.address_fields, "model", *type(self).model_fields])
        own = self._own_fields()
        return changed_fields(self, [name for name in names if name in own])

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in type(self).model_fields:
            self._clear_cache()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; with `update` it has connections of its own, because where or how to ask may be another."""
        copied = super().model_copy(update=update)
        if deep:  # what is shared are connections, signers and clients
            values = copied.__dict__.items()
            copied.__dict__.update({name: deepcopy(value) for name, value in values if isinstance(value, dict | list)})
        if update:
            copied._clear_cache()
        return copied

    @property
    def _cached_attributes(self) -> set[str]:
        """The private attributes that are made from the fields when first needed."""
        return {"_service", "_aws_connection"} & self.__private_attributes__.keys()

    def _clear_cache(self) -> None:
        for name in self._cached_attributes:
            setattr(self, name, None)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy(deep=True)

    def _validate_fields(self) -> None:
        """A wrong endpoint is told where it is written."""
        self._build_platform()

    def _build_platform(self) -> Platform:
        raise NotImplementedError

    def _build_auth(self) -> Any:
        raise NotImplementedError

    def _default_dialect(self, model: str) -> str:
        """The dialect of a model that is asked here, where none is given."""
        return self.default_dialects[self.model_kind]

    def _build_retry(self) -> Retry:
        return Retry(self.max_retries)

    def _create_call(
        self, params: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, stream: bool
    ) -> Call:
        params = self._adapt_params(params)
        with map_errors():
            spoken = self._with_history(self._resolve_dialect(params, stream=stream), params)
            return self.service.call(spoken, params, stream=stream, headers=headers)

    def _adapt_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """A question with what the platform's own fields add to it."""
        return params

    def _with_history(self, dialect: Dialect, params: Mapping[str, Any]) -> Dialect:
        """The dialect with what it has to know of earlier responses."""
        return dialect

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> Dialect:
        """What a question is asked in."""
        return dialect(self.dialect or self._default_dialect(str(params.get("model") or "")))


#: Secret fields that are no part of a header: a password is sent in a body.
_NOT_IN_HEADERS = frozenset({"password"})

#: The fields of which any says who signs.
_CREDENTIALS = ("api_key", "auth", "auth_type")


def _with_env_api_key(fields: dict[str, Any], *, enabled: bool) -> dict[str, Any]:
    """The fields, with the environment's bearer key where nothing is said of who signs."""
    key = os.environ.get(_API_KEY_VARIABLE) if enabled else None
    return {**fields, "api_key": SecretStr(key)} if key and not any(map(fields.get, _CREDENTIALS)) else fields


def reject_connection_options(kwargs: Mapping[str, Any]) -> None:
    """Refuse options of the connection among the arguments of a call: they would be sent as fields of the question."""
    if misplaced := _CONNECTION_OPTIONS & kwargs.keys():
        names = ", ".join(sorted(misplaced))
        raise ValueError(f"{names}: an option of the model, not of a call; make a copy with model_copy(update=…)")


def reveal_secret(secret: SecretStr | None) -> str | None:
    """What a secret field holds."""
    return secret.get_secret_value() if secret else None
