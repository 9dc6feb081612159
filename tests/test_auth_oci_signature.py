"""OCI's signature: equal to that of `oci.signer` byte for byte, and verified with the public key."""

import base64
import hashlib
import random
import re
from email.utils import formatdate
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from mdstream_core.auth.oci import OCISigner
from mdstream_core.http import Request

oci = pytest.importorskip(
    "oci", reason="compares with the signatures of Oracle's SDK; install mdstream-llm[reference-clients]"
)
from oci._vendor import requests  # noqa: E402
from oci.auth.signers import SecurityTokenSigner  # noqa: E402

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PARTS = ("ocid1.tenancy.oc1..aaaa", "ocid1.user.oc1..bbbb", ":".join(["0a"] * 16))
KEY_ID = "/".join(PARTS)
NOW = 1_790_000_000.0
SDK = {
    "api key": (oci.signer.Signer(*PARTS, private_key_file_location=None, private_key_content=PEM), KEY_ID),
    "token": (SecurityTokenSigner("a.b.c", KEY), "ST$a.b.c"),
}
HOST = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com"

AWKWARD = {
    "plain post": ("POST", f"{HOST}/ocid1/predict", b'{"a":1}', {}),
    "no path": ("GET", HOST, b"", {}),
    "no path but a query": ("GET", f"{HOST}?a=b", b"", {}),
    "query with encoded signs": ("GET", f"{HOST}/x?q=a%20b%26c&d=%C3%BC&e=", b"", {}),
    "query with slashes and questions": ("POST", f"{HOST}/x?next=/a?b=c/d", b"{}", {}),
    "percent-encoded path": ("POST", f"{HOST}/a%2Fb%20c/%E2%82%AC", b"{}", {}),
    "other port": ("POST", "http://127.0.0.1:8443/ocid1/predictWithResponseStream", b"{}", {}),
    "default port written out": ("GET", "https://host.example:443/a", b"", {}),
    "ipv6 host": ("GET", "http://[::1]:8080/a", b"", {}),
    "upper-case host": ("GET", "https://Host.Example/a", b"", {}),
    "unicode body": ("POST", f"{HOST}/predict", "größe 😀".encode(), {}),
    "binary body": ("PUT", f"{HOST}/predict", bytes(range(256)), {}),
    "empty body": ("POST", f"{HOST}/predict", b"", {}),
    "large body": ("PATCH", f"{HOST}/predict", b"x" * 1_000_000, {}),
    "delete": ("DELETE", f"{HOST}/sessions/1", b"", {}),
    "head": ("HEAD", f"{HOST}/", b"", {}),
    "lower-case method": ("post", f"{HOST}/predict", b"{}", {}),
    "other content type": ("POST", f"{HOST}/predict", b"hi", {"content-type": "text/plain; charset=utf-8"}),
    "other headers": ("POST", f"{HOST}/predict", b"{}", {"accept": "text/event-stream", "te": "trailers"}),
    "semicolon in the path": ("GET", f"{HOST}/a;b=c/d;e?f;g", b"", {}),
    "dots and doubled slashes": ("GET", f"{HOST}//a/./b/../c", b"", {}),
    "fragment": ("GET", f"{HOST}/a?b#c", b"", {}),
}


