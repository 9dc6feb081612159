"""Base of the platform mixins: authentication fields, aliases, and the platform that a model uses."""

import os
from collections.abc import Mapping, Set
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llama_index.core.schema import BaseComponent
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from mdstream_core.options import OCIAuth

if TYPE_CHECKING:
    from mdstream_core import Platform

#: The kinds of requests, each with an API of its own.
ModelKind = Literal["chat", "completions", "embeddings", "rerank"]


def secret_field(description: str) -> Any:
    """Create a field that is left out of `repr` and of serialized models."""
    return Field(default=None, exclude=True, repr=False, description=description)


def reveal_secret(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


#: The modules of the platform mixins: a model connects again when a field of one changes.
_MIXIN_MODULES = frozenset(
    f"{__package__}.{module}"
    for module in ("_platform_fields", "_oci", "_oci_model_deployment", "_oci_genai", "_sagemaker", "_modelarts")
)


class PlatformFields(BaseModel):
    """Base of the platform mixins: authentication, and the platform's address.

    A mixin stands before the other base classes of a model.
    """

    model_config = ConfigDict(defer_build=True)  # see __pydantic_init_subclass__

    auth: OCIAuth | None = secret_field(
        "Signer of the requests: one of `mdstream_core.auth`, an `httpx.Auth`, or a signer of the platform's SDK (an "
        "`oci` signer, the dictionary of `ads.common.auth`). Default: resolved from the other fields and the "
        "environment."
    )
    auth_type: str | None = Field(
        default=None,
        description="Authentication method of the platform. Default: the first credential that is found.",
    )
    api_key: SecretStr | None = secret_field(
        "API key, sent as a bearer token. Default: the environment variable `MDSTREAM_API_KEY`. Not for SageMaker."
    )

    #: Whether creating the connection blocks for so long that it must not run on the event loop.
    connects_in_thread: ClassVar[bool] = False

    #: Arguments of a call that the platform sends as headers and not in the payload.
    header_arguments: ClassVar[Set[str]] = frozenset()

    #: Names of the fields that the platform and its signer are built from, and a function that reads what a service
    #: depends on from the model's `__dict__`: their values and those of `_connection_fields`, in one operation.
    _address_fields: ClassVar[tuple[str, ...]] = ()
    _connection_fields: ClassVar[tuple[str, ...]] = ()
    _read_connection: ClassVar[Any]

    #: Fields that are left out of serialized models and not of pickles.
    _pickled_fields: ClassVar[tuple[str, ...]] = ()

    #: Default dialect of each kind of request.
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "openai-chat",
        "completions": "openai-completions",
        "embeddings": "openai-embeddings",
        "rerank": "rerank",
    }

    #: Names that other packages use for fields of the platform, and for fields of the model itself.
    _aliases: ClassVar[dict[str, str]] = {"base_url": "endpoint"}
    _other_names: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Build the validators of models at once, and none of their bases: that is a third of the time of an import."""
        super().__pydantic_init_subclass__(**kwargs)
        mixins = [
            base for base in cls.__mro__ if base.__module__ in _MIXIN_MODULES and issubclass(base, PlatformFields)
        ]
        cls._address_fields = tuple({name: None for mixin in mixins for name in mixin.model_fields})
        cls._read_connection = itemgetter(*cls._address_fields, *cls._connection_fields)
        if issubclass(cls, BaseComponent) and mixins != [PlatformFields]:  # of LlamaIndex, and of a platform
            cls.model_rebuild(raise_errors=False)

    @model_validator(mode="before")
    @classmethod
    def _rename_fields(cls, values: Any) -> Any:
        return cls._translate_aliases(values) if isinstance(values, Mapping) else values

    @classmethod
    def _accepted_names(cls) -> dict[str, str]:
        """The names that the constructor accepts, each with the field that it sets."""
        aliases = {name: own for name, own in (cls._aliases | cls._other_names).items() if own in cls.model_fields}
        return aliases | {name: name for name in cls.model_fields}

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rename aliases to field names. An alias beside its field stays, and is rejected as an unknown field."""
        unique = {alias: name for alias, name in cls._accepted_names().items() if name not in values}
        return {unique.get(name, name): value for name, value in values.items()}

    def _validate_fields(self) -> None:
        """Validate the address when the object is created."""
        self._build_platform()

    def _connect(self) -> "tuple[Platform, Any]":
        """Create the platform and its signer. Called when the first request is sent."""
        return self._build_platform(), self._build_auth()

    def _build_platform(self) -> "Platform":
        raise NotImplementedError

    def _build_auth(self) -> Any:
        raise NotImplementedError

    def _call_headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers for arguments of a call that the platform sends as headers (`header_arguments`)."""
        return {}

    def _default_dialect(self, model: str, kind: ModelKind) -> str:
        """Dialect of a request without an explicit one."""
        return self.default_dialects[kind]

    def _bearer_key(self) -> str | None:
        """API key of the field or of the environment."""
        return reveal_secret(self.api_key) or os.environ.get("MDSTREAM_API_KEY")

    def _normalized_auth_type(self) -> str | None:
        return self.auth_type and self.auth_type.strip().lower().replace("-", "_")
