"""Endpoint and authentication fields of Huawei ModelArts."""

from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr

import mdstream_core
from llamaindex_mdstream._platform_fields import PlatformFields, reveal_secret, secret_field
from mdstream_core._lazy import LazyModule
from mdstream_core.options import Auth, HuaweiAuthType

if TYPE_CHECKING:
    from mdstream_core import Platform
    from mdstream_core.auth import huawei
else:
    huawei = LazyModule("mdstream_core.auth.huawei")


class ModelArtsMixin(PlatformFields):
    """Endpoint of a Huawei ModelArts real-time service or of MaaS, and Huawei Cloud credentials."""

    endpoint: str = Field(
        default="",
        description="Required: URL of the service as the console shows it, or the base URL of MaaS. `wss://` uses a "
        "WebSocket.",
    )
    route: str | None = Field(
        default=None,
        description="Inference path of the container image behind `endpoint`. Default: the OpenAI API's path.",
    )
    auth: Auth | None = secret_field(
        "Signer of the requests, instead of the fields below: one of `mdstream_core.auth`, or an `httpx.Auth`."
    )
    auth_type: HuaweiAuthType | None = Field(
        default=None,
        description="Authentication method: `token`, `password`, `aksk`, `appcode`, `app`, `api_key` or `none` "
        "(unsigned requests). Default: the first credential that is found.",
    )
    token: SecretStr | None = secret_field("IAM token. It is not renewed; use `user` and `password` for that.")
    user: str | None = Field(
        default=None,
        description="IAM user, with `password`, `domain` and `project`: an IAM token is fetched, and renewed before it "
        "expires.",
    )
    password: SecretStr | None = secret_field("Password of the IAM user.")
    domain: str | None = Field(default=None, description="Name of the account that the IAM user belongs to.")
    project: str | None = Field(default=None, description="Name of the project, such as `cn-north-4`.")
    iam_endpoint: str | None = Field(
        default=None, description="URL of IAM. Default: the endpoint of the project's region."
    )
    ak: SecretStr | None = secret_field("Access key, with `sk`. Default: `HUAWEICLOUD_SDK_AK`.")
    sk: SecretStr | None = secret_field("Secret of the access key.")
    security_token: SecretStr | None = secret_field("Security token of a temporary access key.")
    project_id: str | None = Field(
        default=None, description="Id of the project, sent with requests that are signed with an access key."
    )
    app_code: SecretStr | None = secret_field("AppCode of App authentication.")
    app_key: SecretStr | None = secret_field("Key of App authentication, with `app_secret`.")
    app_secret: SecretStr | None = secret_field("Secret of `app_key`.")
    bare_api_key: bool = Field(
        default=False, description="Whether `api_key` is sent without the word `Bearer` before it."
    )

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.iam_endpoint:
            huawei.check_iam_endpoint(self.iam_endpoint)

    def _build_platform(self) -> "Platform":
        if not self.endpoint:
            raise ValueError("endpoint is missing (hint: set the URL of the service as the console shows it)")
        return mdstream_core.ModelArts(self.endpoint, self.route)

    def _build_auth(self) -> Any:
        others = (self.token, self.user, self.ak, self.app_code, self.app_key)
        uses_api_key = self.api_key or (self._normalized_auth_type() in {None, "api_key"} and not any(others))
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
            api_key=self._bearer_key() if uses_api_key else None,
            bare_api_key=self.bare_api_key,
        )
