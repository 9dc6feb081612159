"""Huawei Cloud's signers: reference vectors, comparison with the SDK, expiring tokens, and secrets."""

import hashlib
import json
import logging
import pickle
import random
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mdstream_core.auth import BearerSigner, Signer, UnsignedSigner
from mdstream_core.auth._huawei_signature import canonical_request
from mdstream_core.auth.huawei import (
    MAX_REQUEST_BYTES,
    AKSKSigner,
    AppCodeSigner,
    AppKeySigner,
    EnvironmentAKSKSigner,
    IAMLogin,
    PasswordTokenSigner,
    RawKeySigner,
    TokenSigner,
    resolve_signer,
)
from mdstream_core.errors import AuthenticationError, ConnectionFailed, InvalidRequest, ServerError
from mdstream_core.http import Request

AK = "QTWAOYTTINDUT2QVKYUC"
SK = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
NOW = 1767323045.0  # 2026-01-02T03:04:05Z
SERVICE = "https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be-1111-2222-3333-abcdefabcdef"
CHAT = Request(
    "POST", f"{SERVICE}/v1/chat/completions", {"content-type": "application/json"}, b'{"model":"m","stream":true}'
)

#: Reference §2.2: (request, signed headers, signature), verified there by an independent implementation.
VECTORS: dict[str, tuple[Request, str, str]] = {
    "a chat": (
        CHAT,
        "content-type;host;x-sdk-date",
        "3354c05604972bbbcf2189364d38f0f182ab5df19ef610978102557286d4c1d1",
    ),
    "odd path and query": (
        Request(
            "POST",
            "https://infer.example.com/v1/infers/a b/é/x?b=2&a=1 2&a=0",
            {"content-type": "application/json;charset=utf8", "x-project-id": "p1", "x_custom": "v"},
            b"{}",
        ),
        "content-type;host;x-project-id;x-sdk-date",
        "0e9a727ab0b54c9624a45eb20d440448dc4531c11d79fbdfcf4031a7b1e0ebca",
    ),
    "an unsigned payload": (
        Request("POST", "https://infer.example.com/p/", {"content-type": "multipart/form-data; boundary=x"}, b"abc"),
        "content-type;host;x-sdk-content-sha256;x-sdk-date",
        "8ae080c76241982bf0db4c9a48da5e8c366e3f0dec9f4b29c02625647d5f28af",
    ),
    "no body": (
        Request("GET", "https://infer.example.com/p"),
        "host;x-sdk-date",
        "13d486de44f343acd52b6bddd190db256f94838375aa460b48aa80d55d951d04",
    ),
}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """
    No credential of the machine that runs the tests is found.
    """
    for name in ("AK", "SK", "SECURITY_TOKEN", "PROJECT_ID"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
    for name in ("MODELARTS_API_KEY", "MAAS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def create_signer(now: float = NOW) -> AKSKSigner:
    return AKSKSigner(AK, SK, clock=lambda: now)


@pytest.mark.parametrize(("request_", "names", "signature"), VECTORS.values(), ids=VECTORS)
def test_signatures_equal_the_reference_vectors(request_: Request, names: str, signature: str) -> None:
    """Four requests whose signatures were computed twice, with the SDK and without it."""
    signed = create_signer().sign(request_).headers

    assert f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders={names}, Signature={signature}" == signed["authorization"]
    assert "20260102T030405Z" == signed["x-sdk-date"]


def test_the_canonical_request_equals_the_reference() -> None:
    """Its hash is that of the first reference vector."""
    headers = {
        "content-type": "application/json",
        "host": "infer-modelarts-cn-north-4.modelarts-infer.com",
        "x-sdk-date": "20260102T030405Z",
    }
    text = canonical_request("POST", CHAT.url, headers, CHAT.content)

    assert (
        "88c7d359681fb1c68b63e8d918d9bd44f97cd1ef2268e7c26213d5654e9343f1" == hashlib.sha256(text.encode()).hexdigest()
    )


def anything(dice: random.Random) -> tuple[Request, dict[str, Any]]:
    """A random request of ours, and the same in the SDK's words."""
    text = lambda most: "".join(dice.choices("abcXYZ019-._~ %/+é中:=&", k=dice.randint(1, most)))  # noqa: E731
    path = "/" + "/".join(text(8).replace("/", "") or "p" for _ in range(dice.randint(0, 4)))
    query = [(text(5), text(8)) for _ in range(dice.randint(0, 4))]
    headers = {f"X-{dice.choice('abcdef')}{n}": text(12).strip() or "v" for n in range(dice.randint(0, 4))}
    types = ["application/json", "application/json;charset=utf8", "text/plain", "application/bson", None]
    if kind := dice.choice(types):
        headers["Content-Type"] = kind
    headers["x_under"] = "left out"
    body = dice.randbytes(dice.randint(0, 60))
    method = dice.choice(["GET", "POST", "PUT", "DELETE"])
    host = dice.choice(["infer.example.com", "10.0.0.7:8443"])
    wire = quote(path, safe="/~") + ("?" + "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in query) if query else "")  # fmt: skip
    ours = Request(method, f"https://{host}{wire}", {name.lower(): value for name, value in headers.items()}, body)
    theirs = {"method": method, "host": host, "resource_path": quote(path, safe="/~"), "query_params": query, "header_params": {**headers, "X-Sdk-Date": "20260102T030405Z"}, "body": body}  # fmt: skip
    return ours, theirs


def test_signatures_equal_those_of_huaweis_sdk() -> None:
    """Two hundred random requests, signed by `huaweicloudsdkcore` and by mdstream."""
    reason = "compares with the signatures of Huawei's SDK; install huaweicloudsdkcore"
    sdk = pytest.importorskip("huaweicloudsdkcore.signer.signer", reason=reason)
    requests = pytest.importorskip("huaweicloudsdkcore.sdk_request", reason=reason)
    auth = pytest.importorskip("huaweicloudsdkcore.auth.credentials", reason=reason)
    dice = random.Random(11)
    for _ in range(200):
        ours, theirs = anything(dice)
        expected = sdk.Signer(auth.BasicCredentials(AK, SK)).sign(requests.SdkRequest(**theirs, schema="https"))

        assert expected.header_params["Authorization"] == create_signer().sign(ours).headers["authorization"], ours


def test_a_temporary_key_signs_its_token_and_project() -> None:
    """Both are sent as signed headers."""
    headers = AKSKSigner(AK, SK, "temporary", "p1", clock=lambda: NOW).sign(CHAT).headers

    assert ("temporary", "p1") == (headers["x-security-token"], headers["x-project-id"])
    assert "SignedHeaders=content-type;host;x-project-id;x-sdk-date;x-security-token," in headers["authorization"]


def test_headers_that_a_proxy_may_change_are_not_signed() -> None:
    """They are sent all the same."""
    fields = {"accept-encoding": "gzip", "connection": "keep-alive", "content-length": "2", "user-agent": "x"}
    signed = create_signer().sign(replace(CHAT, headers={**CHAT.headers, **fields})).headers

    assert fields.items() <= signed.items()
    assert create_signer().sign(CHAT).headers["authorization"] == signed["authorization"]


def test_a_websocket_handshake_is_signed_without_a_body() -> None:
    """The content of a request to wss:// is the first message, not the body of the GET."""
    url = "wss://infer.example.com/p"
    bare = create_signer().sign(Request("GET", url)).headers["authorization"]

    assert VECTORS["no body"][2] in bare
    assert bare == create_signer().sign(Request("GET", url, {}, b'{"a":1}')).headers["authorization"]


@pytest.mark.parametrize("kind", [AKSKSigner, AppKeySigner])
def test_a_signed_body_over_12_mib_is_rejected(kind: type[AKSKSigner]) -> None:
    """The hint says that a token has no such limit."""
    kind(AK, SK).sign(replace(CHAT, content=bytes(MAX_REQUEST_BYTES)))
    with pytest.raises(InvalidRequest, match="'token' or 'password'") as caught:
        kind(AK, SK).sign(replace(CHAT, content=bytes(MAX_REQUEST_BYTES + 1)))

    assert 413 == caught.value.status


HEADERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "token": ({"token": "t0k3n"}, "x-auth-token", "t0k3n"),
    "appcode": ({"app_code": "c0de"}, "x-apig-appcode", "c0de"),
    "api_key": ({"api_key": "k3y"}, "authorization", "Bearer k3y"),
    "a bare api_key": ({"api_key": "k3y", "bare_api_key": True}, "authorization", "k3y"),
}


@pytest.mark.parametrize(("fields", "name", "value"), HEADERS.values(), ids=HEADERS)
def test_each_secret_is_sent_in_its_header(fields: dict[str, Any], name: str, value: str) -> None:
    """The fields alone select the `auth_type`."""
    made = resolve_signer(**fields)

    assert isinstance(made, Signer)
    assert value == made.sign(CHAT).headers[name]


METHODS: dict[str, tuple[dict[str, Any], type[Signer]]] = {
    "token": ({"token": "x"}, TokenSigner),
    "password": ({"user": "u", "password": "p", "domain": "d", "project": "cn-north-4"}, PasswordTokenSigner),
    "aksk": ({"ak": "a", "sk": "s"}, AKSKSigner),
    "appcode": ({"app_code": "x"}, AppCodeSigner),
    "app": ({"app_key": "a", "app_secret": "s"}, AppKeySigner),
    "api_key": ({"api_key": "x"}, BearerSigner),
    "none": ({}, UnsignedSigner),
}


@pytest.mark.parametrize(("auth_type", "fields", "kind"), [(name, *row) for name, row in METHODS.items()], ids=METHODS)
def test_each_auth_type_creates_its_signer(auth_type: str, fields: dict[str, Any], kind: type[Signer]) -> None:
    """With and without `auth_type`, if the fields are set."""
    assert kind is type(resolve_signer(auth_type=auth_type.upper(), **fields))
    if fields:
        assert kind is type(resolve_signer(**fields, **dict.fromkeys({"token", "ak", "api_key"} - fields.keys())))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown way": ({"auth_type": "kerberos"}, "token, password, aksk, appcode, app, api_key, none"),
    "two ways": ({"token": "x", "ak": "a", "sk": "s"}, "more than one auth_type: token and aksk"),
    "half a key": ({"ak": "a"}, "'aksk' needs sk "),
    "half a login": ({"user": "u", "password": "p"}, "needs domain and project "),
    "an app without its secret": ({"auth_type": "app", "app_key": "a"}, "needs app_secret "),
    "a line break": ({"token": "a\nb"}, "token cannot be sent: it has a line break"),
    "an object": ({"auth": object()}, "auth has the type object"),
    "nothing anywhere": (
        {},
        r"HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, no \[basic\].*credentials.*MODELARTS_API_KEY",
    ),
    "a key that is nowhere": ({"auth_type": "aksk"}, "no Huawei Cloud credential found"),
}


@pytest.mark.parametrize(("fields", "words"), WRONG.values(), ids=WRONG)
def test_wrong_fields_are_an_error(fields: dict[str, Any], words: str) -> None:
    """The message names the fields, or the sources that were searched."""
    with pytest.raises(ValueError, match=words):
        resolve_signer(**fields)


def test_the_environment_precedes_the_credentials_file(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> None:
    """As in Huawei's SDK; an API key is used last."""
    monkeypatch.setenv("MAAS_API_KEY", "k")
    assert isinstance(resolve_signer(), BearerSigner)
    nowhere.write_text(f"[basic]\nak = {AK}\nsk = a%b\n")
    assert f"<EnvironmentAKSKSigner {AK[:4]}…>" == repr(resolve_signer())
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "OTHER")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SK)
    assert "<EnvironmentAKSKSigner OTHE…>" == repr(resolve_signer())


