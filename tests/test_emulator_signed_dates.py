"""Signatures with old dates, repeated headers or another body: only signed headers count."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from urllib.parse import urlsplit

import pytest
from _raw_client import HELLO, RawResponse, connect, read_response
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdstream_core.emulator import Emulator, HuaweiAccount

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BODY = json.dumps({**HELLO, "stream": False}).encode()
DAY = 24 * 3600
Fields = list[tuple[str, str]]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    account = HuaweiAccount(access_keys={"AK": "SK"}, api_keys=["sk-good"])
    with Emulator(verify_signatures=PEM, aws_keys={"AK": "SK"}, huawei=account, clock=lambda: STARTED) as emulator:
        yield emulator


def post(url: str, fields: Fields, body: bytes = BODY, method: str = "POST") -> RawResponse:
    """Send header fields unchanged, repeated ones included."""
    parts = urlsplit(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*fields, ("connection", "close")])
    with connect(url) as sock:
        sock.sendall(f"{method} {parts.path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        return read_response(sock)


# OCI


def sign_oci(
    emulator: Emulator, names: Sequence[str] = ("date",), *, body: bytes = BODY, method: str = "POST", **values: str
) -> Fields:
    """Sign the given date headers and what a request with a body requires; `values` are header fields."""
    parts = urlsplit(emulator.endpoint + "/predict")
    fields = {
        "host": parts.netloc,
        "content-length": str(len(body)),
        "content-type": "application/json",
        "x-content-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        **{name.replace("_", "-"): value for name, value in values.items()},
    }
    covered = [*names, "(request-target)", "host"]
    covered += ["content-length", "content-type", "x-content-sha256"] if body else []
    target = {"(request-target)": f"{method.lower()} {parts.path}"}
    text = "\n".join(f"{name}: {value}" for name in covered if (value := {**fields, **target}.get(name)) is not None)
    signature = base64.b64encode(KEY.sign(text.encode("latin-1"), PKCS1v15(), SHA256())).decode()
    names_text = " ".join(covered)
    header = f'Signature algorithm="rsa-sha256",headers="{names_text}",keyId="k",signature="{signature}",version="1"'
    return [*fields.items(), ("authorization", header)]


#: The emulator's time: the suite may take longer than a date is valid.
STARTED = time.time()
NOW, OLD = formatdate(STARTED, usegmt=True), formatdate(STARTED - DAY, usegmt=True)


@pytest.mark.parametrize(
    ("names", "values", "status"),
    [
        (["date"], {"date": NOW}, 200),
        (["x-date"], {"x_date": NOW}, 200),
        (["date", "x-date"], {"date": NOW, "x_date": NOW}, 200),
        (["date"], {"date": NOW, "x_date": OLD}, 200),  # an unsigned date does not count
        (["date"], {"date": OLD}, 401),
        (["date"], {"date": OLD, "x_date": NOW}, 401),
        (["date"], {"date": OLD, "x_oci_date": NOW}, 401),
        (["date", "x-oci-date"], {"date": OLD, "x_oci_date": NOW}, 401),
        (["x-date"], {"x_date": OLD, "date": NOW}, 401),
        (["date", "x-date"], {"date": OLD, "x_date": NOW}, 401),
        (["date", "x-date"], {"date": NOW, "x_date": OLD}, 401),
        (["x-oci-date"], {"x_oci_date": NOW}, 401),
        (["date", "date"], {"date": NOW}, 401),
        (["date"], {"date": "Fri, 31 Dec 99999 23:59:59 GMT"}, 401),
        (["date"], {"date": ""}, 401),
        ([], {"date": NOW}, 401),
    ],
)
def test_oci_checks_the_date_that_is_signed(
    emulator: Emulator, names: list[str], values: dict[str, str], status: int
) -> None:
    """
    An additional date does not make an old request valid.
    """
    assert status == post(emulator.endpoint + "/predict", sign_oci(emulator, names, **values)).status


@pytest.mark.parametrize("extra", ["date", "x-content-sha256", "content-type", "authorization"])
@pytest.mark.parametrize("first", [False, True])
def test_oci_rejects_a_repeated_signed_header(emulator: Emulator, extra: str, first: bool) -> None:
    """
    Another server might read the other one of the two.
    """
    fields = sign_oci(emulator, date=NOW)
    again = (extra, dict(fields)[extra])

    assert 401 == post(emulator.endpoint + "/predict", [again, *fields] if first else [*fields, again]).status


def test_oci_rejects_a_body_that_is_not_signed(emulator: Emulator) -> None:
    """
    Another body of the same length, and a body with the signature of a request without one.
    """
    url = emulator.endpoint + "/predict"
    bare = sign_oci(emulator, body=b"", method="GET", date=NOW)
    carrying = [(name, str(len(BODY)) if name == "content-length" else value) for name, value in bare]

    assert 401 == post(url, sign_oci(emulator, date=NOW), BODY.replace(b"Hello", b"Hallo")).status
    assert 401 == post(url, carrying, BODY, "GET").status


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ('signature="', 'signature="\xe9', 401),
        ('keyId="', 'keyId="k",keyId="', 401),
        ('keyId="', 'keyId="ST$\xe9.\xe9.\xe9', 200),  # no issued token: the one public key is for every id
        ("Signature ", "Signature", 401),
        ("rsa-sha256", "none", 401),
    ],
)
def test_oci_rejects_a_malformed_authorization(emulator: Emulator, old: str, new: str, status: int) -> None:
    """
    With a status, not by closing the connection.
    """
    fields = [
        (name, value.replace(old, new) if name == "authorization" else value)
        for name, value in sign_oci(emulator, date=NOW)
    ]

    assert status == post(emulator.endpoint + "/predict", fields).status


# AWS and Huawei


def sign_aws(
    emulator: Emulator, stamp: str, names: Sequence[str] = ("host", "x-amz-date"), body: bytes = BODY
) -> Fields:
    parts = urlsplit(f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations")
    fields = {"host": parts.netloc, "x-amz-date": stamp, "date": NOW}
    lines = "".join(f"{name}:{fields[name]}\n" for name in names)
    names_text = ";".join(names)
    canonical = f"POST\n{parts.path}\n\n{lines}\n{names_text}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/us-east-1/sagemaker/aws4_request"
    key = b"AWS4SK"
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    header = f"AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders={names_text}, Signature={signature}"
    return [*fields.items(), ("content-length", str(len(BODY))), ("authorization", header)]


def sign_huawei(emulator: Emulator, stamp: str, body: bytes = BODY, **more: str) -> Fields:
    parts = urlsplit(emulator.modelarts.endpoint + "/v1/chat/completions")
    fields = {
        "host": parts.netloc,
        "x-sdk-date": stamp,
        **{name.replace("_", "-"): field for name, field in more.items()},
    }
    names = ["host", "x-sdk-date"]
    lines = "".join(f"{name}:{fields[name]}\n" for name in names)
    digest = fields.get("x-sdk-content-sha256") or hashlib.sha256(body).hexdigest()
    canonical = f"POST\n{parts.path}/\n\n{lines}\n{';'.join(names)}\n{digest}"
    text = f"SDK-HMAC-SHA256\n{stamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(b"SK", text.encode(), "sha256").hexdigest()
    header = f"SDK-HMAC-SHA256 Access=AK, SignedHeaders={';'.join(names)}, Signature={signature}"
    return [*fields.items(), ("date", NOW), ("content-length", str(len(BODY))), ("authorization", header)]


def format_stamp(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(STARTED + seconds))


SIGNERS = {
    "SigV4Verifier": (
        sign_aws,
        lambda emulator: f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations",
        "x-amz-date",
        403,
    ),
    "SDK-HMAC-SHA256": (
        sign_huawei,
        lambda emulator: emulator.modelarts.endpoint + "/v1/chat/completions",
        "x-sdk-date",
        401,
    ),
}


@pytest.mark.parametrize(("sign", "build_url", "date_header", "rejected_status"), SIGNERS.values(), ids=SIGNERS)
def test_aws_and_huawei_check_the_date_that_is_signed(
    emulator: Emulator, sign: object, build_url: object, date_header: str, rejected_status: int
) -> None:
    """
    With a current `date` header, with a second date of the same name, and without one.
    """
    url = build_url(emulator)  # type: ignore[operator]
    fresh, old = sign(emulator, format_stamp(0)), sign(emulator, format_stamp(-DAY))  # type: ignore[operator]

    assert 200 == post(url, fresh).status
    assert rejected_status == post(url, old).status
    assert rejected_status == post(url, [*old, (date_header, format_stamp(0))]).status
    assert rejected_status == post(url, [(date_header, format_stamp(0)), *old]).status
    assert rejected_status == post(url, [*fresh, (date_header, dict(fresh)[date_header])]).status
    assert rejected_status == post(url, [field for field in fresh if field[0] != date_header]).status


@pytest.mark.parametrize(("sign", "build_url", "date_header", "rejected_status"), SIGNERS.values(), ids=SIGNERS)
def test_aws_and_huawei_require_one_authorization_and_the_signed_body(
    emulator: Emulator, sign: object, build_url: object, date_header: str, rejected_status: int
) -> None:
    """
    A second `authorization`, another body, characters that are not ASCII.
    """
    url = build_url(emulator)  # type: ignore[operator]
    fresh: Fields = sign(emulator, format_stamp(0))  # type: ignore[operator]
    authorization = dict(fresh)["authorization"]
    odd = [(name, value[:-2] + "\xe9\xe9" if name == "authorization" else value) for name, value in fresh]

    assert rejected_status == post(url, [*fresh, ("authorization", authorization)]).status
    assert rejected_status == post(url, [("authorization", "Bearer x"), *fresh]).status
    assert rejected_status == post(url, fresh, BODY.replace(b"Hello", b"Hallo")).status
    assert rejected_status == post(url, odd).status


def test_a_declared_digest_has_to_match_the_body(emulator: Emulator) -> None:
    """
    `x-sdk-content-sha256` and `x-amz-content-sha256` do not replace the body; a payload may be declared as unsigned.
    """
    url = emulator.modelarts.endpoint + "/v1/chat/completions"
    other = hashlib.sha256(b"other").hexdigest()
    unsigned = sign_huawei(emulator, format_stamp(0), x_sdk_content_sha256="UNSIGNED-PAYLOAD")

    assert 401 == post(url, sign_huawei(emulator, format_stamp(0), x_sdk_content_sha256=other)).status
    assert 200 == post(url, unsigned).status


@pytest.mark.parametrize("name", ["authorization", "x-auth-token", "x-apig-appcode"])
def test_huawei_rejects_repeated_credentials(emulator: Emulator, name: str) -> None:
    """
    Of each kind of credentials.
    """
    url = emulator.modelarts.endpoint + "/v1/chat/completions"
    fields = [("host", urlsplit(url).netloc), ("content-length", str(len(BODY))), (name, "sk-good"), (name, "sk-good")]

    assert 401 == post(url, fields).status
