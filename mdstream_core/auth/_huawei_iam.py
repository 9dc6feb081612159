"""IAM tokens of Huawei Cloud: fetched with a user's password, kept until shortly before they expire.

`POST {iam}/v3/auth/tokens`; the token is the answer's header `X-Subject-Token` (the Keystone v3 API). Real-time
services want a token whose scope is a project (inference-modelarts-0023), and it is valid for 24 hours (sources/004).
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

#: Sends a request and comes back with status, headers (lower case) and body; raises `ConnectionFailed`.
FetchFunction = Callable[[Request], tuple[int, Mapping[str, str], bytes]]

_NO_ENDPOINT = "is no URL of IAM, such as https://iam.cn-north-4.myhuaweicloud.com"

#: A token is fetched again so many seconds before its end: longer than the longest answer.
_MARGIN = 600.0

#: The most characters of IAM's own message that are quoted.
_LONGEST = 2000

#: For an answer that does not say how long its token lives.
_VALIDITY = 24 * 3600.0


def check_iam_endpoint(url: str) -> None:
    """Check an address of IAM that was given. Raises `ValueError` where it is none; a query is not shown."""
    check_url("iam_endpoint", url, problem=_NO_ENDPOINT)
    if "?" in url or "#" in url:
        raise ValueError("iam_endpoint has a query or a fragment, which IAM's address has not")


@dataclass(frozen=True, slots=True)
class IAMLogin:
    """Who asks IAM for a token, and where.

    Args:
        user: The IAM user's name.
        password: Its password.
        domain: The account's name, which IAM calls domain.
        project: The project that the token is for: a region's name such as `cn-north-4`, or a sub-project of it.
        endpoint: IAM's address; default: that of the project's region.
    """

    user: str
    password: str = field(repr=False)
    domain: str
    project: str
    endpoint: str | None = None

    def __post_init__(self) -> None:
        names = ("user", "password", "domain", "project")
        if missing := [name for name in names if not getattr(self, name)]:
            raise ValueError(f"to fetch an IAM token {', '.join(missing)} must be given too")
        if self.endpoint is not None:
            check_iam_endpoint(self.endpoint)
        check_name("project", self.project, "huawei project elsewhere" if self.endpoint else "huawei project")

    def request(self) -> Request:
        """What is sent to IAM."""
        base = self.endpoint or f"https://iam.{self.project.partition('_')[0]}.myhuaweicloud.com"
        user = {"name": self.user, "password": self.password, "domain": {"name": self.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"name": self.project}}}}
        url = f"{base.rstrip('/').removesuffix('/v3/auth/tokens')}/v3/auth/tokens"
        return Request("POST", url, {"content-type": "application/json"}, json.dumps(body).encode())


class PasswordTokenSigner(Signer):
    """Sends `X-Auth-Token` with a token that it fetches, and fetches again shortly before it expires.

    Args:
        login: Who asks.
        fetch: Sends the request; default: `mdstream_core.transport.fetch`.
        clock: Seconds that pass.
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
            raise AuthenticationError("there is no IAM token yet: call refresh() before sign()")
        return replace(request, headers={**request.headers, "x-auth-token": self._token})

    def needs_refresh(self) -> bool:
        return self._expires - self._clock() < _MARGIN

    def can_refresh(self) -> bool:
        return True

    def fetch_credential(self) -> None:
        if self._fetch is None:
            from mdstream_core.transport.fetch import fetch  # noqa: PLC0415 (an HTTP library: only who needs it)

            self._fetch = fetch
        status, headers, body = self._fetch(self._login.request())
        if status >= 300:
            raise _login_error(status, body, self._login)
        token = headers.get("x-subject-token")
        if not token:
            raise AuthenticationError(
                f"IAM answered {status} without a token (x-subject-token): is the endpoint IAM's?"
            )
        self._expires = self._clock() + _validity(body)
        self._token = token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._login.user!r} of {self._login.domain!r} for {self._login.project!r}>"


def _login_error(status: int, body: bytes, login: IAMLogin) -> MDStreamError:
    said = _inner(body, "error")
    hint = "check user, password, domain (the account's name) and project (such as cn-north-4)"
    words = next((word for name in ("message", "error_msg") if isinstance(word := said.get(name), str)), "")
    message = f"IAM gave no token to {login.user!r}: {status} {words[:_LONGEST]}"
    return error_class_for_status(status)(
        f"{message.strip()} ({hint})" if status < 500 else message.strip(), status=status
    )


def _validity(body: bytes) -> float:
    """How many seconds the token lives: from issue to end by IAM's clock, so that ours need not be right."""
    token = _inner(body, "token")
    try:
        end, start = (datetime.fromisoformat(token[name]) for name in ("expires_at", "issued_at"))
        seconds = (end - start).total_seconds()
    except SHAPE_ERRORS:  # not there, no text, no date, a year beyond 9999, one with a zone and one without
        return _VALIDITY
    return min(seconds, _VALIDITY) if seconds > 0 else _VALIDITY


def _inner(body: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    inner = document.get(name) if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else document if isinstance(document, dict) else {}