def test_an_unreadable_credentials_file_is_named(nowhere: Path) -> None:
    """The error names the file and contains nothing of its content."""
    nowhere.write_text(f"ak = {SK}")
    with pytest.raises(ValueError, match="cannot be read") as caught:
        resolve_signer()

    assert str(nowhere) in str(caught.value)
    assert SK not in str(caught.value)


def test_an_auth_object_is_used_unchanged() -> None:
    """A signer, or an `httpx.Auth`."""
    ours, theirs = TokenSigner("x"), httpx.BasicAuth("u", "p")

    assert ours is resolve_signer(ours)
    assert theirs is resolve_signer(theirs)


SECRET = "s3cr3t-of-mine"


@pytest.mark.parametrize(
    "made",
    [
        TokenSigner(SECRET),
        AppCodeSigner(SECRET),
        RawKeySigner(SECRET),
        AKSKSigner("AKID", SECRET, SECRET),
        AppKeySigner("KEY", SECRET),
        PasswordTokenSigner(IAMLogin("u", SECRET, "d", "cn-north-4")),
    ],
    ids=lambda made: type(made).__name__,
)
def test_no_secret_is_in_a_repr_request_or_pickle(made: Signer) -> None:
    """No secret is in a repr request or pickle."""
    shown = f"{made!r} {vars(made)!r}" if isinstance(made, PasswordTokenSigner) else repr(made)
    if not isinstance(made, PasswordTokenSigner):
        shown += repr(made.sign(CHAT))

    assert SECRET not in shown
    with pytest.raises(TypeError, match="credential"):
        pickle.dumps(made)


