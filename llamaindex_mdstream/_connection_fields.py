"""Constructor fields of every class that sends requests, and the service object behind them."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

import mdstream_core
from llamaindex_mdstream._aliases import ConnectionAliases
from llamaindex_mdstream._platform_fields import PlatformFields
from llamaindex_mdstream._rate_limiter import FrameworkRateLimiter
from llamaindex_mdstream._service_cache import ServiceCache, ServiceKey
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
from mdstream_core.options import AsyncHTTPClient, HookOption, HTTPClient, RateLimitOption, list_changed_fields

if TYPE_CHECKING:
    from mdstream_core import Service

_NO_HEADERS = SecretHeaders({})


class ConnectionFields(ConnectionAliases, PlatformFields):
    """Fields of the connection: timeouts, retries, headers, HTTP clients, hooks.

    Stands before LlamaIndex's base classes.
    """

    # Reject misspelt fields. Errors show no values, because a value may be a credential.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    dialect: str | None = Field(
        default=None,
        description="Name of the API format that the endpoint uses, such as `openai-chat`, `tgi` or `lmi`. Default: "
        "the usual format of the platform; SageMaker: detected from the first response.",
    )
    timeout: float | Timeout | None = Field(
        default=None,
        description="Longest time without data, in seconds, or a `mdstream_core.Timeout` with further limits. Default: "
        "the limits of the platform.",
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        description="How often a failed request is retried. Requests are retried only before the first token. `0` "
        "disables retries.",
    )
    default_headers: dict[str, str] | None = Field(
        default=None,
        repr=False,
        description="HTTP headers that are added to each request. Values are left out of `repr` and of serialized "
        "models.",
    )
    extra_body: dict[str, Any] | None = Field(
        default=None,
        description='Fields that are merged into the JSON body of each request, such as `{"top_k": 40}`. They '
        "override all others.",
    )
    http_client: HTTPClient | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="`httpx.Client` for synchronous requests. Create it with `mdstream_core.transport.http_client()`: "
        "other clients cannot read the HTTP trailers in which OCI reports failed streams.",
    )
    http_async_client: AsyncHTTPClient | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="`httpx.AsyncClient` for asynchronous requests. See `http_client`.",
    )
    verify: bool | str = Field(
        default=True,
        description="TLS verification: `False` disables it, a string is the path of a CA bundle.",
    )
    proxy: str | None = Field(
        default=None, exclude=True, repr=False, description="URL of the proxy, such as `http://proxy.example.com:8080`."
    )
    trust_env: bool = Field(
        default=True, description="Whether environment variables such as `HTTPS_PROXY` and `NO_PROXY` are used."
    )
    rate_limit: RateLimitOption | None = Field(
        default=None,
        exclude=True,
        description="Limit of requests per second and tokens per minute, which each HTTP request acquires before it is "
        "sent, retries included. Several models, processes and hosts can share it. Example: `RateLimit(142, "
        'store="redis://…", key="oci")`.',
    )
    rate_limiter: Any = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Rate limiter of LlamaIndex, which each HTTP request acquires, retries included. `rate_limit` "
        "can do more.",
    )
    hooks: tuple[HookOption, ...] = Field(
        default=(),
        exclude=True,
        repr=False,
        description="Callables that receive the events of each call (request sent, retry, failure, …), see "
        "`mdstream_core.hooks`.",
    )

    _services: ServiceCache = PrivateAttr(default_factory=ServiceCache)

    #: What a service depends on beside the address, the proxy and the headers.
    _connection_fields: ClassVar[tuple[str, ...]] = (
        *("http_client", "http_async_client", "verify", "trust_env", "timeout", "max_retries", "hooks"),
        *("rate_limit", "rate_limiter"),
    )

    if not TYPE_CHECKING:  # type checkers derive the signature from the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            invalid = None
            try:
                super().__init__(*args, **kwargs)
            except ValidationError as error:
                invalid = without_inputs(error, self._accepted_names())
            if invalid is not None:
                kwargs.clear()  # tracebacks may show local variables
                raise invalid

    @field_validator("default_headers", mode="before")
    @classmethod
    def _sendable_headers(cls, headers: Any) -> Any:
        return None if headers is None else dict(sendable_headers("default_headers", headers))

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        """Reject credentials that cannot be sent in a header, when the object is created."""
        check_proxy("proxy", self.proxy)
        for name in self._address_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr) and name != "password":  # the password is sent in a body
                check_sendable(name, value.get_secret_value())
        return self

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Address, model name and changed fields, in one line; the fields of LlamaIndex are left out."""
        names = dict.fromkeys(["endpoint", "endpoint_name", "model", "model_name", *type(self).model_fields])
        own = self._own_fields()
        return list_changed_fields(self, [name for name in names if name in own])

    @classmethod
    def _own_fields(cls) -> set[str]:
        """Names of the fields that are not LlamaIndex's."""
        names = {name for base in cls.__mro__ if issubclass(base, PlatformFields) for name in base.__annotations__}
        return names & cls.model_fields.keys()

    def close(self) -> None:
        """Close the synchronous connections. The object stays usable and opens new ones."""
        self._services.close()

    async def aclose(self) -> None:
        """Close the asynchronous connections of the running event loop."""
        await self._services.aclose()

    def _get_service(self) -> "Service":
        proxy = self.proxy and SecretText(self.proxy)
        headers = SecretHeaders(self.default_headers) if self.default_headers else _NO_HEADERS
        # No variable has the values of the fields: tracebacks may show local variables.
        key = ServiceKey((*self._read_connection(self.__dict__), proxy, headers, *self._guardrails_key))
        return self._service_cache.get(key, self._build_service)

    @property
    def _service_cache(self) -> ServiceCache:
        """`_services` without pydantic's search for a field of this name, which takes longer than the cache."""
        private: Any = self.__pydantic_private__
        cache: ServiceCache = private["_services"]
        return cache

    @property
    def _guardrails_key(self) -> tuple[Any, ...]:
        """What the service depends on beside the connection."""
        return ()

    async def _prepare_service(self) -> None:
        """Build the service in a thread if building it blocks for long."""
        if self.connects_in_thread and not self._service_cache:
            from anyio import to_thread  # noqa: PLC0415  # imported only where it is needed

            await to_thread.run_sync(self._get_service, abandon_on_cancel=True)

    @property
    def _max_resumes(self) -> int:
        """How often an interrupted response is resumed."""
        return 0

    def _build_service(self) -> "Service":
        with scrub_credentials:
            platform, auth = self._connect()
        return mdstream_core.Service(
            platform,
            auth=auth,
            headers=SecretHeaders(self.default_headers or {}),
            timeout=self.timeout,
            retry=mdstream_core.Retry(self.max_retries),
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

    @field_serializer("default_headers")
    def _serialize_headers(self, headers: dict[str, str] | None) -> dict[str, str] | None:
        return headers and dict.fromkeys(headers, HIDDEN)

    def _hidden_fields(self) -> dict[str, Any]:
        """Defaults of the fields that are left out of serialized models: credentials, clients, hooks."""
        fields = type(self).model_fields
        return {name: fields[name].default for name in self._own_fields() if fields[name].exclude}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out credentials: the unpickled object resolves them again. A signer that can do so is included."""
        auth = self.auth if isinstance(self.auth, Signer) else None
        headers = self._serialize_headers(self.default_headers)
        own = {name: getattr(self, name) for name in self._pickled_fields}
        retained = {"auth": auth, "default_headers": headers, "rate_limit": self.rate_limit, **own}
        redacted = self.model_copy(update={**self._hidden_fields(), **retained})
        # LlamaIndex's `__getstate__` removes attributes that cannot be pickled from the object that it is called for.
        return super(ConnectionFields, redacted).__getstate__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared = [getattr(self, name) for name in self._hidden_fields()]
        return super().__deepcopy__({**(memo or {}), **{id(one): one for one in shared}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
