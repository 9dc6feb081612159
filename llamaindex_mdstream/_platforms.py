"""Where models are: one mixin for each platform, with the fields that say where to ask and who signs."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator

from llamaindex_mdstream._aliases import SageMakerAliases
from mdstream_core import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker
from mdstream_core.auth import UnsignedSigner, aws, huawei, oci
from mdstream_core.options import APIFormat, Auth, AWSAuthType, HuaweiAuthType, OCIAuth, OCIAuthType

#: What an object asks its endpoint for.
ModelKind = Literal["chat", "completions", "embeddings", "rerank"]


def _secret_field(description: str) -> Any:
    """A field that is neither shown nor saved."""
    return Field(default=None, exclude=True, repr=False, description=description)


class PlatformFields(BaseModel):
    """Where to ask, and who signs. Mixed into a model before its other bases."""

    auth: OCIAuth | None = _secret_field("Who signs the requests.")
    auth_type: str | None = Field(default=None, description="Which way to sign, in the platform's words.")
    api_key: SecretStr | None = _secret_field("A bearer key; default: MDSTREAM_API_KEY.")

    #: Whether it takes so long to connect that the event loop must not wait for it.
    connects_in_thread: ClassVar[bool] = False

    #: The fields that a connection is built from.
    _address_fields: ClassVar[tuple[str, ...]] = ()

    #: The dialect for each kind of question, where none is given.
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "openai-chat",
        "completions": "openai-completions",
        "embeddings": "openai-embeddings",
        "rerank": "rerank",
    }

    #: Other packages' names of our fields: of the platform's, and of the object's own.
    _aliases: ClassVar[dict[str, str]] = {"base_url": "endpoint"}
    _other_names: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        places = (kind for kind in cls.__mro__ if issubclass(kind, PlatformFields) and kind.__module__ == __name__)
        cls._address_fields = tuple({name: None for kind in places for name in kind.model_fields})

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
        """A name that is given twice stays, to be reported as an unknown one."""
        ours = {name: own for name, own in cls._accepted_names().items() if own not in values}
        return {ours.get(name, name): value for name, value in values.items()}

    def _validate_fields(self) -> None:
        """A wrong address is told where it is written."""
        self._build_platform()

    def _connect(self) -> tuple[Platform, Any]:
        """Where to ask, and who signs: looked for when the first question is asked."""
        return self._build_platform(), self._build_auth()

    def _build_platform(self) -> Platform:
        raise NotImplementedError

    def _build_auth(self) -> Any:
        raise NotImplementedError

    def _default_dialect(self, model: str, kind: ModelKind) -> str:
        """The dialect of a model that is asked here, where none is given."""
        return self.default_dialects[kind]

    def _bearer_signer(self) -> str | None:
        """The bearer key, of the environment if need be."""
        return _reveal_secret(self.api_key) or os.environ.get("MDSTREAM_API_KEY")

    def _auth_description(self) -> str | None:
        return self.auth_type and self.auth_type.strip().lower().replace("-", "_")


class _OCIAuthFields(PlatformFields):
    """Who signs for Oracle's services."""

    auth_type: OCIAuthType | None = Field(default=None, description="How requests are authenticated.")
    auth_profile: str | None = Field(default=None, description="The profile of the config file.")
    auth_file_location: str | None = Field(default=None, description="The config file.")

    def _build_auth(self) -> Any:
        return oci.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=self._bearer_signer() if self.api_key or self._auth_description() in {None, "bearer"} else None,
        )


class OCIModelDeploymentMixin(_OCIAuthFields):
    """Where an OCI Data Science model deployment is."""

    endpoint: str = Field(default="", description="The deployment's URL or OCID; required.")
    region: str | None = Field(default=None, description="The region of a bare OCID.")
    route: str | None = Field(default=None, description="The container's path.")

    def _build_platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError(
                "endpoint is missing (hint: give endpoint='https://modeldeployment.<region>.oci.customer-oci.com/<ocid>')"
            )
        return OCIModelDeployment(self.endpoint, self.region, self.route)


class OCIGenerativeAIMixin(_OCIAuthFields):
    """In which region and compartment of OCI Generative AI, and in which of its formats."""

    compartment_id: str | None = Field(default=None, description="OCID of the compartment that pays.")
    region: str | None = Field(default=None, description="Such as us-chicago-1; default: that of who signs.")
    service_endpoint: str | None = Field(default=None, description="The service's URL instead of the region's.")
    api_format: APIFormat | None = Field(default=None, description="GENERIC, COHERE or COHEREV2; default: the model's.")
    openai_base: str = Field(default="/openai/v1", description="Where OpenAI's requests go.")
    client: Any = _secret_field(
        "An oci client GenerativeAiInferenceClient as the source of address, signer and timeout."
    )

    default_dialects: ClassVar[Mapping[ModelKind, str]] = {"embeddings": "oci-embed-text", "rerank": "oci-rerank-text"}

    _aliases: ClassVar[dict[str, str]] = {"context_size": "context_window", "base_url": "service_endpoint"}

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
        """With what a client says, where no field does."""
        said = super()._translate_aliases(values)
        observer = oci.client_settings(said["client"]) if said.get("client") is not None else {}
        return {**said, **{name: value for name, value in observer.items() if said.get(name) is None}}


