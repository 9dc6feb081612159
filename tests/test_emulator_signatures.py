"""The emulator verifies OCI's signatures: Oracle's own signer is let in, everything else is not."""

import http.client
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest
from _raw_client import HELLO, STREAM, RawResponse, send_request
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mdstream_core.emulator import Emulator

requests = pytest.importorskip("requests", reason="Oracle's signer signs requests of the package requests")
signer = pytest.importorskip(
    "oci.signer", reason="checks the emulator with Oracle's signer; install mdstream-llm[reference-clients]"
)

KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
TENANCY, USER, FINGERPRINT = "ocid1.tenancy.oc1..a", "ocid1.user.oc1..b", ":".join(["ab"] * 16)
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
Headers = dict[str, str]


def public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(verify_signatures={KEY_ID: public(KEY)}, api_keys=["sk-good"]) as emulator:
        yield emulator


def signed(
    emulator: Emulator, key: rsa.RSAPrivateKey = KEY, method: str = "POST", path: str = STREAM, date: str = ""
) -> Headers:
    """The header fields that Oracle's signer adds."""
    url = emulator.endpoint + path
    body = json.dumps(HELLO).encode() if method == "POST" else None
    headers = {"content-type": "application/json"} | ({"date": date} if date else {})
    prepared = requests.Request(method, url, data=body, headers=headers).prepare()
    oracle = signer.Signer(TENANCY, USER, FINGERPRINT, None, private_key_content=private(key))
    oracle.do_request_sign(prepared)
    dropped = {"content-length", "host"}
    return {name.lower(): value for name, value in prepared.headers.items() if name.lower() not in dropped}


def send(
    emulator: Emulator, headers: Headers, path: str = STREAM, method: str = "POST", body: object = HELLO
) -> RawResponse:
    return send_request(
        emulator.endpoint + path,
        body if method == "POST" else None,
        method,
        **{n.replace("-", "_"): v for n, v in headers.items()},
    )


def test_oracles_signature_is_accepted(emulator: Emulator) -> None:
    assert send(emulator, signed(emulator)).status == 200


SPELLINGS: dict[str, Callable[[str], str]] = {
    "Oracle's SDK for JavaScript": lambda name: name.title() if name.startswith("content-") else name,
    "every word": str.title,
    "upper case": str.upper,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_names_in_a_signature_have_any_case(emulator: Emulator, spell: Callable[[str], str]) -> None:
    """The names are listed as they were spelled; the signed text has them in lower case."""
    headers = signed(emulator)
    listed = re.search(r'headers="([^"]*)"', headers["authorization"])
    assert listed
    names = " ".join(spell(name) for name in listed[1].split())
    headers["authorization"] = headers["authorization"].replace(listed[1], names)

    assert send(emulator, headers).status == 200
    assert send(emulator, headers, body={**HELLO, "stream": None}).status == 401


def test_a_get_is_signed_without_a_body(emulator: Emulator) -> None:
    path = "/predict/v1/models?limit=3"
    url = emulator.endpoint + path
    prepared = requests.Request("GET", url).prepare()
    signer.Signer(TENANCY, USER, FINGERPRINT, None, private_key_content=private(KEY)).do_request_sign(prepared)
    target = urlsplit(url)
    headers = {name.lower().replace("-", "_"): value for name, value in prepared.headers.items()}
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=5)
    connection.request(
        "GET", f"{target.path}?{target.query}", headers={n.replace("_", "-"): v for n, v in headers.items()}
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert answer.status == 200


def without(name: str) -> Callable[[Headers], Headers]:
    return lambda headers: {other: value for other, value in headers.items() if other != name}


def authorization(old: str, new: str) -> Callable[[Headers], Headers]:
    return lambda headers: headers | {"authorization": headers["authorization"].replace(old, new)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("authorization"), "was not provided"),
        (without("x-content-sha256"), "hash of the body"),
        (authorization("rsa-sha256", "hmac-sha256"), "algorithm"),
        (authorization(FINGERPRINT, "00"), "key id is not known"),
        (authorization('signature="', 'signature="AAAA'), "Failed to verify"),
        (authorization('signature="', 'signature="*'), "Failed to verify"),
        (authorization(" content-length", ""), "does not cover content-length"),
        (lambda headers: headers | {"content-type": "text/plain"}, "Failed to verify"),
        (lambda headers: headers | {"date": "yesterday"}, "cannot be read"),
    ],
)
def test_what_was_changed_in_transit_is_refused(
    emulator: Emulator, change: Callable[[Headers], Headers], words: str
) -> None:
    results = send(emulator, change(signed(emulator)))

    assert (results.status, results.json["code"]) == (401, "NotAuthenticated")
    assert words in results.json["message"]


def test_another_body_is_refused(emulator: Emulator) -> None:
    assert send(emulator, signed(emulator), body={**HELLO, "stream": None}).status == 401


def test_another_path_is_refused(emulator: Emulator) -> None:
    assert send(emulator, signed(emulator), "/predict").status == 401


def test_another_key_is_refused(emulator: Emulator) -> None:
    assert send(emulator, signed(emulator, OTHER)).status == 401


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 200), (4, 200), (6, 401)])
def test_the_clock_may_be_five_minutes_wrong(emulator: Emulator, minutes: int, status: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)

    assert send(emulator, signed(emulator, date=date)).status == status


def test_bearer_keys(emulator: Emulator) -> None:
    assert send(emulator, {"authorization": "Bearer sk-good"}).status == 200
    assert send(emulator, {"authorization": "Bearer sk-bad"}).status == 401


def test_one_public_key_for_every_key_id() -> None:
    with Emulator(verify_signatures=public(KEY)) as emulator:
        assert send(emulator, signed(emulator)).status == 200
        assert send(emulator, signed(emulator, OTHER)).status == 401


def with_token(emulator: Emulator, token: str) -> int:
    """Sign as Oracle's security token signer does."""
    tokened = pytest.importorskip(
        "oci.auth.signers", reason="needs Oracle's token signer; install mdstream-llm[reference-clients]"
    )
    prepared = requests.Request("POST", emulator.endpoint + STREAM, json=HELLO).prepare()
    oracle = tokened.SecurityTokenSigner(token, KEY)
    oracle.do_request_sign(prepared)
    with requests.Session() as session:
        return session.send(prepared, timeout=5).status_code


def test_a_session_token_is_good_until_it_expires(emulator: Emulator) -> None:
    token = emulator.issue_token(public(KEY))
    before = with_token(emulator, token)
    emulator.expire_tokens()

    assert (before, with_token(emulator, token)) == (200, 401)
    assert with_token(emulator, emulator.issue_token(public(KEY))) == 200


@pytest.mark.parametrize("spoil", [lambda token: token[:-4] + "AAAA", lambda token: "x." + token])
def test_a_token_that_was_not_issued_here_is_refused(emulator: Emulator, spoil: Callable[[str], str]) -> None:
    assert with_token(emulator, spoil(emulator.issue_token(public(KEY)))) == 401


def test_a_token_is_refused_after_its_time_and_for_another_key(emulator: Emulator) -> None:
    assert with_token(emulator, emulator.issue_token(public(KEY), seconds=0)) == 401
    assert with_token(emulator, emulator.issue_token(public(OTHER))) == 401
