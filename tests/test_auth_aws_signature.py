"""Signature Version 4: the same headers as from botocore, for generated requests; and the key of the day."""

import datetime as dt
import random
import threading
from typing import Any

import pytest

from mdstream_core.auth._aws_signature import SigningKey
from mdstream_core.auth.aws import AWSSigner
from mdstream_core.http import Request

pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEXAMPLE//token+="
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
HOST = "https://runtime.sagemaker.us-east-1.amazonaws.com"

#: The headers that botocore's client signs for SageMaker.
SIGNED = ("content-type", "x-amz-", "x-amzn-sagemaker-")


def sign_with_botocore(request: Request, credentials: Any, region: str, service: str) -> dict[str, str]:
    """The headers of a request after botocore's signer, with those that it does not sign."""
    headers = {name: value for name, value in request.headers.items() if name.startswith(SIGNED)}
    theirs = AWSRequest(request.method, request.url, headers=headers, data=request.content)
    botocore.auth.SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(theirs)
    return {**request.headers, **{name.lower(): value for name, value in theirs.headers.items()}}


AWKWARD = {
    "no body": Request("GET", f"{HOST}/endpoints/e/invocations"),
    "no path": Request("POST", HOST, {}, b"{}"),
    "dot segments": Request("POST", f"{HOST}/a/./b/../c//d/", {}, b"{}"),
    "escapes": Request("POST", f"{HOST}/a%20b/%C3%A9/~c%2Fd", {}, b"{}"),
    "a query": Request("POST", f"{HOST}/p?b=2&a=1&b=1&empty=&alone&x=%20~", {}, b"{}"),
    "an empty query": Request("POST", f"{HOST}/p?", {}, b"{}"),
    "a port": Request("POST", "https://Host.example:8443/p", {}, b"{}"),
    "the default port": Request("POST", "https://host.example:443/p", {}, b"{}"),
    "another scheme": Request("POST", "http://127.0.0.1:80/p", {}, b"{}"),
    "ipv6": Request("POST", "https://[::1]:8443/p", {}, b"{}"),
    "a user": Request("POST", "https://user:word@host.example/p", {}, b"{}"),
    "spaces in a value": Request("POST", HOST, {"x-amzn-sagemaker-custom-attributes": "a   b  c"}, b"{}"),
    "headers that are not signed": Request("POST", HOST, {"user-agent": "a", "x-amzn-trace-id": "b", "te": "c"}, b"{}"),
    "a host header": Request("POST", HOST, {"host": "other.example"}, b"{}"),
    "a date of the caller": Request("POST", HOST, {"x-amz-date": "20200101T000000Z", "date": "yesterday"}, b"{}"),
    "a token of the caller": Request("POST", HOST, {"x-amz-security-token": "mine"}, b"{}"),
    "a signature of the caller": Request("POST", HOST, {"authorization": "mine"}, b"{}"),
    "a hash of the caller": Request("POST", HOST, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, b"{}"),
    "a method in lower case": Request("post", HOST, {}, b"{}"),
}


def _random(seed: int) -> Request:
    chance = random.Random(seed)
    word = lambda: "".join(chance.choices("abcXYZ019-._~", k=chance.randint(1, 12)))  # noqa: E731
    path = "".join(f"/{word()}%{chance.randrange(32, 255):02X}" for _ in range(chance.randint(0, 4)))
    query = "&".join(f"{word()}={word()}%{chance.randrange(32, 255):02x}" for _ in range(chance.randint(0, 3)))
    names = ["content-type", "x-amz-target", "x-amzn-sagemaker-accept", "x-amzn-sagemaker-session-id", "accept", "te"]
    headers = {name: f"{word()}  {word()}" for name in chance.sample(names, chance.randint(0, 5))}
    body = chance.randbytes(chance.choice([0, 1, 300]))
    return Request(chance.choice(["GET", "POST", "PUT"]), f"{HOST}{path}{'?' + query if query else ''}", headers, body)


GENERATED = {f"generated {seed}": _random(seed) for seed in range(300)}