def test_a_pickled_signer_reads_its_key_again(nowhere: Path) -> None:
    """The pickle contains the source, not the key."""
    nowhere.write_text(f"[basic]\nak = {AK}\nsk = {SK}\n")
    written = pickle.dumps(EnvironmentAKSKSigner())

    assert SK.encode() not in written
    assert isinstance(pickle.loads(written), EnvironmentAKSKSigner)


# Tokens that are fetched

LOGIN = IAMLogin("me", "pass", "company", "cn-north-4_team")
DAY = {"token": {"issued_at": "2026-01-02T03:04:05.000000Z", "expires_at": "2026-01-03T03:04:05.000000Z"}}


class IAM:
    """IAM in memory: returns numbered tokens, or the given responses."""

    def __init__(self, *responses: tuple[int, Mapping[str, str], bytes]) -> None:
        self.requested: list[Request] = []
        self.responses = list(responses)
        self.open = threading.Event()
        self.open.set()

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        self.requested.append(request)
        self.open.wait(5)
        token = (201, {"x-subject-token": f"token-{len(self.requested)}"}, json.dumps(DAY).encode())
        return self.responses.pop(0) if self.responses else token


def sent(made: Signer) -> str:
    if made.needs_refresh():
        made.refresh(made.generation)
    return made.sign(CHAT).headers["x-auth-token"]


