"""Where models are: one mixin for each platform, with the fields that say where to ask and who signs."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from langchain_mdstream._endpoint import Endpoint, Kind
from mdstream_core import (
    ModelArts,
    OCIGenerativeAI,
    OCIModelDeployment,
    Platform,
    SageMaker,
    dialect,
    oci_dialect_name,
)
from mdstream_core.auth import Unsigned, aws, huawei, oci


class _SignedByOCI(Endpoint):
    """Who signs for Oracle's services."""

    auth_profile: str | None = None
    """The profile of the OCI configuration file."""

    auth_file_location: str | None = None
    """The OCI configuration file; `~/.oci/config` where it is `None`."""

    def _auth(self) -> Any:
        return oci.signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=_shown(self.api_key),
        )


class OnOCIModelDeployment(_SignedByOCI):
    """Where an OCI Data Science model deployment is."""

    model: str = "odsc-llm"
    """The served model's name; also accepted as `model_name`. AQUA's containers call it `odsc-llm`."""

    endpoint: str = Field(default_factory=lambda: os.environ.get("OCI_LLM_ENDPOINT", ""))
    """The deployment's URL with or without `/predict…`, or its OCID; `OCI_LLM_ENDPOINT` where it is not given."""

    region: str | None = None
    """For a bare OCID whose own region is not meant."""

    route: str | None = None
    """The container's path; by default the one of the dialect, `""` for the deployment's own setting."""

    provider: ClassVar[str] = "oci_model_deployment"
    place: ClassVar[tuple[str, ...]] = ("endpoint", "region", "route")

    def _platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError(
                "endpoint is missing: give endpoint='https://modeldeployment.<region>.oci.customer-oci.com/<ocid>' "
                "or set OCI_LLM_ENDPOINT"
            )
        return OCIModelDeployment(self.endpoint, self.region, self.route)


class OnOCIGenerativeAI(_SignedByOCI):
    """Which model of OCI Generative AI, in which region and compartment."""

    compartment_id: str | None = None
    """OCID of the compartment that pays; needed but for bearer keys on the OpenAI-compatible base."""

    region: str | None = None
    """Such as `us-chicago-1`."""

    service_endpoint: str | None = None
    """The service's URL instead of the region's."""

    api_format: str | None = None
    """`GENERIC`, `COHERE` or `COHEREV2`; by default what the model's name says. With `dialect="openai-chat"` the
    service's OpenAI-compatible base is asked instead."""

    openai_base: str = "/openai/v1"
    """Where OpenAI's requests go; the older base is `/20231130/actions/v1`."""

    provider: ClassVar[str] = "oci_generative_ai"
    speaks: ClassVar[Mapping[Kind, str]] = {
        "completions": "oci-generate-text-cohere",
        "embeddings": "oci-embed-text",
        "rerank": "oci-rerank-text",
    }
    place: ClassVar[tuple[str, ...]] = ("compartment_id", "region", "service_endpoint", "api_format", "openai_base")

    def _platform(self) -> Platform:
        if not self.model:
            raise ValueError(
                "model is missing: give a model's name such as 'xai.grok-4', or a dedicated endpoint's OCID"
            )
        return OCIGenerativeAI(
            self.compartment_id,
            self.model,
            self.region,
            self.service_endpoint,
            openai_base=self.openai_base,
        )

    def _checks(self) -> None:
        spoken = dialect(self.dialect or self._speaks(self.model))
        self._platform().envelope(spoken.route, {})  # tells a missing compartment

    def _speaks(self, model: str) -> str:
        if self.kind == "chat":
            return oci_dialect_name(model, self.api_format)
        if self.kind == "completions" and model.startswith("meta."):
            return "oci-generate-text-llama"
        return self.speaks[self.kind]


