"""Where models are on Amazon SageMaker, and who signs: the fields that say it."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from langchain_mdstream._connection_fields import ConnectionFields, ModelKind, reveal_secret
from langchain_mdstream._content_handler_dialect import (
    ContentHandlerChatDialect,
    ContentHandlerDialect,
    ContentHandlerEmbeddingDialect,
)
from langchain_mdstream._content_handlers import ContentHandlerProtocol, validate_handler
from mdstream_core import Dialect, Platform, SageMaker, Timeout
from mdstream_core.auth import UnsignedSigner, aws
from mdstream_core.http import fingerprint
from mdstream_core.options import Auth, AWSAuthType


class SageMakerMixin(ConnectionFields):
    """Which endpoint of Amazon SageMaker, and who signs for it."""

    endpoint_name: str = ""
    """The endpoint's name."""

    region_name: str | None = None
    """Such as `us-east-1`; by default of client, session, `AWS_REGION`, `AWS_DEFAULT_REGION` or profile."""

    endpoint_url: str | None = None
    """The runtime's URL, where it is not the one of botocore's rules; also accepted as `base_url`."""

    content_handler: Any = Field(default=None, repr=False)
    """Your own code that writes the request's body and reads its answer; see `LLMContentHandler`,
    `ChatModelContentHandler`, `EmbeddingsContentHandler`. By default the container's format is found out."""

    endpoint_kwargs: dict[str, Any] | None = None
    """Arguments of boto3's `invoke_endpoint`, such as `CustomAttributes`; fields that are given go first."""

    inference_component_name: str | None = None
    """Of several components on the endpoint, the one to ask."""

    target_model: str | None = None
    """Of a multi-model endpoint, the model's file."""

    target_variant: str | None = None
    """Of several production variants, the one to ask."""

    target_container_hostname: str | None = None
    """Of several containers, the one to ask."""

    session_id: str | None = None
    """A stateful session."""

    inference_id: str | None = None
    """Your id of the requests."""

    custom_attributes: str | None = None
    """Up to 1,024 characters that reach the container."""

    enable_explanations: str | None = None
    """For an endpoint with an explainer."""

    prefix_aware_id: str | None = None
    """A routing hint."""

    auth: Auth | None = Field(default=None, exclude=True, repr=False)
    """A signer of `mdstream_core.auth`, or an `httpx.Auth`, instead of AWS credentials."""

    auth_type: AWSAuthType | None = None
    """`none` sends unsigned requests; by default they are signed with AWS credentials."""

    credentials_profile_name: str | None = None
    """A profile of `~/.aws`."""

    aws_access_key_id: SecretStr | None = None
    """A key, with its secret, and its token if it is temporary; by default botocore's chain is searched."""

    aws_secret_access_key: SecretStr | None = None
    """The key's secret."""

    aws_session_token: SecretStr | None = None
    """The token of a temporary key."""

    boto3_session: Any = Field(default=None, exclude=True, repr=False)
    """A `boto3.Session` as the source of region and credentials."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """A boto3 client `sagemaker-runtime` as the source of region, endpoint and credentials."""

    config: Any = Field(default=None, exclude=True, repr=False)
    """A `botocore.config.Config`: its timeouts, retries, region and HTTPS proxy apply where no field sets them."""

    _aws_connection: aws.AWSConnection | None = PrivateAttr(default=None)

    provider_name: ClassVar[str] = "sagemaker"
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }
    connects_in_thread: ClassVar[bool] = True  # botocore loads its models
    address_fields: ClassVar[tuple[str, ...]] = (
        "endpoint_name",
        "region_name",
        "endpoint_url",
        "inference_component_name",
        "target_model",
        "target_variant",
        "target_container_hostname",
        "session_id",
        "custom_attributes",
        "enable_explanations",
        "endpoint_kwargs",
        "content_handler_name",
    )
    platform_aliases: ClassVar[Mapping[str, str]] = {"base_url": "endpoint_url"}
    accepts_bearer_key: ClassVar[bool] = False
    secret_variables: ClassVar[Mapping[str, str]] = {
        "api_key": "MDSTREAM_API_KEY",
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "aws_session_token": "AWS_SESSION_TOKEN",
    }

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Options of a botocore config under our names; empty names are none."""
        said = {name: value for name, value in values.items() if value != "" or name not in _MAY_BE_EMPTY}
        told = fields_from_botocore_config(said["config"]) if said.get("config") is not None else {}
        return {**said, **{name: value for name, value in told.items() if said.get(name) is None}}

    @property
    def content_handler_name(self) -> str | None:
        """The content handler, if there is one: its class, and a keyed digest of what it was made with."""
        if self.content_handler is None:
            return None
        kind = type(self.content_handler)
        made = fingerprint(vars(self.content_handler))  # it may hold a key
        words = f"{', '.join(made['names'])}; {made['digest']}" if made else ""
        return f"{kind.__module__}.{kind.__qualname__}({words})"

    def _validate_fields(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing: give the name of the SageMaker endpoint")
        if self.content_handler is not None:
            self._get_content_handler()
        self._at(self.region_name or "us-east-1", self.endpoint_url)

    def _get_content_handler(self) -> ContentHandlerProtocol:
        if self.model_kind not in _HANDLER_DIALECTS:
            raise ValueError(f"content_handler: there is none for {self.model_kind}; say its format with dialect=")
        if self.dialect is not None:
            raise ValueError("content_handler and dialect both say what is spoken: drop one of them")
        return validate_handler(self.content_handler)

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> Dialect:
        """The content handler's words, where there is one."""
        if self.content_handler is None:
            return super()._resolve_dialect(params, stream=stream)
        stop = params.get("stop") or ()
        options = {"stop": self.model_kwargs["stop"]} if "stop" in self.model_kwargs else {}
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        handled: Dialect = _HANDLER_DIALECTS[self.model_kind](self._get_content_handler(), stops, options, stream)
        return handled

    def _build_platform(self) -> Platform:
        if self.region_name and self.endpoint_url:
            return self._at(self.region_name, self.endpoint_url)
        found = self._connect()
        return self._at(found.region_name, found.endpoint_url)

    def _build_auth(self) -> Any:
        if self.auth is not None:
            return self.auth
        if self.auth_type is not None and self.auth_type.lower() == "none":
            return UnsignedSigner()
        if self.auth_type is not None or self.api_key is not None:
            raise ValueError(
                "SageMaker is signed for with AWS credentials: drop api_key, and auth_type unless it is 'none'"
            )
        return self._connect().signer

    def _at(self, region: str, url: str | None) -> SageMaker:
        said = {"inference_component" if name == _COMPONENT else name: getattr(self, name) for name in _TARGET_FIELDS}
        handler = self.content_handler
        if handler is not None:
            said |= {"content_type": handler.content_type, "accept": handler.accepts, "raw_output": True}
        given = {name: value for name, value in said.items() if value is not None}
        return SageMaker(self.endpoint_name, region, url, **{**given, **self._from_boto3_names(given)})

    def _from_boto3_names(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `endpoint_kwargs` says, under the platform's names."""
        asked = self.endpoint_kwargs or {}
        if unknown := asked.keys() - _BOTO3_NAMES.keys():
            raise ValueError(
                f"endpoint_kwargs: unknown arguments: {', '.join(sorted(unknown))} "
                f"(hint: known are {', '.join(_BOTO3_NAMES)})"
            )
        named = {_BOTO3_NAMES[name]: value for name, value in asked.items()}
        return {name: value for name, value in named.items() if name not in given or name in _HANDLER_FIELDS}

    def _connect(self) -> aws.AWSConnection:
        if self._aws_connection is None:
            alone = self.client is None and self.boto3_session is None
            self._aws_connection = aws.resolve_connection(
                region_name=self.region_name or (os.environ.get("AWS_REGION") if alone else None),
                endpoint_url=self.endpoint_url,
                credentials_profile_name=self.credentials_profile_name,
                aws_access_key_id=reveal_secret(self.aws_access_key_id),
                aws_secret_access_key=reveal_secret(self.aws_secret_access_key),
                aws_session_token=reveal_secret(self.aws_session_token),
                boto3_session=self.boto3_session,
                client=self.client,
            )
        return self._aws_connection


#: The dialect of a content handler, for each kind of question.
_HANDLER_DIALECTS: Mapping[ModelKind, Any] = {
    "chat": ContentHandlerChatDialect,
    "completions": ContentHandlerDialect,
    "embeddings": ContentHandlerEmbeddingDialect,
}

#: Names that other packages take for absent where they are empty.
_MAY_BE_EMPTY = frozenset({"region_name", "credentials_profile_name", "endpoint_url"})

_COMPONENT = "inference_component_name"

#: Fields that go into each request's headers.
_TARGET_FIELDS = (
    _COMPONENT,
    "target_model",
    "target_variant",
    "target_container_hostname",
    "session_id",
    "inference_id",
    "custom_attributes",
    "enable_explanations",
    "prefix_aware_id",
)

#: What the handler says of its bodies, and boto3's arguments may say otherwise.
_HANDLER_FIELDS = frozenset({"accept", "content_type"})

#: boto3's arguments of `invoke_endpoint` (botocore 1.44) by our names, without the endpoint's name and the body.
_BOTO3_NAMES = {
    "CustomAttributes": "custom_attributes",
    "InferenceComponentName": "inference_component",
    "TargetModel": "target_model",
    "TargetVariant": "target_variant",
    "TargetContainerHostname": "target_container_hostname",
    "InferenceId": "inference_id",
    "SessionId": "session_id",
    "EnableExplanations": "enable_explanations",
    "PrefixAwareId": "prefix_aware_id",
    "Accept": "accept",
    "ContentType": "content_type",
}


def fields_from_botocore_config(config: Any) -> dict[str, Any]:
    """What a `botocore.config.ConfigFields` says, as our fields. `ValueError` names what has no counterpart."""
    said = dict(getattr(config, "_user_provided_options", None) or {})  # there is no public way
    reading, connecting = said.pop("read_timeout", None), said.pop("connect_timeout", None)
    fields: dict[str, Any] = {}
    if reading is not None or connecting is not None:
        limits = {"read": reading, "connect": connecting}
        fields["timeout"] = Timeout(**{name: float(limit) for name, limit in limits.items() if limit is not None})
    if retries := said.pop("retries", None):
        fields["max_retries"] = _max_retries(dict(retries))
    if region := said.pop("region_name", None):
        fields["region_name"] = region
    if proxies := dict(said.pop("proxies", None) or {}):
        fields["proxy"] = proxies.pop("https", None)
        said |= {f"proxies[{name!r}]": value for name, value in proxies.items()}
    if said:
        raise ValueError(
            f"config: {', '.join(sorted(said))} has no counterpart here; known are read_timeout, connect_timeout, "
            "retries, region_name and proxies['https']"
        )
    return fields


def _max_retries(said: dict[str, Any]) -> int:
    """`total_max_attempts` counts the first request, `max_attempts` does not."""
    said.pop("mode", None)  # all modes ask again; when and how long after is ours
    total, more = said.pop("total_max_attempts", None), said.pop("max_attempts", None)
    if said or (total is None and more is None):
        raise ValueError("config: retries needs max_attempts or total_max_attempts, and takes a mode")
    return int(total) - 1 if total is not None else int(more)
