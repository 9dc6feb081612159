"""Signers for Huawei Cloud ModelArts and MaaS. They need no vendor SDK.

IAM tokens (passed in, or fetched with a password), AK/SK and app signatures (SDK-HMAC-SHA256), AppCodes, API keys.
"""

import configparser
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from mdstream_core._choices import find_choice
from mdstream_core.auth._dates import format_basic_date
from mdstream_core.auth._huawei_iam import FetchFunction, IAMLogin, PasswordTokenSigner, check_iam_endpoint
from mdstream_core.auth._huawei_signature import MAX_REQUEST_BYTES, sign_headers
from mdstream_core.auth._names import HuaweiAuthTypeName
from mdstream_core.auth._signer import AuthFlow, BearerSigner, Signer, UnsignedSigner
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

#: Prefix of the variables and path of the file that `huaweicloudsdkcore` reads (auth/provider.py).
_ENV = "HUAWEICLOUD_SDK_"
_FILE = "~/.huaweicloud/credentials"

#: The variables that the samples of ModelArts and MaaS read an API key from.
_API_KEYS = ("MODELARTS_API_KEY", "MAAS_API_KEY")


class _HeaderSigner(Signer):
    """Sends a secret in one header."""

    header: str
    option: str

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = _validate_header_value(self.option, secret)

    def sign(self, request: Request) -> Request:
        headers = {**request.headers, self.header: self._secret}
        return Request(request.method, request.url, headers, request.content)


class TokenSigner(_HeaderSigner):
    """Sends an IAM token as `X-Auth-Token`. The token is not renewed; see `PasswordTokenSigner`.

    Args:
        secret: The token.

    Raises:
        ValueError: It is empty, or has characters that a header cannot contain.

    Example:
        >>> TokenSigner("MIIYAbc").sign(Request("POST", "https://host/"))
        <Request POST https://host/ x-auth-token; 0 bytes>
    """

    header, option = "x-auth-token", "token"


class AppCodeSigner(_HeaderSigner):
    """Sends an AppCode, which does not expire, as `X-Apig-AppCode`.

    Args:
        secret: The AppCode.

    Raises:
        ValueError: It is empty, or has characters that a header cannot contain.
    """

    header, option = "x-apig-appcode", "app_code"


class RawKeySigner(_HeaderSigner):
    """Sends an API key as `Authorization: <key>`, without the scheme `Bearer`.

    Huawei's documentation does not state which form inference 2.0 requires.

    Args:
        secret: The API key.

    Raises:
        ValueError: It is empty, or has characters that a header cannot contain.
    """

    header, option = "authorization", "api_key"


class EnvironmentKeySigner(BearerSigner):
    """Sends an API key of an environment variable. A pickle contains the variable's name, not the key."""

    def __init__(self, name: str) -> None:
        super().__init__(os.environ.get(name, ""))
        self._name = name

    @property
    def credential_source(self) -> str:
        return f"an API key, {self._name} in the environment"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._name,)


