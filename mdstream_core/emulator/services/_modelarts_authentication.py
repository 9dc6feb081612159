"""Authentication at ModelArts: IAM tokens, signatures with AK/SK and app keys, AppCodes, API keys."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from urllib.parse import parse_qsl, quote, unquote

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan

MAX_CLOCK_SKEW = 900  # seconds; API Gateway allows 15 minutes
_SIGNATURE = re.compile(
    r"SDK-HMAC-SHA256 Access=(?P<key>[^,]+), *SignedHeaders=(?P<names>[^,]+), *Signature=(?P<sign>\w+)"
)
_CREDENTIALS = ("authorization", "x-auth-token", "x-apig-appcode", "x-sdk-date", "host")
_MAX_ISSUED_TOKENS = 10_000  # tokens that are stored; a security limit
_UNSIGNED = "UNSIGNED-PAYLOAD"  # accepted by Huawei's gateway for large bodies
_DAY = 24 * 3600.0


class AuthenticationRejected(Exception):
    """The credentials are rejected: Huawei's error code, its message, the status."""

    def __init__(self, code: str, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True, slots=True)
class HuaweiAccount:
    """The credentials of an account at Huawei Cloud.

    `HuaweiAccount(access_keys={"AK": "SK"}, users={"user": "password"})`; every field is optional.

    Attributes:
        access_keys: Secret access keys (SK) by access key id (AK).
        apps: App secrets by app key.
        app_codes: AppCodes.
        api_keys: API keys, of real-time services and of MaaS.
        users: Passwords by user name, for IAM.
        domain: Name of the account.
        project: Project that tokens have to be for, e.g. `cn-north-4`.
        token_seconds: Lifetime of a token in seconds; by default 24 hours.
    """

    access_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    apps: Mapping[str, str] = field(default_factory=dict, repr=False)
    app_codes: Collection[str] = field(default=(), repr=False)
    api_keys: Collection[str] = field(default=(), repr=False)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    domain: str = "company"
    project: str = "cn-north-4"
    token_seconds: float = _DAY


