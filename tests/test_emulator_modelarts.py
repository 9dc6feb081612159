"""The emulated ModelArts, asked by a client that hides nothing: who is let in, what is refused and how."""

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
def guarded() -> Iterator[Emulator]:
    with Emulator(huawei=ACCOUNT) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def login(emulator: Emulator, **changes: str) -> Any:
    given = {"user": "me", "password": "pass", "domain": "company", "project": "cn-north-4", **changes}
    user = {"name": given["user"], "password": given["password"], "domain": {"name": given["domain"]}}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": given["project"]}}
    return send_request(f"{emulator.modelarts.iam}/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})


def signed(url: str, key: str, secret: str, body: bytes, date: str | None = None) -> dict[str, str]:
    """A signature written down from the reference's own words, for a URL without anything odd in it."""
    date = date or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host, _, path = url.removeprefix("http://").partition("/")
    digest = hashlib.sha256(body).hexdigest()
    text = f"POST\n/{path}/\n\nhost:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date\n{digest}"
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), "sha256").hexdigest()
    header = f"SDK-HMAC-SHA256 Access={key}, SignedHeaders=host;x-sdk-date, Signature={signature}"
    return {"authorization": header, "x-sdk-date": date}


def test_iam_gives_out_tokens_that_open_the_service(guarded: Emulator) -> None:
    """
    The token is a header, its life stands in the body; it is refused once it is expired.
    """
    given = login(guarded)
    token = given.headers["x-subject-token"]
    opened = send_request(guarded.modelarts.endpoint + CHAT, REQUEST, x_auth_token=token)
    guarded.modelarts.expire_tokens()
    refused = send_request(guarded.modelarts.endpoint + CHAT, REQUEST, x_auth_token=token)

    assert (201, 200, 401) == (given.status, opened.status, refused.status)
    assert {"issued_at", "expires_at"} <= given.json["token"].keys()
    assert "text/event-stream;charset=UTF-8" == opened.headers["content-type"]
    assert (TEXT, "APIG.0301") == (opened.text, refused.json["error_code"])


@pytest.mark.parametrize("wrong", ["user", "password", "domain", "project"])
def test_iam_refuses_a_login_that_is_wrong(guarded: Emulator, wrong: str) -> None:
    """
    In Keystone's envelope.
    """
    refused = login(guarded, **{wrong: "nobody"})

    assert (401, "Unauthorized") == (refused.status, refused.json["error"]["title"])
    assert 400 == send_request(f"{guarded.modelarts.iam}/v3/auth/tokens", {"auth": {}}).status


def test_a_token_has_an_end() -> None:
    """
    By the emulator's clock.
    """
    now = [0.0]
    gate = HuaweiAuthenticator(ACCOUNT, now=lambda: now[0])
    gate._tokens["t"] = 86_400.0
    gate._check_token("t")
    now[0] = 86_400.0
    with pytest.raises(AuthenticationRejected, match="decrypt token fail"):
        gate._check_token("t")


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
    guarded: Emulator, key: str, secret: str, date: str | None, status: int, code: str | None
) -> None:
    """
    A wrong secret, an unknown key, an old date: the gateway's own refusal.
    """
    url = guarded.modelarts.endpoint + CHAT
    results = send_request(url, BODY, **signed(url, key, secret, BODY, date))

    assert status == results.status
    assert code is None or code == results.json["error_code"]


def test_a_body_that_was_changed_is_refused(guarded: Emulator) -> None:
    """
    Its hash is part of what is signed.
    """
    url = guarded.modelarts.endpoint + CHAT
    results = send_request(url, BODY + b" ", **signed(url, "AK", "SK", BODY))

    assert (401, "APIG.0301") == (results.status, results.json["error_code"])


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
def test_a_key_is_verified(guarded: Emulator, headers: dict[str, str], status: int, code: str | None) -> None:
    """
    AppCodes and API keys, on HTTPS and on the handshake of a WebSocket alike.
    """
    results = send_request(guarded.modelarts.endpoint + CHAT, REQUEST, **headers)
    fields = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    shaken = send_request(guarded.modelarts.endpoint + CHAT, b"", "GET", silence=0.3, sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **fields, **headers)  # fmt: skip

    assert (status, 101 if status == 200 else status) == (results.status, shaken.status)
    assert code is None or {code} == {results.json["error_code"], shaken.json["error_code"]}
    assert results.headers["x-request-id"]


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [("Bearer KEY", 200, None), ("KEY", 400, "ModelArts.81002"), ("Bearer wrong", 401, "ModelArts.81003")],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_maas_wants_a_bearer_key(
    guarded: Emulator, authorization: str, status: int, code: str | None, version: str
) -> None:
    """
    And says so in codes of its own.
    """
    base = guarded.modelarts.maas.removesuffix("v1") + version
    results = send_request(f"{base}/chat/completions", REQUEST, authorization=authorization)

    assert status == results.status
    assert code is None or code == results.json["error_code"]


def test_the_container_stands_behind_the_service(emulator: Emulator) -> None:
    """
    Streams, documents, other routes; its own errors pass through.
    """
    url = emulator.modelarts.endpoint

    assert TEXT == send_request(url + CHAT, REQUEST).text
    assert TEXT == send_request(url + CHAT, {**REQUEST, "stream": False}).json["choices"][0]["message"]["content"]
    assert 256 == len(send_request(f"{url}/v1/embeddings", {"model": "m", "input": "x"}).json["data"][0]["embedding"])
    assert "error" in send_request(url + CHAT, {"messages": "x"}).json


def test_an_unknown_service_is_not_found(emulator: Emulator) -> None:
    """
    API Gateway's own code.
    """
    results = send_request(f"{emulator.url}/v1/infers/other{CHAT}", REQUEST)

    assert (404, "APIG.0101") == (results.status, results.json["error_code"])


def test_a_body_over_12_mb_is_refused(emulator: Emulator) -> None:
    """
    It is read nevertheless, so that the client hears why.
    """
    results = send_request(emulator.modelarts.endpoint + CHAT, bytes(12 * 1024 * 1024 + 1))

    assert (413, "APIG.0201") == (results.status, results.json["error_code"])


@pytest.mark.parametrize("name", MODELARTS_ERROR_RESPONSES)
def test_refusals_have_huaweis_envelope(emulator: Emulator, name: str) -> None:
    """
    A row each for what the gateway and MaaS are known to say.
    """
    emulator.script(Fault("refuse", name))
    results = send_request(emulator.modelarts.endpoint + CHAT, REQUEST)
    body = results.json.get("error", results.json)

    assert MODELARTS_ERROR_RESPONSES[name].status == results.status
    assert body.get("error_code", body.get("errorCode")).startswith(("ModelArts.", "APIG."))
    assert results.headers["x-request-id"]


def test_a_handshake_that_is_none_is_refused(emulator: Emulator) -> None:
    """
    By the package `websockets`, which is the emulator's half.
    """
    results = send_request(emulator.modelarts.endpoint + CHAT, b"", "GET", upgrade="websocket", connection="Upgrade")

    assert 400 == results.status