def _random(seed: int) -> tuple[str, str, bytes, dict[str, str]]:
    chance = random.Random(seed)
    word = lambda: "".join(chance.choices("abcXYZ019-._~%20%C3%A9", k=chance.randint(1, 12))).replace("%", "")  # noqa: E731
    method = chance.choice(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"])
    path = "".join(f"/{word()}%{chance.randrange(32, 255):02X}" for _ in range(chance.randint(0, 4)))
    query = "&".join(f"{word()}={word()}%{chance.randrange(32, 255):02x}" for _ in range(chance.randint(0, 3)))
    port = chance.choice(["", ":8443", ":80"])
    body = chance.randbytes(chance.randint(0, 300)) if method in {"POST", "PUT", "PATCH"} else b""
    return method, f"https://{word().strip('.-~_') or 'h'}.example{port}{path}{'?' + query if query else ''}", body, {}


GENERATED = {f"generated {seed}": _random(seed) for seed in range(220)}


def _prepared(method: str, url: str, body: bytes, headers: dict[str, str]) -> requests.PreparedRequest:
    date = formatdate(NOW, usegmt=True)
    prepared = requests.Request(method, url, data=body or None, headers={"date": date, **headers}).prepare()
    prepared.method = method
    return prepared


@pytest.mark.parametrize(("method", "url", "body", "headers"), (AWKWARD | GENERATED).values(), ids=AWKWARD | GENERATED)
@pytest.mark.parametrize("kind", SDK)
def test_the_headers_equal_those_of_the_sdk(
    kind: str, method: str, url: str, body: bytes, headers: dict[str, str]
) -> None:
    """The SDK's signer and mdstream's create the same headers for the same request."""
    theirs, key_id = SDK[kind]
    ours = OCISigner(key_id, KEY, clock=lambda: NOW)
    prepared = _prepared(method, url, body, headers)
    url_as_sent = prepared.url
    theirs.do_request_sign(prepared)
    expected = {name.lower(): value for name, value in prepared.headers.items()}

    signed = ours.sign(Request(method, url_as_sent, headers, body))

    unsigned_length = {"content-length"} if method.lower() in {"get", "head", "delete"} else set()
    assert {k: v for k, v in expected.items() if k not in unsigned_length} == signed.headers


def _verify(request: Request) -> None:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["authorization"]))
    parts = urlsplit(request.url)
    where = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    values = {**request.headers, "(request-target)": f"{request.method.lower()} {where}"}
    text = "\n".join(f"{name}: {values[name]}" for name in fields["headers"].split())
    KEY.public_key().verify(base64.b64decode(fields["signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(("method", "url", "body", "headers"), AWKWARD.values(), ids=AWKWARD)
def test_the_public_key_verifies_the_signature(method: str, url: str, body: bytes, headers: dict[str, str]) -> None:
    """From the headers that arrive at the service, including the hash of the body."""
    signed = OCISigner(KEY_ID, KEY).sign(Request(method, url, headers, body))

    _verify(signed)
    if method.lower() in {"post", "put", "patch"}:
        assert base64.b64encode(hashlib.sha256(body).digest()).decode() == signed.headers["x-content-sha256"]


def test_a_host_header_is_signed_as_it_is_sent() -> None:
    """Through a tunnel the host header differs from the URL; the header is signed."""
    signed = OCISigner(KEY_ID, KEY).sign(Request("GET", "https://127.0.0.1:9/a", {"host": "real.example"}))

    assert "real.example" == signed.headers["host"]
    _verify(signed)


def test_signing_again_changes_the_date_only() -> None:
    """A retry signs the unsigned request again and does not change the first one."""
    times = iter([NOW, NOW + 60])
    signer = OCISigner(KEY_ID, KEY, clock=lambda: next(times))
    request = Request("POST", f"{HOST}/predict", {"accept": "*/*"}, b"{}")

    first, second = signer.sign(request), signer.sign(request)

    assert {"accept": "*/*"} == request.headers
    assert ("Mon, 21 Sep 2026 14:13:20 GMT", "Mon, 21 Sep 2026 14:14:20 GMT") == (
        first.headers["date"],
        second.headers["date"],
    )
    assert first.headers["authorization"] != second.headers["authorization"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("OPTIONS", HOST), "OPTIONS"),
        (Request("GET", f"{HOST}/ü"), "percent-encode"),
        (Request("GET", f"{HOST}/a b"), "percent-encode"),
    ],
    ids=["method", "unicode", "space"],
)
def test_requests_that_cannot_be_signed_are_rejected(request_: Request, words: str) -> None:
    """A method that OCI does not sign, and a URL that is not encoded."""
    with pytest.raises(ValueError, match=words):
        OCISigner(KEY_ID, KEY).sign(request_)


@pytest.mark.parametrize("key_id", ["", 'a"b', "a\nb", "ü"], ids=["empty", "quote", "newline", "unicode"])
def test_a_key_id_that_would_break_the_header_is_rejected(key_id: str) -> None:
    """Quotes, control characters and characters outside ASCII."""
    with pytest.raises(ValueError, match="key_id"):
        OCISigner(key_id, KEY)


@pytest.mark.parametrize("key", [None, 7, ec.generate_private_key(ec.SECP256R1())], ids=["none", "number", "ec"])
def test_other_keys_than_rsa_are_rejected(key: object) -> None:
    """In the constructor."""
    with pytest.raises(ValueError, match="RSA"):
        OCISigner(KEY_ID, key)  # type: ignore[arg-type]


def test_keys_can_be_pem_text_or_bytes() -> None:
    """The label that OCI's console appends to the PEM is ignored."""
    request = Request("GET", HOST, {"date": "Mon, 21 Sep 2026 14:13:20 GMT"})
    expected = OCISigner(KEY_ID, KEY).sign(request)

    assert expected == OCISigner(KEY_ID, PEM).sign(request)
    assert expected == OCISigner(KEY_ID, f"\n{PEM}OCI_API_KEY\n".encode(), pass_phrase="unneeded").sign(request)
