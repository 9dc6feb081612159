"""Signers for Huawei Cloud ModelArts and MaaS. Importing this imports no vendor SDK, and none is needed.

IAM tokens (given, or fetched with a password), AK/SK and App signatures (SDK-HMAC-SHA256), AppCode, API keys.
"""

import configparser
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, Unpack, runtime_checkable

from mdstream_core._choices import find_choice
from mdstream_core.auth._huawei_iam import FetchFunction, IAMLogin, PasswordTokenSigner, check_iam_endpoint
from mdstream_core.auth._huawei_signature import MAX_REQUEST_BYTES, sign_headers
from mdstream_core.auth._signer import BearerSigner, Signer, UnsignedSigner
from mdstream_core.http import Request, check_key

__all__ = [
    "MAX_REQUEST_BYTES",
    "AKSKSigner",
    "AppCodeSigner",
    "AppKeySigner",
    "FetchFunction",
    "IAMLogin",
    "PasswordTokenSigner",
    "RawKeySigner",
    "TokenSigner",
    "check_iam_endpoint",
    "resolve_signer",
]

#: Where `huaweicloudsdkcore` looks for keys (auth/provider.py).
_ENV = "HUAWEICLOUD_SDK_"
_FILE = "~/.huaweicloud/credentials"

#: Where the samples of MaaS and of ModelArts look for an API key.
_API_KEYS = ("MODELARTS_API_KEY", "MAAS_API_KEY")


@runtime_checkable
class AuthFlow(Protocol):
    """`httpx.Auth` and `httpx2.Auth`, by their shape."""

    def auth_flow(self, request: Any) -> Any: ...


#: The names of `auth_type`.
HuaweiAuthTypeName = Literal["token", "password", "aksk", "appcode", "app", "api_key", "none"]


class _HeaderSigner(Signer):
    """Sends one secret in one header field."""

    header: str
    option: str

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = _validate_header_value(self.option, secret)

    def sign(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, self.header: self._secret})


class TokenSigner(_HeaderSigner):
    """An IAM token at hand: `X-Auth-Token`. Whoever gave it sees to it that it does not expire."""

    header, option = "x-auth-token", "token"


class AppCodeSigner(_HeaderSigner):
    """App authentication by AppCode: `X-Apig-AppCode`, permanently valid."""

    header, option = "x-apig-appcode", "app_code"


class RawKeySigner(_HeaderSigner):
    """An API key without the word Bearer before it. Huawei's pages do not show which form inference 2.0 wants."""

    header, option = "authorization", "api_key"


class EnvironmentKeySigner(BearerSigner):
    """An API key from the environment. A pickle of it does not hold the key: it looks again."""

    def __init__(self, name: str) -> None:
        super().__init__(os.environ.get(name, ""))
        self._name = name

    @property
    def credential_source(self) -> str:
        return f"an API key, {self._name} in the environment"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._name,)


class AKSKSigner(Signer):
    """Signs with an access key: SDK-HMAC-SHA256. A body may have 12 MB.

    Args:
        ak: The access key id.
        sk: The secret access key.
        security_token: Of a temporary access key.
        project_id: Sent as `X-Project-Id`, as the SDK does.
        clock: Seconds since 1970; the service allows 15 minutes.
    """

    option_names = ("ak", "sk")

    def __init__(
        self,
        ak: str,
        sk: str,
        security_token: str | None = None,
        project_id: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._key, self._secret = (
            _validate_header_value(name, value) for name, value in zip(self.option_names, (ak, sk), strict=True)
        )
        fields = {"x-security-token": security_token, "x-project-id": project_id}
        self._extra_headers = {
            name: _validate_header_value(name.removeprefix("x-"), value) for name, value in fields.items() if value
        }
        self._clock = clock

    def sign(self, request: Request) -> Request:
        date = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%dT%H%M%SZ")
        return replace(request, headers=sign_headers(request, self._key, self._secret, date, self._extra_headers))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key[:4]}…>"


class AppKeySigner(AKSKSigner):
    """App authentication by signature: the same with an AppKey and its AppSecret."""

    option_names = ("app_key", "app_secret")


class EnvironmentAKSKSigner(AKSKSigner):
    """An access key from the environment or the credentials file. A pickle of it holds neither: it looks again."""

    def __init__(self) -> None:
        fields = _signer_from_environment() or _read_profile()
        if fields is None:
            raise ValueError(_missing_credentials())
        also = (fields.get(name) for name in ("security_token", "project_id"))
        super().__init__(fields["ak"], fields["sk"], *also)
        self._source = f"{_ENV}AK in the environment" if _signer_from_environment() else f"[basic] of {_read_file()}"

    @property
    def credential_source(self) -> str:
        return f"an access key (AK/SK), {self._source}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class AuthFields(TypedDict, total=False):
    """What a model may be given to authenticate with; see the signers.

    Attributes:
        token: An IAM token.
        user: With `password`, `domain` and `project` fetches a token; see `IAMLogin`.
        iam_endpoint: IAM's address, where it is not that of the project's region.
        ak: With `sk`, and `security_token` and `project_id` where there are any; see `AKSKSigner`.
        app_code: See `AppCodeSigner`.
        app_key: With `app_secret`; see `AppKeySigner`.
        api_key: Of inference 2.0 or MaaS.
        bare_api_key: Send it without `BearerSigner`.
        fetch: Sends the request for a token; see `PasswordTokenSigner`.
    """

    token: str | None
    user: str | None
    password: str | None
    domain: str | None
    project: str | None
    iam_endpoint: str | None
    ak: str | None
    sk: str | None
    security_token: str | None
    project_id: str | None
    app_code: str | None
    app_key: str | None
    app_secret: str | None
    api_key: str | None
    bare_api_key: bool
    fetch: FetchFunction | None


