"""Mixins with the constructor fields of each platform: endpoint and authentication."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator

from mdstream_core import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker
from mdstream_core.auth import UnsignedSigner, aws, huawei, oci

#: The kinds of requests, each with an API of its own.
ModelKind = Literal["chat", "completions", "embeddings", "rerank"]


def _secret_field(description: str) -> Any:
    """Create a field that is left out of `repr` and of serialized models."""
    return Field(default=None, exclude=True, repr=False, description=description)


class PlatformFields(BaseModel):
    """Base of the platform mixins: authentication, and the platform's address.

    A mixin stands before the other base classes of a model.
    """

    auth: Any = _secret_field(
        "Signer of the requests: one of `mdstream_core.auth`, an `httpx.Auth`, or a signer of the platform's SDK (an "
        "`oci` signer, the dictionary of `ads.common.auth`). Default: resolved from the other fields and the "
        "environment."
    )
    auth_type: str | None = Field(
        default=None,
        description="Authentication method. OCI: `api_key`, `session_token`, `resource_principal`, "
        "`instance_principal`, `oke_workload`, `bearer` or `none`; ModelArts: `token`, `password`, `aksk`, `appcode`, "
        "`app`, `api_key` or `none`; SageMaker: `none`. Default: the first credential that is found. `none` sends "
        "unsigned requests.",
    )
    api_key: SecretStr | None = _secret_field(
        "API key, sent as a bearer token. Default: the environment variable `MDSTREAM_API_KEY`. Not for SageMaker."
    )

    #: Whether creating the connection blocks for so long that it must not run on the event loop.
    connects_in_thread: ClassVar[bool] = False

    #: Names of the fields that the platform and its signer are built from.
    _address_fields: ClassVar[tuple[str, ...]] = ()

    #: Default dialect of each kind of request.
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "openai-chat",
        "completions": "openai-completions",
        "embeddings": "openai-embeddings",
        "rerank": "rerank",
    }

    #: Names that other packages use for fields of the platform, and for fields of the model itself.
    _aliases: ClassVar[dict[str, str]] = {}
    _other_names: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        mixins = (base for base in cls.__mro__ if issubclass(base, PlatformFields) and base.__module__ == __name__)
        cls._address_fields = tuple({name: None for mixin in mixins for name in mixin.model_fields})

    @model_validator(mode="before")
    @classmethod
    def _rename_fields(cls, values: Any) -> Any:
        return cls._translate_aliases(values) if isinstance(values, Mapping) else values

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rename aliases to field names. An alias beside its field stays, and is rejected as an unknown field."""
        names = {alias: name for alias, name in (cls._aliases | cls._other_names).items() if name in cls.model_fields}
        unique = {alias: name for alias, name in names.items() if name not in values}
        return {unique.get(name, name): value for name, value in values.items()}

    def _validate_fields(self) -> None:
        """Validate the address when the object is created."""
        self._build_platform()

    def _connect(self) -> tuple[Platform, Any]:
        """Create the platform and its signer. Called when the first request is sent."""
        return self._build_platform(), self._build_auth()

    def _build_platform(self) -> Platform:
        raise NotImplementedError

    def _build_auth(self) -> Any:
        raise NotImplementedError

    def _default_dialect(self, model: str, kind: ModelKind) -> str:
        """Dialect of a request without an explicit one."""
        return self.default_dialects[kind]

    def _bearer_key(self) -> str | None:
        """API key of the field or of the environment."""
        return _reveal_secret(self.api_key) or os.environ.get("MDSTREAM_API_KEY")

    def _normalized_auth_type(self) -> str | None:
        return self.auth_type and self.auth_type.strip().lower().replace("-", "_")


class _OCIAuthFields(PlatformFields):
    """Authentication with Oracle's services."""

    auth_profile: str | None = Field(
        default=None,
        description="Profile of the OCI config file. Default: `OCI_CLI_PROFILE`, `OCI_CONFIG_PROFILE` or `DEFAULT`.",
    )
    auth_file_location: str | None = Field(
        default=None, description="Path of the OCI config file. Default: `OCI_CONFIG_FILE` or `~/.oci/config`."
    )

    def _build_auth(self) -> Any:
        return oci.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=self._bearer_key() if self.api_key or self._normalized_auth_type() in {None, "bearer"} else None,
        )