#: `InvokeEndpoint`'s names, as `endpoint_kwargs` of other packages have them.
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
    """Which endpoint of Amazon SageMaker, and who signs for it."""

    connects_in_thread: ClassVar[bool] = True  # botocore loads its models
    default_dialects: ClassVar[Mapping[ModelKind, str]] = {
        "chat": "auto",
        "completions": "auto",
        "embeddings": "auto-embeddings",
        "rerank": "auto-rerank",
    }

    auth: Auth | None = _secret_field("A signer of mdstream_core.auth or an httpx.Auth, instead of AWS credentials.")
    auth_type: AWSAuthType | None = Field(default=None, description="none sends unsigned requests.")
    endpoint_name: str = Field(description="The endpoint's name.")
    region_name: str | None = Field(default=None, description="Such as us-east-1; default: AWS_REGION, botocore's.")
    endpoint_url: str | None = Field(default=None, description="The runtime's URL, where it is not botocore's.")
    inference_component_name: str | None = Field(default=None, description="Of several, the one to ask.")
    target_model: str | None = Field(default=None, description="Of a multi-model endpoint, the model's file.")
    target_variant: str | None = Field(default=None, description="Of several production variants, the one to ask.")
    target_container_hostname: str | None = Field(default=None, description="Of several containers, the one to ask.")
    session_id: str | None = Field(default=None, description="A stateful session.")
    inference_id: str | None = Field(default=None, description="Your id of the requests.")
    custom_attributes: str | None = Field(default=None, description="Up to 1,024 characters for the container.")
    enable_explanations: str | None = Field(default=None, description="For an endpoint with an explainer.")
    prefix_aware_id: str | None = Field(default=None, description="A routing hint.")
    profile_name: str | None = Field(default=None, description="A profile of ~/.aws.")
    aws_access_key_id: SecretStr | None = _secret_field("A key; default: botocore's chain.")
    aws_secret_access_key: SecretStr | None = _secret_field("The key's secret.")
    aws_session_token: SecretStr | None = _secret_field("The token of a temporary key.")
    boto3_session: Any = _secret_field("A boto3.Session as the source of region and credentials.")
    client: Any = _secret_field("A boto3 client sagemaker-runtime as the source of region, endpoint and credentials.")

    _aliases: ClassVar[dict[str, str]] = {
        "base_url": "endpoint_url",
        "aws_region_name": "region_name",
        "credentials_profile_name": "profile_name",
        "model_kwargs": "additional_kwargs",
        **_BOTO3_NAMES,
    }

    @classmethod
    def _translate_aliases(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """With `endpoint_kwargs` taken apart."""
        others = {name: value for name, value in values.items() if name != "endpoint_kwargs"}
        return super()._translate_aliases({**(values.get("endpoint_kwargs") or {}), **others})

    def _validate_fields(self) -> None:
        if not self.endpoint_name:
            raise ValueError("endpoint_name is missing: give the name of the SageMaker endpoint")
        if self.api_key or self._auth_description() not in {None, "none"}:
            raise ValueError(
                "SageMaker is signed for with AWS credentials: drop api_key, and auth_type unless it is 'none'"
            )
        self._at(self.region_name or "us-east-1", self.endpoint_url)

    def _connect(self) -> tuple[Platform, Any]:
        auth = UnsignedSigner() if self.auth is None and self._auth_description() == "none" else self.auth
        if auth is not None and self.endpoint_url:
            return self._at(self.region_name, self.endpoint_url), auth
        alone = self.client is None and self.boto3_session is None
        found = aws.resolve_connection(
            region_name=self.region_name or (os.environ.get("AWS_REGION") if alone else None),
            endpoint_url=self.endpoint_url,
            credentials_profile_name=self.profile_name,
            aws_access_key_id=_reveal_secret(self.aws_access_key_id),
            aws_secret_access_key=_reveal_secret(self.aws_secret_access_key),
            aws_session_token=_reveal_secret(self.aws_session_token),
            boto3_session=self.boto3_session,
            client=self.client,
        )
        return self._at(found.region_name, found.endpoint_url), found.signer if auth is None else auth

    def _at(self, region: str | None, url: str | None) -> SageMaker:
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
    """Which service of Huawei ModelArts or MaaS, and who signs for it."""

    endpoint: str = Field(
        default="", description="Required: the service's address, or MaaS's base; wss:// asks over a WebSocket."
    )
    route: str | None = Field(default=None, description="The image's path behind the address.")
    auth: Auth | None = _secret_field("A signer of mdstream_core.auth or an httpx.Auth, instead of the fields below.")
    auth_type: HuaweiAuthType | None = Field(default=None, description="How requests are authenticated.")
    token: SecretStr | None = _secret_field("An IAM token.")
    user: str | None = Field(default=None, description="Whose IAM token is fetched.")
    password: SecretStr | None = _secret_field("The user's password.")
    domain: str | None = Field(default=None, description="The account's name.")
    project: str | None = Field(default=None, description="The project's name, such as cn-north-4.")
    iam_endpoint: str | None = Field(default=None, description="IAM's address, if not that of the project's region.")
    ak: SecretStr | None = _secret_field("An access key.")
    sk: SecretStr | None = _secret_field("The access key's secret.")
    security_token: SecretStr | None = _secret_field("The token of a temporary access key.")
    project_id: str | None = Field(default=None, description="Sent beside an access key's signature.")
    app_code: SecretStr | None = _secret_field("The AppCode of App authentication.")
    app_key: SecretStr | None = _secret_field("The key of App authentication.")
    app_secret: SecretStr | None = _secret_field("The key's secret.")
    bare_api_key: bool = Field(default=False, description="Whether api_key is sent without the word Bearer.")

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.iam_endpoint:
            huawei.check_iam_endpoint(self.iam_endpoint)

    def _build_platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError("endpoint is missing: give the service's address as the console shows it")
        return ModelArts(self.endpoint, self.route)

    def _build_auth(self) -> Any:
        others = (self.token, self.user, self.ak, self.app_code, self.app_key)
        found = self.api_key or (self._auth_description() in {None, "api_key"} and not any(others))
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
            api_key=self._bearer_signer() if found else None,
            bare_api_key=self.bare_api_key,
        )


def _reveal_secret(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