def resolve_signer(
    auth: Any = None, *, auth_type: str | None = None, **fields: Unpack[AuthFields]
) -> Signer | AuthFlow:
    """What a model's `auth…` fields mean. An `auth` object goes first, and an `httpx.Auth` is returned as it is.

    Without `auth` and `auth_type` the fields that are given say which way it is; without any, the environment and the
    credentials file of Huawei's SDK are searched for an access key, then the environment for an API key.

    Args:
        auth: A signer or an `httpx.Auth`.
        auth_type: `token`, `password`, `aksk`, `appcode`, `app`, `api_key` or `none`.
        fields: See `AuthFields`; what is `None` counts as not given.
    """
    if auth is not None:
        return _user_signer(auth)
    given = {name: value for name, value in fields.items() if value}
    kind = _resolve_auth_type(auth_type, given)
    if kind is None:
        return _find_signer()
    needed, build = _BY_TYPE[kind]
    missing = [name for name in needed if name not in given]
    if kind == "aksk" and len(missing) == len(needed):
        return EnvironmentAKSKSigner()
    if missing:
        raise ValueError(f"auth_type {kind!r} needs {' and '.join(missing)} too")
    return build(given)


def _password(fields: Mapping[str, Any]) -> Signer:
    user, password, domain, project = (fields[name] for name in _LOGIN_FIELDS)
    login = IAMLogin(user, password, domain, project, fields.get("iam_endpoint"))
    return PasswordTokenSigner(login, fetch=fields.get("fetch"))


def _aksk(fields: Mapping[str, Any]) -> Signer:
    also = (fields.get(name) for name in ("security_token", "project_id"))
    return AKSKSigner(fields["ak"], fields["sk"], *also)


_LOGIN_FIELDS = ("user", "password", "domain", "project")

#: The names of `auth_type`: what each needs, and what it makes.
_BY_TYPE: dict[HuaweiAuthTypeName, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Signer]]] = {
    "token": (("token",), lambda fields: TokenSigner(fields["token"])),
    "password": (_LOGIN_FIELDS, _password),
    "aksk": (("ak", "sk"), _aksk),
    "appcode": (("app_code",), lambda fields: AppCodeSigner(fields["app_code"])),
    "app": (("app_key", "app_secret"), lambda fields: AppKeySigner(fields["app_key"], fields["app_secret"])),
    "api_key": (
        ("api_key",),
        lambda fields: (RawKeySigner if fields.get("bare_api_key") else BearerSigner)(fields["api_key"]),
    ),
    "none": ((), lambda _: UnsignedSigner()),
}


def _resolve_auth_type(auth_type: str | None, fields: Mapping[str, Any]) -> HuaweiAuthTypeName | None:
    if auth_type is not None:
        return find_choice("auth_type", auth_type, _BY_TYPE)
    meant = [kind for kind, (needed, _) in _BY_TYPE.items() if any(name in fields for name in needed)]
    if len(meant) > 1:
        raise ValueError(f"the fields speak of {' and of '.join(meant)}: give those of one way, or set auth_type")
    return meant[0] if meant else None


def _user_signer(auth: Any) -> Signer | AuthFlow:
    if isinstance(auth, Signer | AuthFlow):
        return auth
    raise ValueError(
        f"auth is a {type(auth).__name__}: it must be a signer of mdstream_core.auth.huawei or an httpx.Auth; "
        "credentials go into token, ak and sk, app_code, app_key and app_secret, or api_key"
    )


def _find_signer() -> Signer:
    if _signer_from_environment() or _read_profile():
        return EnvironmentAKSKSigner()
    for name in _API_KEYS:
        if os.environ.get(name):
            return EnvironmentKeySigner(name)
    raise ValueError(_missing_credentials())


def _signer_from_environment() -> dict[str, str] | None:
    names = ("ak", "sk", "security_token", "project_id")
    fields = {name: value for name in names if (value := os.environ.get(_ENV + name.upper()))}
    return fields if {"ak", "sk"} <= fields.keys() else None


def _read_profile() -> dict[str, str] | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(_read_file(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise ValueError(f"{_read_file()} cannot be read: it must have a section [basic] with ak and sk") from None
    fields = dict(parser["basic"]) if parser.has_section("basic") else {}
    return fields if fields.get("ak") and fields.get("sk") else None


def _read_file() -> Path:
    return Path(os.environ.get(f"{_ENV}CREDENTIALS_FILE") or _FILE).expanduser()


def _missing_credentials() -> str:
    return (
        f"no Huawei Cloud credential found: no {_ENV}AK and {_ENV}SK, no [basic] with ak and sk in {_read_file()}, no "
        f"{' or '.join(_API_KEYS)}. Give token, user and password, ak and sk, app_code, app_key and app_secret or "
        f"api_key, or set auth_type to one of {', '.join(_BY_TYPE)}"
    )


def _validate_header_value(name: str, value: str) -> str:
    check_key(name, value)
    return value