class OnSageMaker(Endpoint):
    """Which endpoint of Amazon SageMaker, and who signs for it."""

    endpoint_name: str = ""
    """The endpoint's name."""

    region_name: str | None = None
    """Such as `us-east-1`; by default the client's, the session's, the profile's or `AWS_DEFAULT_REGION`."""

    endpoint_url: str | None = None
    """The runtime's URL, where it is not the one of botocore's rules."""

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

    _found: aws.Connection | None = PrivateAttr(default=None)

    provider: ClassVar[str] = "sagemaker"
    speaks: ClassVar[Mapping[Kind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }
    slow_to_connect: ClassVar[bool] = True  # botocore loads its models
    place: ClassVar[tuple[str, ...]] = (
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
    )
    takes_bearer_key: ClassVar[bool] = False
    secrets: ClassVar[Mapping[str, str]] = {
        "api_key": "MDSTREAM_API_KEY",
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "aws_session_token": "AWS_SESSION_TOKEN",
    }

    def _checks(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing: give the name of the SageMaker endpoint")
        self._at(self.region_name or "us-east-1", self.endpoint_url)

    def _platform(self) -> Platform:
        if self.region_name and self.endpoint_url:
            return self._at(self.region_name, self.endpoint_url)
        found = self._connection()
        return self._at(found.region_name, found.endpoint_url)

    def _auth(self) -> Any:
        if self.auth is not None:
            return self.auth
        if self.auth_type is not None and self.auth_type.lower() == "none":
            return Unsigned()
        if self.auth_type is not None or self.api_key is not None:
            raise ValueError(
                "SageMaker is signed for with AWS credentials: drop api_key, and auth_type unless it is 'none'"
            )
        return self._connection().signer

    def _at(self, region: str, url: str | None) -> SageMaker:
        return SageMaker(
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
        )

    def _connection(self) -> aws.Connection:
        if self._found is None:
            self._found = aws.connect(
                region_name=self.region_name,
                endpoint_url=self.endpoint_url,
                credentials_profile_name=self.credentials_profile_name,
                aws_access_key_id=_shown(self.aws_access_key_id),
                aws_secret_access_key=_shown(self.aws_secret_access_key),
                aws_session_token=_shown(self.aws_session_token),
                boto3_session=self.boto3_session,
                client=self.client,
            )
        return self._found


class OnModelArts(Endpoint):
    """Which service of Huawei ModelArts or MaaS, and who signs for it."""

    endpoint: str = ""
    """The service's address as the console shows it, or MaaS's base; with `wss://` it is asked over a WebSocket."""

    route: str | None = None
    """The image's path behind the address; by default the one of the dialect."""

    token: SecretStr | None = None
    """An IAM token."""

    user: str | None = None
    """With `password`, `domain` and `project`: fetches an IAM token, and fetches it again before it expires."""

    password: SecretStr | None = None
    """The user's password."""

    domain: str | None = None
    """The account's name."""

    project: str | None = None
    """The project's name, such as `cn-north-4`."""

    iam_endpoint: str | None = None
    """IAM's address, where it is not that of the project's region."""

    ak: SecretStr | None = None
    """An access key, with `sk`."""

    sk: SecretStr | None = None
    """The access key's secret."""

    security_token: SecretStr | None = None
    """The token of a temporary access key."""

    project_id: str | None = None
    """The project's id, sent beside an access key's signature."""

    app_code: SecretStr | None = None
    """The AppCode of App authentication."""

    app_key: SecretStr | None = None
    """The key of App authentication, with `app_secret`."""

    app_secret: SecretStr | None = None
    """The key's secret."""

    bare_api_key: bool = False
    """Whether `api_key` is sent without the word Bearer."""

    provider: ClassVar[str] = "modelarts"
    place: ClassVar[tuple[str, ...]] = ("endpoint", "route")
    takes_bearer_key: ClassVar[bool] = False  # the signer looks for Huawei's own variables
    secrets: ClassVar[Mapping[str, str]] = {
        "api_key": "MODELARTS_API_KEY",
        "token": "MODELARTS_TOKEN",
        "password": "MODELARTS_PASSWORD",
        "ak": "HUAWEICLOUD_SDK_AK",
        "sk": "HUAWEICLOUD_SDK_SK",
        "security_token": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
        "app_code": "MODELARTS_APP_CODE",
        "app_key": "MODELARTS_APP_KEY",
        "app_secret": "MODELARTS_APP_SECRET",
    }

    def _platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError("endpoint is missing: give the service's address as the console shows it")
        return ModelArts(self.endpoint, self.route)

    def _auth(self) -> Any:
        return huawei.signer(
            self.auth,
            auth_type=self.auth_type,
            token=_shown(self.token),
            user=self.user,
            password=_shown(self.password),
            domain=self.domain,
            project=self.project,
            iam_endpoint=self.iam_endpoint,
            ak=_shown(self.ak),
            sk=_shown(self.sk),
            security_token=_shown(self.security_token),
            project_id=self.project_id,
            app_code=_shown(self.app_code),
            app_key=_shown(self.app_key),
            app_secret=_shown(self.app_secret),
            api_key=_shown(self.api_key),
            bare_api_key=self.bare_api_key,
        )


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
