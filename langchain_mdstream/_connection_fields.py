"""Fields that every chat model, completion model, embedding model and reranker has, and its `Service`."""

from collections.abc import Mapping, Set
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, model_validator

import mdstream_core
from langchain_mdstream._aliases import ConnectionAliases
from langchain_mdstream._credentials import API_KEY_VARIABLE, CREDENTIALS, reveal_secret, with_env_api_key
from langchain_mdstream._errors import map_errors
from langchain_mdstream._rate_limiter import FrameworkRateLimiter
from mdstream_core._fork import Lock
from mdstream_core.auth import Signer
from mdstream_core.http import (
    HIDDEN,
    SecretHeaders,
    SecretText,
    Timeout,
    check_proxy,
    check_sendable,
    scrub_credentials,
    sendable_headers,
    without_inputs,
)
from mdstream_core.options import AsyncHTTPClient, HookOption, HTTPClient, OCIAuth, RateLimitOption, list_changed_fields

if TYPE_CHECKING:
    from mdstream_core import Call, Dialect, Platform, Retry, Service

#: The kind of a model; each platform has a default dialect for it.
ModelKind = Literal["chat", "completions", "embeddings", "rerank", "guardrails"]

#: Fields that other packages accept as `None`.
_MAP_FIELDS = frozenset({"model_kwargs", "default_headers"})

#: Private attributes of models that are derived from the fields: connections, and what is known of a server's routes.
_CACHED_ATTRIBUTES = ("_service", "_aws_connection", "_no_count_reason", "_has_warned")

#: Held while a service is built, so that two threads do not sign in twice.
_BUILD_LOCK = Lock()


