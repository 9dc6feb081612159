"""IAM tokens of Huawei Cloud: fetched with a user's password, and again shortly before they expire.

`POST {iam}/v3/auth/tokens`; the token is in the response header `X-Subject-Token` (the Keystone v3 API). Real-time
services require a token whose scope is a project (inference-modelarts-0023); it is valid for 24 hours (sources/004).
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mdstream_core._addresses import check_name, check_url
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import SHAPE_ERRORS, AuthenticationError, MDStreamError, error_class_for_status
from mdstream_core.http import Request

#: Sends a request and returns status, headers (names in lower case) and body; raises `ConnectionFailed`.
FetchFunction = Callable[[Request], tuple[int, Mapping[str, str], bytes]]

_NO_ENDPOINT = "is not a URL of IAM (hint: use one such as https://iam.cn-north-4.myhuaweicloud.com)"

#: A token is fetched again this many seconds before it expires: longer than the longest response takes.
_MARGIN = 600.0

#: Maximum number of characters of IAM's message in an error.
_MAX_MESSAGE = 2000

#: Lifetime in seconds of a token whose response does not state one.
_DEFAULT_LIFETIME = 24 * 3600.0


def check_iam_endpoint(url: str) -> None:
    """Check the URL of an IAM endpoint.

    Args:
        url: Such as `https://iam.cn-north-4.myhuaweicloud.com`.

    Raises:
        ValueError: It is not a URL, or has credentials, a query or a fragment; the message does not contain these.
    """
    check_url("iam_endpoint", url, problem=_NO_ENDPOINT)
    if "?" in url or "#" in url:
        raise ValueError("iam_endpoint has a query or a fragment (hint: remove what follows the host)")


@dataclass(frozen=True, slots=True)
class IAMLogin:
    """User, password and scope for an IAM token.

    Args:
        user: Name of the IAM user.
        password: Its password.
        domain: Name of the account, which IAM calls domain.
        project: Scope of the token: the name of a region such as `cn-north-4`, or of a sub-project such as
            `cn-north-4_team`.
        endpoint: URL of IAM. Default: that of the project's region, such as
            `https://iam.cn-north-4.myhuaweicloud.com`.

    Raises:
        ValueError: A field is empty or malformed.

    Example:
        >>> IAMLogin("user", "password", "account", "cn-north-4").request()
        <Request POST https://iam.cn-north-4.myhuaweicloud.com/v3/auth/tokens content-type; 190 bytes>
    """

    user: str
    password: str = field(repr=False)
    domain: str
    project: str
    endpoint: str | None = None

    def __post_init__(self) -> None:
        names = ("user", "password", "domain", "project")
        if missing := [name for name in names if not getattr(self, name)]:
            raise ValueError(
                f"an IAM token needs user, password, domain and project (hint: set {', '.join(missing)} too)"
            )
        if self.endpoint is not None:
            check_iam_endpoint(self.endpoint)
        check_name("project", self.project, "huawei project elsewhere" if self.endpoint else "huawei project")

    def request(self) -> Request:
        """Build the request for a token."""
        base = self.endpoint or f"https://iam.{self.project.partition('_')[0]}.myhuaweicloud.com"
        user = {"name": self.user, "password": self.password, "domain": {"name": self.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"name": self.project}}}}
        url = f"{base.rstrip('/').removesuffix('/v3/auth/tokens')}/v3/auth/tokens"
        return Request("POST", url, {"content-type": "application/json"}, json.dumps(body).encode())


class PasswordTokenSigner(Signer):
    """Sends `X-Auth-Token` with a token that it fetches from IAM, and again 10 minutes before it expires.

    Args:
        login: User, password and scope.
        fetch: Sends the request for a token. Default: a request over HTTPS with the proxies of the environment.
        clock: Returns a time in seconds. Default: `time.time`.

    Example:
        >>> PasswordTokenSigner(IAMLogin("user", "password", "account", "cn-north-4"))
        <PasswordTokenSigner 'user' of 'account' for 'cn-north-4'>
    """

    def __init__(
        self, login: IAMLogin, *, fetch: FetchFunction | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(clock=clock)
        self._login = login
        self._fetch = fetch
        self._clock = clock
        self._token = ""
        self._expires = 0.0

    def sign(self, request: Request) -> Request:
        if not self._token:
            raise AuthenticationError("there is no IAM token yet (hint: call refresh() before sign())")
        return replace(request, headers={**request.headers, "x-auth-token": self._token})

    @property
    def expires_in(self) -> float | None:
        return self._expires - self._clock()

    def needs_refresh(self) -> bool:
        return self._expires - self._clock() < _MARGIN

    def can_refresh(self) -> bool:
        return True

    def fetch_credential(self) -> None:
        if self._fetch is None:
            from mdstream_core.transport.fetch import fetch  # noqa: PLC0415 (an HTTP library, imported on first use)

            self._fetch = fetch
        status, headers, body = self._fetch(self._login.request())
        if status >= 300:
            raise _login_error(status, body, self._login)
        token = headers.get("x-subject-token")
        if not token:
            raise AuthenticationError(
                f"IAM returned {status} without a token in x-subject-token (hint: check iam_endpoint)"
            )
        self._expires = self._clock() + _lifetime(body)
        self._token = token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._login.user!r} of {self._login.domain!r} for {self._login.project!r}>"


def _login_error(status: int, body: bytes, login: IAMLogin) -> MDStreamError:
    error = _inner_object(body, "error")
    hint = "check user, password, domain, which is the account's name, and project, such as cn-north-4"
    reason = next((text for name in ("message", "error_msg") if isinstance(text := error.get(name), str)), "")
    message = f"IAM returned no token for {login.user!r}: {status} {reason[:_MAX_MESSAGE]}".strip()
    return error_class_for_status(status)(f"{message} (hint: {hint})" if status < 500 else message, status=status)


def _lifetime(body: bytes) -> float:
    """Lifetime of the token in seconds, by IAM's clock only, so that this machine's need not be right."""
    token = _inner_object(body, "token")
    try:
        end, start = (datetime.fromisoformat(token[name]) for name in ("expires_at", "issued_at"))
        seconds = (end - start).total_seconds()
    except SHAPE_ERRORS:  # missing, no text, no date, a year beyond 9999, only one with a time zone
        return _DEFAULT_LIFETIME
    return min(seconds, _DEFAULT_LIFETIME) if seconds > 0 else _DEFAULT_LIFETIME


def _inner_object(body: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    inner = document.get(name) if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else document if isinstance(document, dict) else {}
