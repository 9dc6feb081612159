"""Where models are: one mixin for each platform, with the fields that say where to ask and who signs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from langchain_mdstream._connection_fields import ConnectionFields, reveal_secret
from langchain_mdstream._oci import OCIGenerativeAIMixin, OCIModelDeploymentMixin
from langchain_mdstream._sagemaker import SageMakerMixin
from mdstream_core import ModelArts, Platform
from mdstream_core.auth import huawei
from mdstream_core.options import Auth, HuaweiAuthType

__all__ = ["ModelArtsMixin", "OCIGenerativeAIMixin", "OCIModelDeploymentMixin", "SageMakerMixin"]


class ModelArtsMixin(ConnectionFields):
    """Which service of Huawei ModelArts or MaaS, and who signs for it."""

    endpoint: str = ""
    """The service's address as the console shows it, or MaaS's base; with `wss://` it is asked over a WebSocket."""

    route: str | None = None
    """The image's path behind the address; by default the one of the dialect."""

    auth: Auth | None = Field(default=None, exclude=True, repr=False)
    """A signer of `mdstream_core.auth`, or an `httpx.Auth`, instead of the fields below."""

    auth_type: HuaweiAuthType | None = None
    """How requests are authenticated; by default found out from the other fields and the environment."""

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

    provider_name: ClassVar[str] = "modelarts"
    address_fields: ClassVar[tuple[str, ...]] = ("endpoint", "route")
    accepts_bearer_key: ClassVar[bool] = False  # the signer looks for Huawei's own variables
    secret_variables: ClassVar[Mapping[str, str]] = {
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

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.iam_endpoint:
            huawei.check_iam_endpoint(self.iam_endpoint)

    def _build_platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError("endpoint is missing: give the service's address as the console shows it")
        return ModelArts(self.endpoint, self.route)

    def _build_auth(self) -> Any:
        return huawei.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            token=reveal_secret(self.token),
            user=self.user,
            password=reveal_secret(self.password),
            domain=self.domain,
            project=self.project,
            iam_endpoint=self.iam_endpoint,
            ak=reveal_secret(self.ak),
            sk=reveal_secret(self.sk),
            security_token=reveal_secret(self.security_token),
            project_id=self.project_id,
            app_code=reveal_secret(self.app_code),
            app_key=reveal_secret(self.app_key),
            app_secret=reveal_secret(self.app_secret),
            api_key=reveal_secret(self.api_key),
            bare_api_key=self.bare_api_key,
        )
