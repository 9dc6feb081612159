"""Endpoint and authentication fields of Amazon SageMaker."""

import os
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

import mdstream_core
from llamaindex_mdstream._aliases import SageMakerAliases
from llamaindex_mdstream._content_handlers import media_types, raw_output, validate_handler
from llamaindex_mdstream._platform_fields import ModelKind, PlatformFields, reveal_secret, secret_field
from mdstream_core import SAGEMAKER_ARGUMENTS, AsyncInference, sagemaker_headers
from mdstream_core._lazy import LazyModule
from mdstream_core.auth import UnsignedSigner
from mdstream_core.options import Auth, AWSAuthType

if TYPE_CHECKING:
    from mdstream_core import Platform, SageMaker
    from mdstream_core.auth import aws
else:
    aws = LazyModule("mdstream_core.auth.aws")

#: Parameter names of `InvokeEndpoint`, as in `endpoint_kwargs` of other packages.
_BOTO3_NAMES = {
    "CustomAttributes": "custom_attributes",
    "EnableExplanations": "enable_explanations",
    "InferenceComponentName": "inference_component_name",
    "InferenceId": "inference_id",
    "PrefixAwareId": "prefix_aware_id",
    "SessionId": "session_id",
    "TargetContainerHostname": "target_container_hostname",
    "TargetModel": "target_model",
    "TargetVariant": "target_variant",
}


