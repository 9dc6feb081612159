"""Endpoint and authentication fields of Huawei ModelArts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

import mdstream_core
from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._credentials import reveal_secret
from mdstream_core.auth import huawei
from mdstream_core.options import Auth, HuaweiAuthType

if TYPE_CHECKING:
    from mdstream_core import Platform


class ModelArtsMixin(ConnectionFields):
    """Endpoint and authentication fields of ModelArts real-time services and MaaS."""

    endpoint: str = ""
    """URL of the service as the console shows it, or the base URL of MaaS. With a `wss://` URL requests use a
    WebSocket. Example: `https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be`."""

    route: str | None = None
    """Path behind `endpoint`, such as `/v1/chat/completions`. `None` uses the path of the dialect."""

    auth: Auth | None = Field(default=None, exclude=True, repr=False)
    """Signer of the requests, in place of the fields below: one of `mdstream_core.auth`, or an `httpx.Auth`."""

    auth_type: HuaweiAuthType | None = None
    """Authentication method. `None` uses the first credential that is found: in the other fields, in the environment or
    in a configuration file. `none` sends unsigned requests."""

    token: SecretStr | None = None
    """IAM token, sent in `X-Auth-Token`. It is not renewed; use `user` and `password` for that."""

    user: str | None = None
    """IAM user name. With `password`, `domain` and `project` an IAM token is fetched, and renewed before it expires."""

    password: SecretStr | None = None
    """Password of `user`."""

    domain: str | None = None
    """Name of the Huawei Cloud account that `user` belongs to."""

    project: str | None = None
    """Project name, such as `cn-north-4`."""

    iam_endpoint: str | None = None
    """URL of IAM. `None` uses the one of the project's region."""

    ak: SecretStr | None = None
    """Access key id (AK), used with `sk` to sign requests."""

    sk: SecretStr | None = None
    """Secret access key (SK) that belongs to `ak`."""

    security_token: SecretStr | None = None
    """Security token of a temporary access key."""

    project_id: str | None = None
    """Project id, sent with requests that are signed with an access key."""

    app_code: SecretStr | None = None
    """AppCode of App authentication, sent in `X-Apig-AppCode`."""

    app_key: SecretStr | None = None
    """App key of App authentication, used with `app_secret` to sign requests."""

    app_secret: SecretStr | None = None
    """App secret that belongs to `app_key`."""

    bare_api_key: bool = False
    """Whether `api_key` is sent without the prefix `Bearer`."""

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

    def _build_platform(self) -> "Platform":
        if not self.endpoint:
            raise ValueError("endpoint is missing (hint: set the service's URL as the console shows it)")
        return mdstream_core.ModelArts(self.endpoint, self.route)

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
