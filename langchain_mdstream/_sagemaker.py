"""Endpoint and authentication fields of Amazon SageMaker."""

import os
from collections.abc import Mapping, Set
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from langchain_mdstream._connection_fields import ConnectionFields, ModelKind
from langchain_mdstream._content_handler_dialect import ContentHandlerChatDialect
from langchain_mdstream._content_handlers import validate_handler
from langchain_mdstream._credentials import reveal_secret
from mdstream_core import (
    SAGEMAKER_ARGUMENTS,
    AsyncInference,
    ContentHandlerDialect,
    ContentHandlerEmbeddingDialect,
    ContentHandlerProtocol,
    Dialect,
    Platform,
    SageMaker,
    Timeout,
    sagemaker_headers,
)
from mdstream_core.auth import UnsignedSigner, aws
from mdstream_core.http import fingerprint
from mdstream_core.options import Auth, AWSAuthType


class SageMakerMixin(ConnectionFields):
    """Endpoint, target and authentication fields of an Amazon SageMaker endpoint."""

    endpoint_name: str = ""
    """Name of the SageMaker endpoint. Required."""

    region_name: str | None = None
    """AWS region, such as `us-east-1`. `None` uses the region of `client`, `boto3_session`, `AWS_REGION`,
    `AWS_DEFAULT_REGION` or the profile."""

    endpoint_url: str | None = None
    """URL of the SageMaker runtime, in place of the one that botocore derives from the region; also accepted as
    `base_url`."""

    content_handler: Any = Field(default=None, repr=False)
    """Object that builds the payload and parses the output: a `LLMContentHandler`, `ChatModelContentHandler` or
    `EmbeddingsContentHandler`. `None` detects the format of the container."""

    endpoint_kwargs: dict[str, Any] | None = None
    """Additional arguments of boto3's `invoke_endpoint`, which fields override. Example: `{"CustomAttributes":
    "accept_eula=true"}`."""

    inference_component_name: str | None = None
    """Name of the inference component, on an endpoint with several."""

    target_model: str | None = None
    """File name of the model on a multi-model endpoint, such as `model-1.tar.gz`."""

    target_variant: str | None = None
    """Name of the production variant, on an endpoint with several."""

    target_container_hostname: str | None = None
    """Hostname of the container, on a multi-container endpoint."""

    session_id: str | None = None
    """Id of a stateful session. `NEW_SESSION` creates one, in requests without streaming only."""

    inference_id: str | None = None
    """Id to store with the requests, if the endpoint captures data."""

    custom_attributes: str | None = None
    """Custom attributes that are passed to the container, at most 1,024 characters."""

    enable_explanations: str | None = None
    """Expression that enables explanations, on an endpoint with an explainer."""

    prefix_aware_id: str | None = None
    """Routing hint for endpoints with `PREFIX_AWARE` routing."""

    async_inference: AsyncInference | None = None
    """Asynchronous inference, for jobs that take longer than 60 s: requests are queued, and the output is read from
    S3. A stream then has its whole output at once. Example: `AsyncInference("s3://my-bucket/inputs", timeout=1800)`."""

    auth: Auth | None = Field(default=None, exclude=True, repr=False)
    """Signer of the requests, in place of AWS credentials: one of `mdstream_core.auth`, or an `httpx.Auth`."""

    auth_type: AWSAuthType | None = None
    """`none` sends unsigned requests. `None` signs them with AWS credentials."""

    credentials_profile_name: str | None = None
    """Profile of `~/.aws/credentials` or `~/.aws/config`."""

    aws_access_key_id: SecretStr | None = None
    """AWS access key id, used with `aws_secret_access_key`. `None` uses botocore's credential chain."""

    aws_secret_access_key: SecretStr | None = None
    """AWS secret access key that belongs to `aws_access_key_id`."""

    aws_session_token: SecretStr | None = None
    """Session token of a temporary AWS access key."""

    boto3_session: Any = Field(default=None, exclude=True, repr=False)
    """`boto3.Session` from which region and credentials are taken."""

    client: Any = Field(default=None, exclude=True, repr=False)
    """boto3 client `sagemaker-runtime` from which region, endpoint and credentials are taken."""

    config: Any = Field(default=None, exclude=True, repr=False)
    """`botocore.config.Config` whose timeouts, retries, region and HTTPS proxy apply where no field sets them."""

    _aws_connection: aws.AWSConnection | None = PrivateAttr(default=None)

    provider_name: ClassVar[str] = "sagemaker"
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }
    header_arguments: ClassVar[Set[str]] = SAGEMAKER_ARGUMENTS
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
        """Translate a botocore config to fields, and drop fields that are empty strings."""
        fields = {name: value for name, value in values.items() if value != "" or name not in _MAY_BE_EMPTY}
        defaults = fields_from_botocore_config(fields["config"]) if fields.get("config") is not None else {}
        return {**fields, **{name: value for name, value in defaults.items() if fields.get(name) is None}}

    @property
    def content_handler_name(self) -> str | None:
        """Class of the content handler with a keyed digest of its attributes; `None` without one."""
        if self.content_handler is None:
            return None
        kind = type(self.content_handler)
        attributes = fingerprint(vars(self.content_handler))  # an attribute may be a key
        summary = f"{', '.join(attributes['names'])}; {attributes['digest']}" if attributes else ""
        return f"{kind.__module__}.{kind.__qualname__}({summary})"

    def _validate_fields(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing (hint: set the name of the SageMaker endpoint)")
        if self.content_handler is not None:
            self._get_content_handler()
        self._create_platform(self.region_name or "us-east-1", self.endpoint_url)

    def _get_content_handler(self) -> ContentHandlerProtocol:
        if self.model_kind not in _HANDLER_DIALECTS:
            raise ValueError(f"content_handler is not supported for {self.model_kind} (hint: set dialect= instead)")
        if self.dialect is not None:
            raise ValueError("content_handler and dialect both set the API format (hint: remove one of them)")
        return validate_handler(self.content_handler)

    def _call_headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        return sagemaker_headers(arguments)

    def _resolve_dialect(self, params: Mapping[str, Any], *, stream: bool) -> Dialect:
        """Return the dialect of the content handler, if there is one."""
        if self.content_handler is None:
            return super()._resolve_dialect(params, stream=stream)
        stop = params.get("stop") or ()
        options = {"stop": self.model_kwargs["stop"]} if "stop" in self.model_kwargs else {}
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        resolved: Dialect = _HANDLER_DIALECTS[self.model_kind](self._get_content_handler(), stops, options, stream)
        return resolved

    def _build_platform(self) -> Platform:
        if self.region_name and self.endpoint_url:
            return self._create_platform(self.region_name, self.endpoint_url)
        connection = self._connect()
        return self._create_platform(connection.region_name, connection.endpoint_url)

    def _build_auth(self) -> Any:
        if self.auth is not None:
            return self.auth
        if self.auth_type is not None and self.auth_type.lower() == "none":
            return UnsignedSigner()
        if self.auth_type is not None or self.api_key is not None:
            raise ValueError(
                "SageMaker requests are signed with AWS credentials "
                "(hint: remove api_key, and auth_type unless it is 'none')"
            )
        return self._connect().signer

    def _create_platform(self, region: str, url: str | None) -> SageMaker:
        target = {"inference_component" if name == _COMPONENT else name: getattr(self, name) for name in _TARGET_FIELDS}
        handler = self.content_handler
        if handler is not None:
            target |= {"content_type": handler.content_type, "accept": handler.accepts, "raw_output": True}
        target["async_inference"] = self.async_inference
        target = {name: value for name, value in target.items() if value is not None}
        return SageMaker(self.endpoint_name, region, url, **{**target, **self._from_boto3_names(target)})

    def _from_boto3_names(self, target: Mapping[str, Any]) -> dict[str, Any]:
        """Translate `endpoint_kwargs` to the names of the platform."""
        arguments = self.endpoint_kwargs or {}
        if unknown := arguments.keys() - _BOTO3_NAMES.keys():
            raise ValueError(
                f"endpoint_kwargs: unknown arguments: {', '.join(sorted(unknown))} "
                f"(hint: use {', '.join(_BOTO3_NAMES)})"
            )
        translated = {_BOTO3_NAMES[name]: value for name, value in arguments.items()}
        return {name: value for name, value in translated.items() if name not in target or name in _HANDLER_FIELDS}

    def _connect(self) -> aws.AWSConnection:
        if self._aws_connection is None:
            uses_environment = self.client is None and self.boto3_session is None
            self._aws_connection = aws.resolve_connection(
                region_name=self.region_name or (os.environ.get("AWS_REGION") if uses_environment else None),
                endpoint_url=self.endpoint_url,
                credentials_profile_name=self.credentials_profile_name,
                aws_access_key_id=reveal_secret(self.aws_access_key_id),
                aws_secret_access_key=reveal_secret(self.aws_secret_access_key),
                aws_session_token=reveal_secret(self.aws_session_token),
                boto3_session=self.boto3_session,
                client=self.client,
            )
        return self._aws_connection


#: The dialect of a content handler, for each kind of model.
_HANDLER_DIALECTS: Mapping[ModelKind, Any] = {
    "chat": ContentHandlerChatDialect,
    "completions": ContentHandlerDialect,
    "embeddings": ContentHandlerEmbeddingDialect,
}

#: Fields that other packages accept as empty strings.
_MAY_BE_EMPTY = frozenset({"region_name", "credentials_profile_name", "endpoint_url"})

_COMPONENT = "inference_component_name"

#: Fields that are sent in the headers of each request.
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

#: Attributes of the handler that boto3's arguments override.
_HANDLER_FIELDS = frozenset({"accept", "content_type"})

#: Arguments of boto3's `invoke_endpoint` (botocore 1.44) and the platform's names, without `EndpointName` and `Body`.
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
    """Translate a `botocore.config.Config` to fields.

    Raises:
        ValueError: An option has no counterpart; the message names it.
    """
    options = dict(getattr(config, "_user_provided_options", None) or {})  # there is no public attribute
    read, connect = options.pop("read_timeout", None), options.pop("connect_timeout", None)
    fields: dict[str, Any] = {}
    if read is not None or connect is not None:
        limits = {"read": read, "connect": connect}
        fields["timeout"] = Timeout(**{name: float(limit) for name, limit in limits.items() if limit is not None})
    if retries := options.pop("retries", None):
        fields["max_retries"] = _max_retries(dict(retries))
    if region := options.pop("region_name", None):
        fields["region_name"] = region
    if proxies := dict(options.pop("proxies", None) or {}):
        fields["proxy"] = proxies.pop("https", None)
        options |= {f"proxies[{name!r}]": value for name, value in proxies.items()}
    if options:
        raise ValueError(
            f"config: unsupported options: {', '.join(sorted(options))} (hint: use read_timeout, connect_timeout, "
            "retries, region_name and proxies['https'])"
        )
    return fields


def _max_retries(retries: dict[str, Any]) -> int:
    """Translate `retries`: `total_max_attempts` counts the first request, `max_attempts` does not."""
    retries.pop("mode", None)  # every mode retries; `Retry` decides when
    total, additional = retries.pop("total_max_attempts", None), retries.pop("max_attempts", None)
    if retries or (total is None and additional is None):
        raise ValueError("config: retries: expected max_attempts or total_max_attempts, and optionally mode")
    return int(total) - 1 if total is not None else int(additional)
