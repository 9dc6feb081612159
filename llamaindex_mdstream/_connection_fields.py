"""Connections: fields of everything of ours that asks a service, its service, and its copies."""

import asyncio
from typing import TYPE_CHECKING, Any, Self

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

from llamaindex_mdstream._aliases import ConnectionAliases
from llamaindex_mdstream._platforms import PlatformFields
from llamaindex_mdstream._service_cache import ServiceCache, ServiceKey
from mdstream_core import Retry, Service, Timeout
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
from mdstream_core.options import AsyncHTTPClient, HTTPClient, changed_fields


class ConnectionFields(ConnectionAliases, PlatformFields):
    """An object that asks a service. Mixed in before core's own base classes."""

    # A misspelt field is an error, and an error shows no field: it may be a credential.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    dialect: str | None = Field(
        default=None, description="What the endpoint speaks; default: what the models there do."
    )
    timeout: float | Timeout | None = Field(
        default=None,
        description="The longest silence in seconds, or a mdstream_core.Timeout; default: the platform's own limits.",
    )
    max_retries: int = Field(default=2, ge=0, description="How often to ask again, before the first token; 0: never.")
    default_headers: dict[str, str] | None = Field(
        default=None, repr=False, description="Further headers of each request; values are neither shown nor saved."
    )
    extra_body: dict[str, Any] | None = Field(default=None, description="Merged into each question as it is.")
    http_client: HTTPClient | None = Field(
        default=None, exclude=True, repr=False, description="An httpx.Client of your own."
    )
    http_async_client: AsyncHTTPClient | None = Field(
        default=None, exclude=True, repr=False, description="An httpx.AsyncClient."
    )
    verify: bool | str = Field(default=True, description="TLS: False trusts everybody, a string names a CA file.")
    proxy: str | None = Field(default=None, exclude=True, repr=False, description="The proxy's URL.")
    trust_env: bool = Field(default=True, description="Whether HTTPS_PROXY and the like count.")
    hooks: tuple[Hook, ...] = Field(default=(), exclude=True, repr=False, description="Told of each attempt.")

    _services: ServiceCache = PrivateAttr(default_factory=ServiceCache)

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

    @field_validator("default_headers", mode="before")
    @classmethod
    def _sendable_headers(cls, headers: Any) -> Any:
        return None if headers is None else dict(sendable_headers("default_headers", headers))

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        """A wrong character in a credential is told where it is written."""
        check_proxy("proxy", self.proxy)
        given = {
            name: getattr(self, name) for name in self._address_fields if name != "password"
        }  # that is sent in a body
        for name, value in given.items():
            if isinstance(value, SecretStr):
                check_sendable(name, value.get_secret_value())
        return self

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Where the model is, its name, and what was changed: without core's own fields, in one line."""
        own = {
            name
            for kind in type(self).__mro__
            if kind.__module__.startswith("llamaindex_mdstream.")
            for name in kind.__annotations__
        }
        names = dict.fromkeys(["endpoint", "endpoint_name", "model", "model_name", *type(self).model_fields])
        return changed_fields(self, [name for name in names if name in own and name in type(self).model_fields])

    def close(self) -> None:
        """Close the synchronous connections. The object can still be used; it opens new ones."""
        self._services.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._services.aclose()

    def _get_service(self) -> Service:
        proxy = self.proxy and SecretText(self.proxy)
        connection = (self.http_client, self.http_async_client, self.verify, proxy, self.trust_env)
        manners = (self.timeout, self.max_retries, SecretHeaders(self.default_headers or {}), self.hooks)
        place = (
            getattr(self, name) for name in self._address_fields
        )  # not as a list: locals are shown with tracebacks
        return self._services.get(ServiceKey((*place, *connection, *manners)), self._build_service)

    async def _prepare_service(self) -> None:
        """Build the service off the event loop, where that takes long."""
        if self.connects_in_thread and not self._services:
            await asyncio.to_thread(self._get_service)

    @property
    def _max_resumes(self) -> int:
        """How many times an answer that broke is gone on with."""
        return 0

    def _build_service(self) -> Service:
        with scrub_credentials:
            platform, auth = self._connect()
        return Service(
            platform,
            auth=auth,
            headers=SecretHeaders(self.default_headers or {}),
            timeout=self.timeout,
            retry=Retry(self.max_retries),
            hooks=self.hooks,
            resume=self._max_resumes,
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
        """The fields that are neither shown nor saved, and their defaults: credentials, clients, hooks."""
        fields = type(self).model_fields
        ours = {
            name for kind in type(self).__mro__ if issubclass(kind, PlatformFields) for name in kind.__annotations__
        }
        return {name: fields[name].default for name in ours & fields.keys() if fields[name].exclude}

    def __getstate__(self) -> dict[str, Any]:
        """Without credentials: the other side finds them as a new object does. A signer that can find its key stays."""
        auth = self.auth if isinstance(self.auth, Signer) else None
        headers = self._serialize_headers(self.default_headers)
        shown = self.model_copy(update={**self._hidden_fields(), "auth": auth, "default_headers": headers})
        return super(
            ConnectionFields, shown
        ).__getstate__()  # core's own, which removes what cannot be pickled from `self`

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
