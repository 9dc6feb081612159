"""Types of the options that models of both frameworks take: an editor completes the names, and a wrong one is an error.

Each accepts its names in any case, with `-` or `_`:

>>> from pydantic import TypeAdapter
>>> TypeAdapter(OCIAuthType).validate_python("SESSION-TOKEN")
'session_token'
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, get_args

from pydantic import BaseModel, BeforeValidator, PlainValidator
from pydantic_core import PydanticKnownError

from mdstream_core._choices import find_choice
from mdstream_core.auth._names import HuaweiAuthTypeName, OCIAuthTypeName
from mdstream_core.dialects._names import EmbeddingDialectName, GenerationDialectName, RerankDialectName, SendReasoning

if TYPE_CHECKING:
    import httpx

    from mdstream_core.auth import Signer
    from mdstream_core.hooks import Hook
    from mdstream_core.rate_limit import RateLimit

__all__ = [
    "APIFormat",
    "AWSAuthType",
    "Alias",
    "AsyncHTTPClient",
    "Auth",
    "EmbeddingDialect",
    "GenerationDialect",
    "HTTPClient",
    "HookOption",
    "HuaweiAuthType",
    "ModelFamily",
    "OCIAuth",
    "OCIAuthType",
    "RateLimitOption",
    "RerankDialect",
    "SendReasoning",
    "list_changed_fields",
    "validate_instance",
]


def list_changed_fields(model: BaseModel, names: Iterable[str]) -> list[tuple[str, Any]]:
    """List the fields of a model that differ from their defaults, without those with `repr=False`.

    A model that is being validated may not have all of its fields yet.
    """
    fields = {name: type(model).model_fields[name] for name in names if name in model.__dict__}
    values = {name: model.__dict__[name] for name, field in fields.items() if field.repr}
    return [
        (name, value) for name, value in values.items() if value != fields[name].get_default(call_default_factory=True)
    ]


class Alias:
    """Attribute of a model under the name that other packages use for one of its fields; it can be read only.

    The model's `_accepted_names()` maps the names to fields.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type) -> Any:
        if model is None:
            return self
        field = model._accepted_names().get(self._name)
        if field not in type(model).model_fields:  # SageMaker's `base_url` is `endpoint_url`; some have none
            raise AttributeError(f"{type(model).__name__!r} object has no attribute {self._name!r}")
        return getattr(model, field)


def validate_instance(model: type[BaseModel], value: Any) -> BaseModel:
    """Validate the value of a field whose class is imported only if the field is set: an instance, or its fields.

    Raises:
        PydanticKnownError: It is neither; pydantic reports it like any other.
    """
    if isinstance(value, model):
        return value
    if isinstance(value, Mapping):
        return model(**value)
    raise PydanticKnownError("model_type", {"class_name": model.__name__})


def _create_validator(field: str, choices: Any) -> BeforeValidator:
    """Create the validator of a field that takes a name of a `Literal`, in any case, with `-` or `_`."""
    return BeforeValidator(partial(find_choice, field, choices=get_args(choices)))


_APIFormatName = Literal["GENERIC", "COHERE", "COHEREV2"]
_FamilyName = Literal["cohere", "google", "openai", "meta", "generic"]

#: `auth_type` of Oracle's services; see `mdstream_core.auth.oci.resolve_signer`.
OCIAuthType = Annotated[OCIAuthTypeName, _create_validator("auth_type", OCIAuthTypeName)]

#: `auth_type` of Huawei ModelArts; see `mdstream_core.auth.huawei.resolve_signer`.
HuaweiAuthType = Annotated[HuaweiAuthTypeName, _create_validator("auth_type", HuaweiAuthTypeName)]

#: `auth_type` of Amazon SageMaker: requests are signed with AWS credentials, or not at all.
AWSAuthType = Annotated[Literal["none"], _create_validator("auth_type", Literal["none"])]

#: `api_format` of OCI Generative AI: the format of native chat requests.
APIFormat = Annotated[_APIFormatName, _create_validator("api_format", _APIFormatName)]

#: `family` of OCI Generative AI: whose model it is, where the model's name does not show it.
ModelFamily = Annotated[_FamilyName, _create_validator("family", _FamilyName)]

#: `dialect` of chat and completion models.
GenerationDialect = Annotated[GenerationDialectName, _create_validator("dialect", GenerationDialectName)]

#: `dialect` of embeddings.
EmbeddingDialect = Annotated[EmbeddingDialectName, _create_validator("dialect", EmbeddingDialectName)]

#: `dialect` of rerankers.
RerankDialect = Annotated[RerankDialectName, _create_validator("dialect", RerankDialectName)]

if TYPE_CHECKING:

    class _SDKSigner(Protocol):
        """A signer of the `oci` SDK."""

        def do_request_sign(self, request: Any, /) -> Any: ...

    #: `auth` of every platform: a signer of `mdstream_core.auth`, or an `httpx.Auth`.
    Auth = Signer | httpx.Auth

    #: `auth` of Oracle's services: also a signer of the `oci` SDK, the dict of `ads.common.auth.default_signer()`, or a
    #: function that signs a prepared request.
    OCIAuth = Auth | _SDKSigner | Mapping[str, Any] | Callable[[Any], Any]

    #: `http_client`: an `httpx.Client`, best one of `mdstream_core.transport.http_client()`, which shows trailers.
    HTTPClient = httpx.Client

    #: `http_async_client`: the same for asynchronous calls.
    AsyncHTTPClient = httpx.AsyncClient
    #: `rate_limit`: the limit that each request acquires before it is sent.
    RateLimitOption = RateLimit

    #: `hooks`: a callable that receives the events of calls, or a `CallHook`.
    HookOption = Hook
else:  # the signers and clients check these objects themselves, by their shape: httpx2 and SDKs need not be installed
    Auth = OCIAuth = HTTPClient = AsyncHTTPClient = Any

    def _check_rate_limit(value: Any) -> Any:
        from mdstream_core.rate_limit import RateLimit  # noqa: PLC0415  # imported only if there is one

        if not isinstance(value, RateLimit):
            raise PydanticKnownError("is_instance_of", {"class": "RateLimit"})
        return value

    def _check_hook(value: Any) -> Any:
        if not callable(value) and not callable(getattr(value, "start_call", None)):
            raise PydanticKnownError("callable_type")
        return value

    RateLimitOption = Annotated[Any, PlainValidator(_check_rate_limit)]
    HookOption = Annotated[Any, PlainValidator(_check_hook)]