class SageMakerMixin(SageMakerAliases, PlatformFields):
    """Endpoint of Amazon SageMaker, and AWS credentials."""

    header_arguments: ClassVar[Set[str]] = SAGEMAKER_ARGUMENTS
    connects_in_thread: ClassVar[bool] = True  # botocore reads its service models
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }

    auth: Auth | None = secret_field(
        "Signer of the requests, instead of AWS credentials: one of `mdstream_core.auth`, or an `httpx.Auth`."
    )
    auth_type: AWSAuthType | None = Field(
        default=None, description="`none` sends unsigned requests. Default: requests are signed with AWS credentials."
    )
    endpoint_name: str = Field(description="Name of the endpoint, not its ARN.")
    region_name: str | None = Field(
        default=None,
        description="AWS region, such as `us-east-1`. Default: the region of `client` or `boto3_session`, else "
        "`AWS_REGION`, `AWS_DEFAULT_REGION` or the profile's.",
    )
    endpoint_url: str | None = Field(
        default=None, description="URL of the SageMaker runtime, such as a VPC endpoint. Default: the region's."
    )
    inference_component_name: str | None = Field(
        default=None, description="Name of the inference component, for an endpoint with several."
    )
    target_model: str | None = Field(
        default=None, description="File of the model on a multi-model endpoint, such as `model-a.tar.gz`."
    )
    target_variant: str | None = Field(
        default=None, description="Name of the production variant, for an endpoint with several."
    )
    target_container_hostname: str | None = Field(
        default=None, description="Host name of the container on a multi-container endpoint."
    )
    session_id: str | None = Field(default=None, description="Id of a stateful session.")
    inference_id: str | None = Field(default=None, description="Id of your own that is recorded with the request.")
    custom_attributes: str | None = Field(
        default=None,
        description="Text that is passed on to the container, such as `accept_eula=true`. At most 1,024 characters.",
    )
    enable_explanations: str | None = Field(
        default=None,
        description="Value of `EnableExplanations` for an endpoint with an explainer. Not sent with streams.",
    )
    prefix_aware_id: str | None = Field(
        default=None, description="Routing hint for endpoints with `PREFIX_AWARE` routing. At most 64 characters."
    )
    async_inference: AsyncInference | None = Field(
        default=None,
        description="Asynchronous inference, for jobs that take longer than 60 s: requests are queued, and the output "
        "is read from S3, such as `AsyncInference('s3://my-bucket/inputs', timeout=1800)`. A stream then has its whole "
        "output at once.",
    )
    content_handler: Any = secret_field(
        "Object that builds the payload and parses the output, as in LlamaIndex's own SageMaker packages: it has "
        "`content_type`, `accept`, `serialize_input`, `deserialize_output`, and for streams "
        "`deserialize_streaming_output`, which receives each payload part. An LLM with a handler sends prompts, not "
        "messages. Default: the format of the container is detected."
    )
    profile_name: str | None = Field(
        default=None, description="Profile of `~/.aws`. `credentials_profile_name` is an alias. Default: `AWS_PROFILE`."
    )
    aws_access_key_id: SecretStr | None = secret_field(
        "AWS access key id, with `aws_secret_access_key`. Default: botocore's credential chain."
    )
    aws_secret_access_key: SecretStr | None = secret_field("Secret of the AWS access key.")
    aws_session_token: SecretStr | None = secret_field("Session token of a temporary AWS access key.")
    boto3_session: Any = secret_field("A `boto3.Session`: the source of region and credentials.")
    client: Any = secret_field("A boto3 client `sagemaker-runtime`: the source of region, endpoint and credentials.")

    _pickled_fields: ClassVar[tuple[str, ...]] = ("content_handler",)
    _aliases: ClassVar[dict[str, str]] = {
        "base_url": "endpoint_url",
        "aws_region_name": "region_name",
        "credentials_profile_name": "profile_name",
        "model_kwargs": "additional_kwargs",
        **_BOTO3_NAMES,
    }

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate aliases, and the parameters inside of `endpoint_kwargs`."""
        others = {name: value for name, value in values.items() if name != "endpoint_kwargs"}
        if values.get("content_handler") is not None and "is_chat_model" in cls.model_fields:
            others = {"is_chat_model": False, "is_function_calling_model": False, **others}
        return super()._translate_aliases({**(values.get("endpoint_kwargs") or {}), **others})

    def _validate_fields(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing (hint: set the name of the SageMaker endpoint)")
        if self.api_key or self._normalized_auth_type() not in {None, "none"}:
            raise ValueError(
                "SageMaker requests are signed with AWS credentials "
                "(hint: remove api_key, and auth_type unless it is 'none')"
            )
        if self.content_handler is not None:
            self._validate_handler()
        self._create_platform(self.region_name or "us-east-1", self.endpoint_url)

    def _validate_handler(self) -> None:
        validate_handler(self.content_handler)
        if getattr(self, "dialect", None) is not None:
            raise ValueError("content_handler and dialect both set the API format (hint: remove one of them)")
        if getattr(self, "is_chat_model", False):
            raise ValueError("content_handler sends prompts (hint: remove is_chat_model=True)")

    def _connect(self) -> "tuple[Platform, Any]":
        auth = UnsignedSigner() if self.auth is None and self._normalized_auth_type() == "none" else self.auth
        if auth is not None and self.endpoint_url:
            return self._create_platform(self.region_name, self.endpoint_url), auth
        uses_environment = self.client is None and self.boto3_session is None
        connection = aws.resolve_connection(
            region_name=self.region_name or (os.environ.get("AWS_REGION") if uses_environment else None),
            endpoint_url=self.endpoint_url,
            credentials_profile_name=self.profile_name,
            aws_access_key_id=reveal_secret(self.aws_access_key_id),
            aws_secret_access_key=reveal_secret(self.aws_secret_access_key),
            aws_session_token=reveal_secret(self.aws_session_token),
            boto3_session=self.boto3_session,
            client=self.client,
        )
        platform = self._create_platform(connection.region_name, connection.endpoint_url)
        return platform, connection.signer if auth is None else auth

    def _call_headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        return sagemaker_headers(arguments)

    def _create_platform(self, region: str | None, url: str | None) -> "SageMaker":
        return mdstream_core.SageMaker(
            self.endpoint_name,
            region,
            url,
            inference_component=self.inference_component_name,
            target_model=self.target_model,
            target_variant=self.target_variant,
            target_container_hostname=self.target_container_hostname,
            session_id=self.session_id,
            inference_id=self.inference_id,
            custom_attributes=self.custom_attributes,
            enable_explanations=self.enable_explanations,
            prefix_aware_id=self.prefix_aware_id,
            async_inference=self.async_inference,
            raw_output=raw_output(self.content_handler),
            **media_types(self.content_handler),
        )