class HuaweiAuthenticator:
    """Checks credentials and issues IAM tokens; accepts every request if there is no account."""

    def __init__(self, account: HuaweiAccount | None, now: Callable[[], float] = time) -> None:
        self._account = account
        self._now = now
        self._tokens: dict[str, float] = {}

    def expire_all(self) -> None:
        """Reject every token that was issued so far."""
        self._tokens.clear()

    def check(self, http_request: RecordedRequest) -> None:
        """Raise `AuthenticationRejected` if the credentials are not accepted by a real-time service."""
        if self._account is None:
            return
        fields = http_request.headers
        scheme, _, key = fields.get("authorization", "").partition(" ")
        if repeated := [name for name in _CREDENTIALS if http_request.count(name) > 1]:
            raise AuthenticationRejected(
                "APIG.0301", f"Incorrect IAM authentication information: {repeated[0]} is there twice"
            )
        if "x-auth-token" in fields:
            self._check_token(fields["x-auth-token"])
        elif "x-apig-appcode" in fields:
            if fields["x-apig-appcode"] not in self._account.app_codes:
                raise AuthenticationRejected("APIG.0303", "Incorrect app authentication information: app code is wrong")
        elif scheme == "SDK-HMAC-SHA256":
            self._check_signature(http_request, self._account)
        elif not scheme:
            raise AuthenticationRejected("APIG.0301", "Incorrect IAM authentication information: no credential")
        elif (key or scheme) not in self._account.api_keys:
            raise AuthenticationRejected("ModelArts.4905", "The API key is incorrect or missing", 400)

    def check_maas(self, http_request: RecordedRequest) -> None:
        """Raise `AuthenticationRejected` if the credentials are not accepted by MaaS, which has API keys only."""
        scheme, _, key = http_request.headers.get("authorization", "").partition(" ")
        if self._account is None:
            return
        if scheme != "Bearer":
            raise AuthenticationRejected(
                "ModelArts.81002", "Authorization header is missing or has no prefix Bearer", 400
            )
        if key not in self._account.api_keys:
            raise AuthenticationRejected("ModelArts.81003", "The API key is invalid")

    def issue_token(self, http_request: RecordedRequest) -> ResponsePlan:
        """Handle IAM's `POST /v3/auth/tokens`."""
        try:
            auth = http_request.json["auth"]
            user, scope = auth["identity"]["password"]["user"], auth["scope"]["project"]["name"]
            name, password, domain = user["name"], user["password"], user["domain"]["name"]
        except (ValueError, LookupError, TypeError):
            return _iam_error(400, "The request body is invalid")
        account = self._account or HuaweiAccount(users={name: password}, domain=domain, project=scope)
        if account.users.get(name) != password or domain != account.domain:
            return _iam_error(401, "The username or password is wrong.")
        if scope != account.project:
            return _iam_error(401, "The project is not found.")
        if len(self._tokens) >= _MAX_ISSUED_TOKENS:
            del self._tokens[next(iter(self._tokens))]  # the oldest
        token, now = secrets.token_urlsafe(48), self._now()
        self._tokens[token] = now + account.token_seconds
        body = {
            "token": {
                "methods": ["password"],
                "issued_at": _timestamp(now),
                "expires_at": _timestamp(self._tokens[token]),
            }
        }
        return json_plan(201, body, ("X-Subject-Token", token))

    def _check_token(self, token: str) -> None:
        if self._tokens.get(token, 0.0) <= self._now():
            raise AuthenticationRejected("APIG.0301", "Incorrect IAM authentication information: decrypt token fail")

    def _check_signature(self, http_request: RecordedRequest, account: HuaweiAccount) -> None:
        match = _SIGNATURE.fullmatch(http_request.headers["authorization"])
        if match is None:
            raise AuthenticationRejected(
                "APIG.0301", "Incorrect IAM authentication information: the signature cannot be read"
            )
        key, names = match["key"], match["names"].split(";")
        code = "APIG.0303" if key in account.apps else "APIG.0301"
        secret = account.apps.get(key) or account.access_keys.get(key)
        date = http_request.headers.get("x-sdk-date", "")
        if http_request.repeated(names) or len(set(names)) < len(names):
            raise AuthenticationRejected(
                code, "Incorrect IAM authentication information: a signed header must be there once"
            )
        if secret is None:
            raise AuthenticationRejected(code, "Incorrect IAM authentication information: get secretKey failed")
        if not {"host", "x-sdk-date"} <= set(names) or self._clock_skew(date) > MAX_CLOCK_SKEW:
            raise AuthenticationRejected(code, "Incorrect IAM authentication information: signature expired")
        declared_hash = http_request.headers.get("x-sdk-content-sha256", _UNSIGNED)
        if http_request.body and declared_hash not in {_UNSIGNED, hashlib.sha256(http_request.body).hexdigest()}:
            raise AuthenticationRejected(
                code, "Incorrect IAM authentication information: x-sdk-content-sha256 is not the body's"
            )
        digest = hashlib.sha256(_canonical_request(http_request, names).encode()).hexdigest()
        text = f"SDK-HMAC-SHA256\n{date}\n{digest}"
        expected = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(expected.encode(), match["sign"].encode()):
            raise AuthenticationRejected(code, "Incorrect IAM authentication information: verify aksk signature fail")

    def _clock_skew(self, date: str) -> float:
        try:
            date_time = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return float("inf")
        return abs(self._now() - date_time.timestamp())


def _canonical_request(http_request: RecordedRequest, names: list[str]) -> str:
    """Build the canonical request from the request as it arrived."""
    path, _, query = http_request.target.partition("?")
    segments = [quote(unquote(segment), safe="~") for segment in path.split("/")]
    pairs = sorted((name, value) for name, value in parse_qsl(query, keep_blank_values=True))
    canonical_query = "&".join("=".join(quote(part, safe="~") for part in pair) for pair in pairs)
    header_lines = [f"{name}:{http_request.headers.get(name, '').strip()}" for name in names]
    declared_hash = http_request.headers.get("x-sdk-content-sha256", "") if http_request.body else ""
    digest = declared_hash or hashlib.sha256(http_request.body).hexdigest()
    uri = "/".join(segments).rstrip("/") + "/"
    return "\n".join([http_request.method, uri, canonical_query, *header_lines, "", ";".join(names), digest])


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _iam_error(status: int, message: str) -> ResponsePlan:
    title = {400: "Bad Request", 401: "Unauthorized"}[status]
    return json_plan(status, {"error": {"code": status, "message": message, "title": title}})