def test_the_token_request_follows_the_keystone_api() -> None:
    """The password method with the scope of a project, at the region's endpoint."""
    iam = IAM()
    assert "token-1" == sent(PasswordTokenSigner(LOGIN, fetch=iam))
    (request,) = iam.requested

    assert "https://iam.cn-north-4.myhuaweicloud.com/v3/auth/tokens" == request.url
    assert {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "me", "password": "pass", "domain": {"name": "company"}}},
            },
            "scope": {"project": {"name": "cn-north-4_team"}},
        }
    } == json.loads(request.content)


@pytest.mark.parametrize("endpoint", ["http://h:1", "http://h:1/", "http://h:1/v3/auth/tokens"])
def test_the_iam_endpoint_can_be_set(endpoint: str) -> None:
    """With or without the path."""
    assert "http://h:1/v3/auth/tokens" == replace(LOGIN, endpoint=endpoint).request().url


def test_a_token_is_refreshed_shortly_before_it_expires() -> None:
    """Its lifetime is measured by IAM's clock, so that the local clock may be wrong by years."""
    now = [0.0]
    iam = IAM()
    made = PasswordTokenSigner(LOGIN, fetch=iam, clock=lambda: now[0])
    for seconds, expected in ((0, "token-1"), (23 * 3600, "token-1"), (86_400 - 599, "token-2"), (86_500, "token-2")):
        now[0] = seconds
        assert expected == sent(made)


def test_a_token_without_expiry_lasts_a_day(caplog: pytest.LogCaptureFixture) -> None:
    """The documentation states 24 hours."""
    caplog.set_level(logging.INFO, "mdstream.auth")
    now = [0.0]
    made = PasswordTokenSigner(LOGIN, fetch=IAM((201, {"x-subject-token": "x"}, b"?")), clock=lambda: now[0])
    assert "x" == sent(made)
    assert [f"credential refreshed: {made.credential_source}; valid for 86400 s"] == caplog.messages
    now[0] = 23 * 3600.0

    assert not made.needs_refresh()


def test_a_rejected_token_is_refreshed_once() -> None:
    """Ten callers whose token was rejected cause one request."""
    iam = IAM()
    made = PasswordTokenSigner(LOGIN, fetch=iam)
    sent(made)
    iam.open.clear()
    threads = [threading.Thread(target=made.refresh, args=(1,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    iam.open.set()
    for thread in threads:
        thread.join()

    assert made.can_refresh()
    assert 2 == len(iam.requested)
    assert "token-2" == sent(made)


REFUSED: dict[str, tuple[tuple[int, dict[str, str], bytes], type[Exception], str]] = {
    "a wrong password": (
        (401, {}, b'{"error":{"code":401,"message":"The username or password is wrong.","title":"Unauthorized"}}'),
        AuthenticationError,
        "'me': 401 The username or password is wrong.*check user, password, domain",
    ),
    "the other envelope": (
        (403, {}, b'{"error_code":"IAM.0003","error_msg":"Policy does not allow"}'),
        Exception,
        "403 Policy does not allow",
    ),
    "a failure": ((503, {}, b"<html>"), ServerError, "503$"),
    "no token": ((200, {}, b"[]"), AuthenticationError, "without a token"),
}


@pytest.mark.parametrize(("response", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_errors_of_iam_are_mapped(
    response: tuple[int, dict[str, str], bytes], kind: type[Exception], words: str
) -> None:
    """With IAM's message, and without the password."""
    with pytest.raises(kind, match=words) as caught:
        sent(PasswordTokenSigner(LOGIN, fetch=IAM(response)))

    assert "pass'" not in repr(caught.value)


def test_signing_without_a_token_is_an_error() -> None:
    """Clients refresh before they sign."""
    with pytest.raises(AuthenticationError, match="refresh"):
        PasswordTokenSigner(LOGIN, fetch=IAM()).sign(CHAT)


def test_an_unreachable_iam_is_a_connection_failure() -> None:
    """The default function for the request raises mdstream errors."""
    made = PasswordTokenSigner(replace(LOGIN, endpoint="http://127.0.0.1:1"))
    with pytest.raises(ConnectionFailed, match="not reached"):
        made.refresh(0)
