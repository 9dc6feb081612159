"""Where models are: one mixin for each platform, with the fields that say where to ask and who signs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import SecretStr

from langchain_mdstream._amazon import OnSageMaker
from langchain_mdstream._endpoint import Endpoint, shown
from langchain_mdstream._oracle import OnOCIGenerativeAI, OnOCIModelDeployment
from mdstream_core import ModelArts, Platform
from mdstream_core.auth import huawei

__all__ = ["OnModelArts", "OnOCIGenerativeAI", "OnOCIModelDeployment", "OnSageMaker"]


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

    def _checks(self) -> None:
        super()._checks()
        if self.iam_endpoint:
            huawei.check_iam_endpoint(self.iam_endpoint)

    def _platform(self) -> Platform:
        if not self.endpoint:
            raise ValueError("endpoint is missing: give the service's address as the console shows it")
        return ModelArts(self.endpoint, self.route)

    def _auth(self) -> Any:
        return huawei.signer(
            self.auth,
            auth_type=self.auth_type,
            token=shown(self.token),
            user=self.user,
            password=shown(self.password),
            domain=self.domain,
            project=self.project,
            iam_endpoint=self.iam_endpoint,
            ak=shown(self.ak),
            sk=shown(self.sk),
            security_token=shown(self.security_token),
            project_id=self.project_id,
            app_code=shown(self.app_code),
            app_key=shown(self.app_key),
            app_secret=shown(self.app_secret),
            api_key=shown(self.api_key),
            bare_api_key=self.bare_api_key,
        )