class AKSKSigner(Signer):
    """Signs with an access key (SDK-HMAC-SHA256). The body of a request may have 12 MiB.

    Args:
        ak: The access key id.
        sk: The secret access key.
        security_token: The token of a temporary access key. Default: none.
        project_id: Sent as `X-Project-Id`, as by the SDK. Default: none.
        clock: Returns the time in seconds since 1970. Default: `time.time`. The service accepts a difference of 15
            minutes.

    Raises:
        ValueError: A value is empty, or has characters that a header cannot contain.

    Example:
        >>> AKSKSigner("ABCDEFGHIJ", "secret")
        <AKSKSigner ABCD…>
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
        date = format_basic_date(int(self._clock()))
        headers = sign_headers(request, self._key, self._secret, date, self._extra_headers)
        return Request(request.method, request.url, headers, request.content)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key[:4]}…>"


class AppKeySigner(AKSKSigner):
    """Signs with an app key (SDK-HMAC-SHA256).

    Args:
        ak: The AppKey.
        sk: The AppSecret.
        security_token: Not used by app keys.
        project_id: Sent as `X-Project-Id`. Default: none.
        clock: Returns the time in seconds since 1970. Default: `time.time`.
    """

    option_names = ("app_key", "app_secret")


class EnvironmentAKSKSigner(AKSKSigner):
    """Signs with an access key of the environment or the credentials file. A pickle does not contain the key."""

    def __init__(self) -> None:
        fields = _read_environment() or _read_profile()
        if fields is None:
            raise ValueError(_missing_credentials())
        super().__init__(fields["ak"], fields["sk"], fields.get("security_token"), fields.get("project_id"))
        self._source = f"{_ENV}AK in the environment" if _read_environment() else f"[basic] of {_credentials_file()}"

    @property
    def credential_source(self) -> str:
        return f"an access key (AK/SK), {self._source}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class AuthFields(TypedDict, total=False):
    """The credential fields of a model.

    Attributes:
        token: An IAM token; see `TokenSigner`.
        user: Name of an IAM user; with `password`, `domain` and `project` a token is fetched, see `IAMLogin`.
        password: Password of the IAM user.
        domain: Name of the account.
        project: Name of the project, such as `cn-north-4`.
        iam_endpoint: URL of IAM. Default: that of the project's region.
        ak: An access key id; needs `sk`, see `AKSKSigner`.
        sk: The secret access key.
        security_token: Token of a temporary access key.
        project_id: Sent as `X-Project-Id` with an access key.
        app_code: An AppCode; see `AppCodeSigner`.
        app_key: An AppKey; needs `app_secret`, see `AppKeySigner`.
        app_secret: The AppSecret.
        api_key: An API key of inference 2.0 or MaaS.
        bare_api_key: Whether `api_key` is sent without the scheme `Bearer`. Default: false.
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
    """Create the signer for the `auth…` fields of a model.

    The first of these that is set is used: `auth`; `auth_type`; the credential fields; an access key of the environment
    (`HUAWEICLOUD_SDK_AK`, `…_SK`, `…_SECURITY_TOKEN`, `…_PROJECT_ID`) or of `~/.huaweicloud/credentials` (another file:
    `HUAWEICLOUD_SDK_CREDENTIALS_FILE`); the environment variable `MODELARTS_API_KEY`, else `MAAS_API_KEY`.

    Args:
        auth: A signer or an `httpx.Auth`.
        auth_type: `"token"`, `"password"`, `"aksk"`, `"appcode"`, `"app"`, `"api_key"` or `"none"`. Default: the one
            that the fields belong to.
        fields: The credentials; see `AuthFields`. `None` and an empty string are ignored.

    Returns:
        The signer; `auth` itself if it is an `httpx.Auth`.

    Raises:
        ValueError: No credential was found, a field is missing, unknown or malformed, or the fields belong to more than
            one `auth_type`.

    Example:
        >>> resolve_signer(ak="ABCDEFGHIJ", sk="secret")
        <AKSKSigner ABCD…>
        >>> resolve_signer(auth_type="none")
        <UnsignedSigner>
    """
    if auth is not None:
        return _check_auth(auth)
    given = {name: value for name, value in fields.items() if value}
    kind = _resolve_auth_type(auth_type, given)
    if kind is None:
        return _find_signer()
    needed, build = _BY_TYPE[kind]
    missing = [name for name in needed if name not in given]
    if kind == "aksk" and len(missing) == len(needed):
        return EnvironmentAKSKSigner()
    if missing:
        raise ValueError(f"auth_type {kind!r} needs {' and '.join(missing)} (hint: set {' and '.join(missing)})")
    return build(given)


def _password(fields: Mapping[str, Any]) -> Signer:
    user, password, domain, project = (fields[name] for name in _LOGIN_FIELDS)
    login = IAMLogin(user, password, domain, project, fields.get("iam_endpoint"))
    return PasswordTokenSigner(login, fetch=fields.get("fetch"))


def _aksk(fields: Mapping[str, Any]) -> Signer:
    return AKSKSigner(fields["ak"], fields["sk"], fields.get("security_token"), fields.get("project_id"))


_LOGIN_FIELDS = ("user", "password", "domain", "project")

#: The values of `auth_type`, with the required fields and the constructor of each.
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
    kinds = [kind for kind, (needed, _) in _BY_TYPE.items() if any(name in fields for name in needed)]
    if len(kinds) > 1:
        raise ValueError(
            f"the credential fields belong to more than one auth_type: {' and '.join(kinds)} "
            "(hint: set the fields of one of them, or set auth_type)"
        )
    return kinds[0] if kinds else None


def _check_auth(auth: Any) -> Signer | AuthFlow:
    if isinstance(auth, Signer | AuthFlow):
        return auth
    raise ValueError(
        f"auth has the type {type(auth).__name__}, which cannot sign requests (hint: pass a signer of "
        "mdstream_core.auth.huawei or an httpx.Auth; pass credentials as token, "
        "ak and sk, app_code, app_key and app_secret, or api_key)"
    )


def _find_signer() -> Signer:
    if _read_environment() or _read_profile():
        return EnvironmentAKSKSigner()
    for name in _API_KEYS:
        if os.environ.get(name):
            return EnvironmentKeySigner(name)
    raise ValueError(_missing_credentials())


def _read_environment() -> dict[str, str] | None:
    names = ("ak", "sk", "security_token", "project_id")
    fields = {name: value for name in names if (value := os.environ.get(_ENV + name.upper()))}
    return fields if {"ak", "sk"} <= fields.keys() else None


def _read_profile() -> dict[str, str] | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(_credentials_file(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise ValueError(
            f"{_credentials_file()} cannot be read (hint: it needs a section [basic] with ak and sk)"
        ) from None
    fields = dict(parser["basic"]) if parser.has_section("basic") else {}
    return fields if fields.get("ak") and fields.get("sk") else None


def _credentials_file() -> Path:
    return Path(os.environ.get(f"{_ENV}CREDENTIALS_FILE") or _FILE).expanduser()


def _missing_credentials() -> str:
    return (
        f"no Huawei Cloud credential found: no {_ENV}AK and {_ENV}SK, no [basic] with ak and sk in "
        f"{_credentials_file()}, no {' or '.join(_API_KEYS)} (hint: set token, user and "
        "password, ak and sk, app_code, app_key and app_secret or api_key, or set auth_type to one of "
        f"{', '.join(_BY_TYPE)})"
    )


def _validate_header_value(name: str, value: str) -> str:
    check_key(name, value)
    return value