@pytest.mark.parametrize("token", [None, TOKEN], ids=["key", "session token"])
@pytest.mark.parametrize("request_", (AWKWARD | GENERATED).values(), ids=AWKWARD | GENERATED)
def test_the_headers_equal_those_of_botocore(
    monkeypatch: pytest.MonkeyPatch, request_: Request, token: str | None
) -> None:
    """All of them, in the same order; only botocore's clock is changed."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: NOW.replace(tzinfo=None))
    credentials = Credentials(KEY, SECRET, token)
    signer = AWSSigner(
        "eu-west-1", lambda: None, name="execute-api", credentials=credentials, clock=lambda: NOW.timestamp() + 0.9
    )

    signed = signer.sign(request_)

    expected = sign_with_botocore(request_, credentials, "eu-west-1", "execute-api")
    assert list(expected.items()) == list(signed.headers.items())
    assert (request_.method, request_.url, request_.content) == (signed.method, signed.url, signed.content)


def test_the_key_of_each_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is derived again at midnight."""
    times = [NOW + dt.timedelta(days=day, hours=hour) for day in range(3) for hour in (0, 20, 21)]
    clock = iter(times)
    credentials = Credentials(KEY, SECRET)
    signer = AWSSigner("us-east-1", lambda: None, credentials=credentials, clock=lambda: next(clock).timestamp())
    for now in times:
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, now=now: now.replace(tzinfo=None))
        expected = sign_with_botocore(AWKWARD["escapes"], credentials, "us-east-1", "sagemaker")

        assert expected == signer.sign(AWKWARD["escapes"]).headers


def test_fetched_credentials_replace_the_key() -> None:
    """Those of a refresh sign the next request, on the same day, and the key of the earlier ones is not kept."""
    found = iter([Credentials("AK1", "one"), Credentials("AK2", "two"), Credentials("AK2", "three")])
    signer = AWSSigner("us-east-1", lambda: next(found), reload_credentials=True, clock=NOW.timestamp)
    signatures = []
    for _ in range(3):
        signer.refresh(signer.generation)
        assert signer._signing_key is None
        signatures.append(signer.sign(AWKWARD["escapes"]).headers["authorization"])

    assert ["AK1", "AK2", "AK2"] == [text.partition("Credential=")[2][:3] for text in signatures]
    assert 3 == len({text.partition("Signature=")[2] for text in signatures})


def test_threads_that_sign_during_a_refresh() -> None:
    """Each signature belongs to the access key in it."""
    pairs = [Credentials(f"AK{number % 2}", f"secret{number % 2}") for number in range(200)]
    found = iter(pairs)
    signer = AWSSigner("us-east-1", lambda: next(found), reload_credentials=True, clock=NOW.timestamp)
    signer.refresh(signer.generation)
    expected = {
        AWSSigner("us-east-1", lambda: None, credentials=pair, clock=NOW.timestamp)
        .sign(AWKWARD["escapes"])
        .headers["authorization"]
        for pair in pairs[:2]
    }
    seen: set[str] = set()

    def sign() -> None:
        seen.update(signer.sign(AWKWARD["escapes"]).headers["authorization"] for _ in range(300))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in pairs[1:]:
        signer.refresh(signer.generation)
    for thread in threads:
        thread.join()

    assert seen <= expected


def test_no_repr_shows_a_key() -> None:
    """Neither that of the signer nor that of its key."""
    signer = AWSSigner.from_keys(KEY, SECRET, TOKEN, region_name="us-east-1", clock=NOW.timestamp)
    signer.sign(AWKWARD["escapes"])
    key = signer._signing_key

    assert isinstance(key, SigningKey)
    assert "<SigningKey 20260102/us-east-1/sagemaker/aws4_request>" == repr(key)
    for text in (repr(signer), repr(key), str(key)):
        assert SECRET not in text
        assert key._key.hex() not in text
        assert repr(key._key) not in text


def test_a_key_that_a_thread_stored_late_is_not_used() -> None:
    """A thread that signs during a refresh may store the key of the earlier credentials after it."""
    first, second = Credentials("AK", "one"), Credentials("AK", "two")
    signer = AWSSigner("us-east-1", lambda: None, credentials=second, clock=NOW.timestamp)
    expected = signer.sign(AWKWARD["escapes"]).headers
    signer._signing_key = SigningKey(first.get_frozen_credentials(), "20260102", "us-east-1", "sagemaker")

    assert expected == signer.sign(AWKWARD["escapes"]).headers