class OCIModelDeploymentMixin(_OCIAuthFields):
    """Endpoint of an OCI Data Science model deployment."""

    endpoint: str = Field(
        description="URL or OCID of the model deployment. A URL may end in `/predict`, `/predictWithResponseStream` "
        "or an inference path behind them, and may be a private endpoint's."
    )
    region: str | None = Field(
        default=None,
        description="Region of a deployment given as a bare OCID, such as `us-ashburn-1`. Default: the OCID's own.",
    )
    route: str | None = Field(
        default=None,
        description="Inference path of the container, such as `/generate`. Default: the OpenAI API's path; an empty "
        "string sends none.",
    )

    def _build_platform(self) -> Platform:
        return OCIModelDeployment(self.endpoint, self.region, self.route)


class OCIGenerativeAIMixin(_OCIAuthFields):
    """Region, compartment and API format of OCI Generative AI."""

    compartment_id: str | None = Field(
        default=None,
        description="OCID of the compartment that is billed, `ocid1.compartment.oc1..…`. Optional only for an LLM with "
        '`dialect="openai-chat"` or `"openai-completions"`.',
    )
    region: str | None = Field(
        default=None,
        description="Region of the service, such as `us-chicago-1`. Default: the region of the signer or the profile.",
    )
    service_endpoint: str | None = Field(
        default=None, description="URL of the service, instead of the region's public endpoint."
    )
    api_format: str | None = Field(
        default=None,
        description="API format of chat requests: `GENERIC`, `COHERE` or `COHEREV2`. Default: derived from the model's "
        "name; needed for endpoint OCIDs.",
    )
    openai_base: str = Field(
        default="/openai/v1", description="Base path of the service's OpenAI-compatible API, for `openai-…` dialects."
    )
    client: Any = _secret_field(
        "An `oci` client `GenerativeAiInferenceClient`: the source of endpoint, signer and timeout. Fields that are "
        "set take precedence."
    )

    default_dialects: ClassVar[Mapping[ModelKind, str]] = {"embeddings": "oci-embed-text", "rerank": "oci-rerank-text"}

    _aliases: ClassVar[dict[str, str]] = {"context_size": "context_window"}

    def _build_platform(self) -> Platform:
        return OCIGenerativeAI(
            self.compartment_id,
            region=self.region or (None if self.service_endpoint else self._signer_region()),
            service_endpoint=self.service_endpoint,
            openai_base=self.openai_base,
        )

    def _signer_region(self) -> str | None:
        return oci.resolve_region(self.auth, auth_profile=self.auth_profile, auth_file_location=self.auth_file_location)

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fill fields that are not set from the settings of `client`."""
        fields = super()._translate_aliases(values)
        settings = oci.client_settings(fields["client"]) if fields.get("client") is not None else {}
        return {**fields, **{name: value for name, value in settings.items() if fields.get(name) is None}}


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


class SageMakerMixin(PlatformFields):
    """Endpoint of Amazon SageMaker, and AWS credentials."""

    connects_in_thread: ClassVar[bool] = True  # botocore reads its service models
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }

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
    profile_name: str | None = Field(
        default=None, description="Profile of `~/.aws`. `credentials_profile_name` is an alias. Default: `AWS_PROFILE`."
    )
    aws_access_key_id: SecretStr | None = _secret_field(
        "AWS access key id, with `aws_secret_access_key`. Default: botocore's credential chain."
    )
    aws_secret_access_key: SecretStr | None = _secret_field("Secret of the AWS access key.")
    aws_session_token: SecretStr | None = _secret_field("Session token of a temporary AWS access key.")
    boto3_session: Any = _secret_field("A `boto3.Session`: the source of region and credentials.")
    client: Any = _secret_field("A boto3 client `sagemaker-runtime`: the source of region, endpoint and credentials.")

    _aliases: ClassVar[dict[str, str]] = {
        "aws_region_name": "region_name",
        "credentials_profile_name": "profile_name",
        "model_kwargs": "additional_kwargs",
        **_BOTO3_NAMES,
    }

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate aliases, and the parameters inside of `endpoint_kwargs`."""
        others = {name: value for name, value in values.items() if name != "endpoint_kwargs"}
        return super()._translate_aliases({**(values.get("endpoint_kwargs") or {}), **others})

    def _validate_fields(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing (hint: set the name of the SageMaker endpoint)")
        if self.api_key or self._normalized_auth_type() not in {None, "none"}:
            raise ValueError(
                "SageMaker requires AWS credentials (hint: drop api_key, and auth_type unless it is 'none')"
            )
        self._create_platform(self.region_name or "us-east-1", self.endpoint_url)

    def _connect(self) -> tuple[Platform, Any]:
        auth = UnsignedSigner() if self.auth is None and self._normalized_auth_type() == "none" else self.auth
        if auth is not None and self.endpoint_url:
            return self._create_platform(self.region_name, self.endpoint_url), auth
        uses_environment = self.client is None and self.boto3_session is None
        connection = aws.resolve_connection(
            region_name=self.region_name or (os.environ.get("AWS_REGION") if uses_environment else None),
            endpoint_url=self.endpoint_url,
            credentials_profile_name=self.profile_name,
            aws_access_key_id=_reveal_secret(self.aws_access_key_id),
            aws_secret_access_key=_reveal_secret(self.aws_secret_access_key),
            aws_session_token=_reveal_secret(self.aws_session_token),
            boto3_session=self.boto3_session,
            client=self.client,
        )
        platform = self._create_platform(connection.region_name, connection.endpoint_url)
        return platform, connection.signer if auth is None else auth

    def _create_platform(self, region: str | None, url: str | None) -> SageMaker:
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


class ModelArtsMixin(PlatformFields):
    """Endpoint of a Huawei ModelArts real-time service or of MaaS, and Huawei Cloud credentials."""

    endpoint: str = Field(
        description="URL of the service as the console shows it, or MaaS's base URL. `wss://` uses a WebSocket."
    )
    route: str | None = Field(
        default=None,
        description="Inference path of the container image behind `endpoint`. Default: the OpenAI API's path.",
    )
    token: SecretStr | None = _secret_field("IAM token. It is not renewed; use `user` and `password` for that.")
    user: str | None = Field(
        default=None,
        description="IAM user, with `password`, `domain` and `project`: an IAM token is fetched, and renewed before it "
        "expires.",
    )
    password: SecretStr | None = _secret_field("Password of the IAM user.")
    domain: str | None = Field(default=None, description="Name of the account that the IAM user belongs to.")
    project: str | None = Field(default=None, description="Name of the project, such as `cn-north-4`.")
    iam_endpoint: str | None = Field(
        default=None, description="URL of IAM. Default: the endpoint of the project's region."
    )
    ak: SecretStr | None = _secret_field("Access key, with `sk`. Default: `HUAWEICLOUD_SDK_AK`.")
    sk: SecretStr | None = _secret_field("Secret of the access key.")
    security_token: SecretStr | None = _secret_field("Security token of a temporary access key.")
    project_id: str | None = Field(
        default=None, description="Id of the project, sent with requests that are signed with an access key."
    )
    app_code: SecretStr | None = _secret_field("AppCode of App authentication.")
    app_key: SecretStr | None = _secret_field("Key of App authentication, with `app_secret`.")
    app_secret: SecretStr | None = _secret_field("Secret of `app_key`.")
    bare_api_key: bool = Field(
        default=False, description="Whether `api_key` is sent without the word `Bearer` before it."
    )

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.iam_endpoint:
            huawei.check_iam_endpoint(self.iam_endpoint)

    def _build_platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError("endpoint is missing (hint: set the URL of the service as the console shows it)")
        return ModelArts(self.endpoint, self.route)

    def _build_auth(self) -> Any:
        others = (self.token, self.user, self.ak, self.app_code, self.app_key)
        uses_api_key = self.api_key or (self._normalized_auth_type() in {None, "api_key"} and not any(others))
        return huawei.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            token=_reveal_secret(self.token),
            user=self.user,
            password=_reveal_secret(self.password),
            domain=self.domain,
            project=self.project,
            iam_endpoint=self.iam_endpoint,
            ak=_reveal_secret(self.ak),
            sk=_reveal_secret(self.sk),
            security_token=_reveal_secret(self.security_token),
            project_id=self.project_id,
            app_code=_reveal_secret(self.app_code),
            app_key=_reveal_secret(self.app_key),
            app_secret=_reveal_secret(self.app_secret),
            api_key=self._bearer_key() if uses_api_key else None,
            bare_api_key=self.bare_api_key,
        )


def _reveal_secret(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
