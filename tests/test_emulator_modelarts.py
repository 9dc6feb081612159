"""The emulated ModelArts, tested with a raw client: authentication and error responses."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _raw_client import send_request

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.services._modelarts_authentication import (
    AuthenticationRejected,
    HuaweiAccount,
    HuaweiAuthenticator,
)
from mdstream_core.emulator.services.modelarts import MODELARTS_ERROR_RESPONSES

ACCOUNT = HuaweiAccount(
    access_keys={"AK": "SK"},
    apps={"APP": "SECRET"},
    app_codes=["CODE"],
    api_keys=["KEY"],
    users={"me": "pass"},
)
CHAT = "/v1/chat/completions"
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
TEXT = "Hello! How can I help you today?"


@pytest.fixture(scope="module")
def secured_emulator() -> Iterator[Emulator]:
    with Emulator(huawei=ACCOUNT) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def login(emulator: Emulator, **changes: str) -> Any:
    login_response = {"user": "me", "password": "pass", "domain": "company", "project": "cn-north-4", **changes}
    user = {
        "name": login_response["user"],
        "password": login_response["password"],
        "domain": {"name": login_response["domain"]},
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": login_response["project"]}}
    return send_request(f"{emulator.modelarts.iam}/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})


def sign(url: str, key: str, secret: str, body: bytes, date: str | None = None) -> dict[str, str]:
    """Sign a request as Huawei's reference describes, for a URL without special characters."""
    date = date or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host, _, path = url.removeprefix("http://").partition("/")
    digest = hashlib.sha256(body).hexdigest()
    text = f"POST\n/{path}/\n\nhost:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date\n{digest}"
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), "sha256").hexdigest()
    header = f"SDK-HMAC-SHA256 Access={key}, SignedHeaders=host;x-sdk-date, Signature={signature}"
    return {"authorization": header, "x-sdk-date": date}


def test_iam_issues_tokens_for_the_service(secured_emulator: Emulator) -> None:
    """
    The token is in a header, its lifetime in the body; it is rejected when it has expired.
    """
    login_response = login(secured_emulator)
    token = login_response.headers["x-subject-token"]
    accepted = send_request(secured_emulator.modelarts.endpoint + CHAT, REQUEST, x_auth_token=token)
    secured_emulator.modelarts.expire_tokens()
    rejected = send_request(secured_emulator.modelarts.endpoint + CHAT, REQUEST, x_auth_token=token)

    assert (201, 200, 401) == (login_response.status, accepted.status, rejected.status)
    assert {"issued_at", "expires_at"} <= login_response.json["token"].keys()
    assert "text/event-stream;charset=UTF-8" == accepted.headers["content-type"]
    assert (TEXT, "APIG.0301") == (accepted.text, rejected.json["error_code"])


@pytest.mark.parametrize("wrong", ["user", "password", "domain", "project"])
def test_iam_rejects_wrong_credentials(secured_emulator: Emulator, wrong: str) -> None:
    """
    The response has Keystone's error format.
    """
    rejected = login(secured_emulator, **{wrong: "nobody"})

    assert (401, "Unauthorized") == (rejected.status, rejected.json["error"]["title"])
    assert 400 == send_request(f"{secured_emulator.modelarts.iam}/v3/auth/tokens", {"auth": {}}).status


def test_a_token_expires() -> None:
    """
    By the emulator's clock.
    """
    now = [0.0]
    authenticator = HuaweiAuthenticator(ACCOUNT, now=lambda: now[0])
    authenticator._tokens["t"] = 86_400.0
    authenticator._check_token("t")
    now[0] = 86_400.0
    with pytest.raises(AuthenticationRejected, match="decrypt token fail"):
        authenticator._check_token("t")


BODY = json.dumps(REQUEST).encode()
OLD = "20200101T000000Z"


@pytest.mark.parametrize(
    ("key", "secret", "date", "status", "code"),
    [
        ("AK", "SK", None, 200, None),
        ("APP", "SECRET", None, 200, None),
        ("AK", "wrong", None, 401, "APIG.0301"),
        ("APP", "wrong", None, 401, "APIG.0303"),
        ("nobody", "SK", None, 401, "APIG.0301"),
        ("AK", "SK", OLD, 401, "APIG.0301"),
        ("AK", "SK", "yesterday", 401, "APIG.0301"),
    ],
)
def test_a_signature_is_verified(
    secured_emulator: Emulator, key: str, secret: str, date: str | None, status: int, code: str | None
) -> None:
    """
    A wrong secret, an unknown key or an old date returns the gateway's error.
    """
    url = secured_emulator.modelarts.endpoint + CHAT
    response = send_request(url, BODY, **sign(url, key, secret, BODY, date))

    assert status == response.status
    assert code is None or code == response.json["error_code"]