class ConnectionFields(ConnectionAliases, BaseModel):
    """Fields for the model, the connection and authentication. Mixed into LangChain's base classes."""

    model: str = ""
    """Name of the model, sent with each request unless it is empty; also accepted as `model_name` and `model_id`.
    Example: `meta.llama-3.3-70b-instruct`."""

    dialect: str | None = None
    """API format of the endpoint, such as `openai-chat` or `tgi`; see `mdstream_core.dialect` for all names. `None`
    uses the default of the platform."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Additional fields of the request body. Example: `{"top_k": 40, "chat_template_kwargs": {"enable_thinking":
    False}}`. `None` is accepted as an empty dict."""

    extra_body: dict[str, Any] | None = None
    """Additional fields of the request body, under the name that the OpenAI SDK uses. Overrides `model_kwargs` and all
    other fields."""

    timeout: float | Timeout | None = None
    """Read timeout in seconds, or a `mdstream_core.Timeout` with separate limits; also accepted as `request_timeout`.

    Limits that are not set are the platform's defaults: slightly above the limit of the service, or 240 s without data
    where the service documents none. A request without streaming that times out is not retried, because the server may
    still be processing it. Example: `Timeout(connect=5, read=60, total=300)`.
    """

    max_retries: int = 2
    """Maximum number of retries before the first event of a response. `0` sends each request once."""

    default_headers: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Headers added to each request, with ASCII values. They may hold secrets, so the values are excluded from dumps,
    pickles, traces and cache keys, and must be set again on a model that was loaded."""

    api_key: SecretStr | None = None
    """Bearer key, for endpoints that accept one. Default: the environment variable `MDSTREAM_API_KEY`, where the
    platform accepts a bearer key and neither `auth` nor `auth_type` is set."""

    auth: OCIAuth | None = Field(default=None, exclude=True, repr=False)
    """Signer for the requests: a signer of the `oci` SDK, a dict of `oracle-ads`, an `httpx.Auth`, or a
    `mdstream_core.auth.Signer`. Overrides the other authentication fields."""

    auth_type: str | None = None
    """Authentication method. On OCI: `api_key`, `session_token`, `resource_principal`, `instance_principal`,
    `oke_workload` or `bearer`. On ModelArts: `token`, `password`, `aksk`, `appcode`, `app` or `api_key`. On all
    platforms: `none`, for unsigned requests. `None` detects the method from the other fields and the environment."""

    http_client: HTTPClient | None = Field(default=None, exclude=True, repr=False)
    """`httpx.Client` to use for synchronous requests, in place of the built-in one."""

    http_async_client: AsyncHTTPClient | None = Field(default=None, exclude=True, repr=False)
    """`httpx.AsyncClient` to use for asynchronous requests, in place of the built-in one."""

    verify: bool | str = True
    """Whether to verify TLS certificates, or the path of a file with the certificate authorities to trust."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)  # see __pydantic_init_subclass__

    proxy: str | None = Field(default=None, exclude=True, repr=False)
    """URL of the proxy, such as `http://proxy.example.com:3128`. It is not serialized, because it may hold a password.
    """

    trust_env: bool = True
    """Whether to use the proxy settings of the environment (`HTTPS_PROXY`, `NO_PROXY` …)."""

    rate_limit: RateLimitOption | None = Field(default=None, exclude=True)
    """Limit of requests per second and tokens per minute, which each HTTP request acquires before it is sent, retries
    included. Several models, processes and hosts can share it. Example: `RateLimit(142, store="redis://…", key="oci")`.
    """

    rate_limiter: BaseRateLimiter | None = Field(default=None, exclude=True, repr=False)
    """Rate limiter of LangChain, which each HTTP request acquires, retries included. `rate_limit` can do more."""

    hooks: tuple[HookOption, ...] = Field(default=(), exclude=True, repr=False)
    """Hooks that are called for the events of each request: attempts, retries, the first event, the end. See
    `mdstream_core.hooks`."""

    _service: "Service | None" = PrivateAttr(default=None)

    #: The kind of the model.
    model_kind: ClassVar[ModelKind]

    #: Aliases of fields: the names that other packages use.
    aliases: ClassVar[Mapping[str, str]] = {
        "model_name": "model",
        "model_id": "model",
        "base_url": "endpoint",
        "request_timeout": "timeout",
    }

    #: Aliases of the platform's fields.
    platform_aliases: ClassVar[Mapping[str, str]] = {}

    #: The dialect of each kind of model, where `dialect` is not set.
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "openai-chat",
        "completions": "openai-completions",
        "embeddings": "openai-embeddings",
        "rerank": "rerank",
    }

    #: The name of the platform, in traces and in each message's `model_provider`.
    provider_name: ClassVar[str]

    #: The fields that identify the model's endpoint; part of the cache key.
    address_fields: ClassVar[tuple[str, ...]] = ()

    #: Arguments of a call that the platform sends as headers and not in the payload.
    header_arguments: ClassVar[Set[str]] = frozenset()

    #: Whether `MDSTREAM_API_KEY` is used.
    accepts_bearer_key: ClassVar[bool] = True

    #: Whether building the service is too slow for the event loop.
    connects_in_thread: ClassVar[bool] = False

    #: The environment variable that replaces each secret field in serialized models.
    secret_variables: ClassVar[Mapping[str, str]] = {"api_key": API_KEY_VARIABLE}

    if not TYPE_CHECKING:  # type checkers derive the signature from the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            wrong = None
            try:
                super().__init__(*args, **kwargs)
            except ValidationError as error:
                wrong = without_inputs(error, self._accepted_names())
            if wrong is not None:
                kwargs.clear()  # tracebacks may show local variables
                raise wrong

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Build the validators of models at once, and none of their bases: that is a third of the time of an import."""
        super().__pydantic_init_subclass__(**kwargs)
        if hasattr(cls, "provider_name") and hasattr(cls, "model_kind"):  # of the platform, and of the kind
            cls.model_rebuild(raise_errors=False)

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
        return with_env_api_key(named, enabled=cls.accepts_bearer_key)

    @classmethod
    @lru_cache(maxsize=64)
    def _accepted_names(cls) -> dict[str, str]:
        """The names that the constructor accepts, each with the field that it sets."""
        return {**cls.aliases, **cls.platform_aliases, **{name: name for name in cls.model_fields}}

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Translate the arguments of a platform's other packages to fields."""
        return values

    @model_validator(mode="after")
    def _mdstream_checks(self) -> Self:
        self._validate_fields()
        self._build_retry()
        Timeout.from_value(self.timeout)
        check_proxy("proxy", self.proxy)
        for name in self.secret_variables.keys() - _NOT_IN_HEADERS:
            check_sendable(name, reveal_secret(getattr(self, name)))
        if hasattr(self, "_add_version"):
            self._add_version("mdstream-llm", mdstream_core.__version__)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Call LangChain's method, which pydantic's private attributes would hide."""
        super().model_post_init(context)

    @property
    def service(self) -> "Service":
        """The endpoint with its signer and connections: built on first use, and again after a field has changed."""
        # Read directly, because each call reads it, and pydantic's `__getattr__` is slow.
        if (service := (self.__pydantic_private__ or {}).get("_service")) is not None:
            return cast("Service", service)
        with _BUILD_LOCK:
            if self._service is None:
                self._service = self._build_service()
            return self._service

    async def _prepare_service(self) -> None:
        """Build the service outside of the event loop, where that is slow."""
        if self.connects_in_thread and self._service is None:
            from anyio import to_thread  # noqa: PLC0415  # imported only where it is needed

            await to_thread.run_sync(getattr, self, "service", abandon_on_cancel=True)

    def _build_service(self) -> "Service":
        with scrub_credentials:
            platform, auth = self._build_platform(), self._build_auth()
        return mdstream_core.Service(
            platform,
            auth=auth,
            headers=SecretHeaders(self.default_headers),
            timeout=self.timeout,
            retry=self._build_retry(),
            hooks=self.hooks,
            resume=self._max_resumes,
            rate_limit=self.rate_limit,
            rate_limiter=FrameworkRateLimiter(self.rate_limiter) if self.rate_limiter else None,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            verify=self.verify,
            proxy=self.proxy and SecretText(self.proxy),
            trust_env=self.trust_env,
        )

    @property
    def _max_resumes(self) -> int:
        """How many times an interrupted stream is resumed."""
        return 0

    def close(self) -> None:
        """Close the synchronous connections. They are opened again when needed."""
        if self._service is not None:
            self._service.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if self._service is not None:
            await self._service.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Return the state without credentials, which the unpickled object resolves again.

        A `Signer` is included: it pickles without its key and resolves it again.
        """
        state = super().__getstate__()
        private = {**(state.get("__pydantic_private__") or {}), **dict.fromkeys(self._cached_attributes)}
        fields = {name: self._pickled_value(name, value) for name, value in state["__dict__"].items()}
        return {**state, "__dict__": fields, "__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore the state, with the API key of the environment as in a new object."""
        super().__setstate__(state)
        self.__dict__.update(
            with_env_api_key({name: self.__dict__[name] for name in CREDENTIALS}, enabled=self.accepts_bearer_key)
        )

    def _pickled_value(self, name: str, value: Any) -> Any:
        """Return what a pickle holds of a field."""
        field = type(self).model_fields.get(name)
        is_own = name in self._own_fields()
        if field is None or not is_own or isinstance(value, Signer | mdstream_core.RateLimit):
            return value
        if name == "default_headers":  # without values; an error can then name the missing ones
            return dict.fromkeys(value, HIDDEN)
        return field.get_default(call_default_factory=True) if field.exclude or isinstance(value, SecretStr) else value

    @classmethod
    def _own_fields(cls) -> set[str]:
        """Names of the fields that are not LangChain's."""
        return {name for base in cls.__mro__ if issubclass(base, ConnectionFields) for name in base.__annotations__}

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Fields of the repr: address, model name and changed fields, without LangChain's own."""
        names = dict.fromkeys([*self.address_fields, "model", *type(self).model_fields])
        own = self._own_fields()
        return list_changed_fields(self, [name for name in names if name in own])

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in type(self).__pydantic_fields__:
            self._clear_cache()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model. A copy with `update` has connections of its own, because its endpoint may differ."""
        copied = super().model_copy(update=update)
        if deep:  # connections, signers and clients are shared
            values = copied.__dict__.items()
            copied.__dict__.update({name: deepcopy(value) for name, value in values if isinstance(value, dict | list)})
        if update:
            copied._clear_cache()
        return copied

    @property
    def _cached_attributes(self) -> set[str]:
        """Private attributes that are derived from the fields on first use."""
        return {*_CACHED_ATTRIBUTES} & self.__private_attributes__.keys()

    def _clear_cache(self) -> None:
        private = self.__pydantic_private__ or {}  # directly, because the constructor assigns several fields
        for name in _CACHED_ATTRIBUTES:
            if name in private:
                private[name] = None

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy(deep=True)

    def _validate_fields(self) -> None:
        """Validate the endpoint at construction."""
        self._build_platform()

    def _build_platform(self) -> "Platform":
        raise NotImplementedError

    def _build_auth(self) -> Any:
        raise NotImplementedError

    def _default_dialect(self, model: str) -> str:
        """Name of the dialect for a model, where `dialect` is not set."""
        return self.default_dialects[self.model_kind]

    def _build_retry(self) -> "Retry":
        return mdstream_core.Retry(self.max_retries)

    def _create_call(
        self, params: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, stream: bool
    ) -> "Call":
        params = self._adapt_params(params)
        with map_errors():
            resolved = self._with_history(self._resolve_dialect(params, stream=stream), params)
            return self.service.call(
                resolved, params, stream=stream, headers=headers, limiter_acquired=self.model_kind == "chat"
            )

    def _call_headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers for arguments of a call that the platform sends as headers (`header_arguments`)."""
        return {}

    def _adapt_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what the platform's own fields contribute to a request."""
        return params

    def _with_history(self, dialect: "Dialect", params: Mapping[str, Any]) -> "Dialect":
        """Wrap the dialect for requests whose history depends on earlier responses."""
        return dialect

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> "Dialect":
        """Return the dialect of a request."""
        return mdstream_core.dialect(self.dialect or self._default_dialect(str(params.get("model") or "")))


#: Secret fields that are not sent in a header: a password is sent in a body.
_NOT_IN_HEADERS = frozenset({"password"})