def test_a_changed_body_is_rejected(secured_emulator: Emulator) -> None:
    """
    The signature covers the hash of the body.
    """
    url = secured_emulator.modelarts.endpoint + CHAT
    response = send_request(url, BODY + b" ", **sign(url, "AK", "SK", BODY))

    assert (401, "APIG.0301") == (response.status, response.json["error_code"])


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x_apig_appcode": "CODE"}, 200, None),
        ({"x_apig_appcode": "wrong"}, 401, "APIG.0303"),
        ({"authorization": "Bearer KEY"}, 200, None),
        ({"authorization": "KEY"}, 200, None),
        ({"authorization": "Bearer wrong"}, 400, "ModelArts.4905"),
        ({"authorization": "SDK-HMAC-SHA256 nonsense"}, 401, "APIG.0301"),
        ({}, 401, "APIG.0301"),
    ],
)
def test_a_key_is_verified(secured_emulator: Emulator, headers: dict[str, str], status: int, code: str | None) -> None:
    """
    AppCodes and API keys, for HTTPS and for the handshake of a WebSocket.
    """
    response = send_request(secured_emulator.modelarts.endpoint + CHAT, REQUEST, **headers)
    fields = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    handshake = send_request(secured_emulator.modelarts.endpoint + CHAT, b"", "GET", silence=0.3, sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **fields, **headers)  # fmt: skip

    assert (status, 101 if status == 200 else status) == (response.status, handshake.status)
    assert code is None or {code} == {response.json["error_code"], handshake.json["error_code"]}
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [("Bearer KEY", 200, None), ("KEY", 400, "ModelArts.81002"), ("Bearer wrong", 401, "ModelArts.81003")],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_maas_requires_a_bearer_key(
    secured_emulator: Emulator, authorization: str, status: int, code: str | None, version: str
) -> None:
    """
    The errors have MaaS's codes.
    """
    base = secured_emulator.modelarts.maas.removesuffix("v1") + version
    response = send_request(f"{base}/chat/completions", REQUEST, authorization=authorization)

    assert status == response.status
    assert code is None or code == response.json["error_code"]


def test_requests_reach_the_container(emulator: Emulator) -> None:
    """
    Streams, documents and other routes work; the container's errors are forwarded.
    """
    url = emulator.modelarts.endpoint

    assert TEXT == send_request(url + CHAT, REQUEST).text
    assert TEXT == send_request(url + CHAT, {**REQUEST, "stream": False}).json["choices"][0]["message"]["content"]
    assert 256 == len(send_request(f"{url}/v1/embeddings", {"model": "m", "input": "x"}).json["data"][0]["embedding"])
    assert "error" in send_request(url + CHAT, {"messages": "x"}).json


def test_an_unknown_service_is_not_found(emulator: Emulator) -> None:
    """
    The error has API Gateway's code.
    """
    response = send_request(f"{emulator.url}/v1/infers/other{CHAT}", REQUEST)

    assert (404, "APIG.0101") == (response.status, response.json["error_code"])


def test_a_body_over_12_mb_is_rejected(emulator: Emulator) -> None:
    """
    It is read nevertheless, so that the client receives the error.
    """
    response = send_request(emulator.modelarts.endpoint + CHAT, bytes(12 * 1024 * 1024 + 1))

    assert (413, "APIG.0201") == (response.status, response.json["error_code"])


@pytest.mark.parametrize("name", MODELARTS_ERROR_RESPONSES)
def test_error_responses_have_huaweis_format(emulator: Emulator, name: str) -> None:
    """
    One row for each known error of the gateway and of MaaS.
    """
    emulator.script(Fault("refuse", name))
    response = send_request(emulator.modelarts.endpoint + CHAT, REQUEST)
    body = response.json.get("error", response.json)

    assert MODELARTS_ERROR_RESPONSES[name].status == response.status
    assert body.get("error_code", body.get("errorCode")).startswith(("ModelArts.", "APIG."))
    assert response.headers["x-request-id"]


def test_an_invalid_handshake_is_rejected(emulator: Emulator) -> None:
    """
    The package `websockets`, the emulator's side, rejects it.
    """
    response = send_request(emulator.modelarts.endpoint + CHAT, b"", "GET", upgrade="websocket", connection="Upgrade")

    assert 400 == response.status
