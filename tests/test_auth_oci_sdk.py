"""Signers of the `oci` SDK and objects with their interface, wrapped as `Signer`."""

import base64
import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mdstream_core.auth.oci import OCISigner, SDKSigner, WrappedSigner, resolve_signer, wrap_signer
from mdstream_core.errors import AuthenticationError, ConnectionFailed, MissingExtra, ServerError
from mdstream_core.http import Request

oci = pytest.importorskip(
    "oci", reason="compares with the signatures of Oracle's SDK; install mdstream-llm[reference-clients]"
)
from oci._vendor import requests  # noqa: E402
from oci.auth import signers  # noqa: E402
from oci.auth.signers.security_token_signer import X509FederationClientBasedSecurityTokenSigner  # noqa: E402

KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PARTS = ("ocid1.tenancy.oc1..aaaa", "ocid1.user.oc1..bbbb", ":".join(["0a"] * 16))
DATE = {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}
PROMPT = {
    "POST": Request("POST", "https://host.example:8443/a%20b?c=d", {**DATE, "accept": "*/*"}, "größe".encode()),
    "GET": Request("GET", "https://host.example/a", DATE),
    "DELETE": Request("DELETE", "https://host.example/a", DATE),
}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OCI_")]:
        monkeypatch.delenv(name)


def jwt(left: float) -> str:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    now = int(time.time())
    return f"{part({'alg': 'RS256'})}.{part({'exp': now + int(left), 'iat': now, 'res_tenant': 't'})}.c2ln"


def api_key() -> Any:
    return oci.signer.Signer(*PARTS, private_key_file_location=None, private_key_content=PEM)


class Federation:
    """The interface of an X.509 federation client; counts requests for a new token."""

    def __init__(self) -> None:
        self.requested = 0
        self.session_key_supplier = SimpleNamespace(get_key_pair=lambda: {"private": KEY})
        self.refresh_security_token()

    def refresh_security_token(self) -> None:
        self.requested += 1
        self.security_token = SimpleNamespace(security_token=jwt(3600 if self.requested > 1 else 5))

    def get_security_token(self) -> str:
        return self.security_token.security_token


@pytest.mark.parametrize("request_", PROMPT.values(), ids=PROMPT)
@pytest.mark.parametrize("shape", ["object", "ads dict", "config aside", "callable", "do_request_sign only"])
def test_an_api_key_signer_in_every_form(shape: str, request_: Request) -> None:
    """The SDK's signer creates the same signature as mdstream's, however it is passed."""
    inner = api_key()
    given = {
        "object": inner,
        "ads dict": {"config": {}, "signer": inner},
        "config aside": {"config": {"region": "us-ashburn-1"}, "signer": inner, "client_kwargs": {}},
        "callable": inner.__call__,
        "do_request_sign only": SimpleNamespace(do_request_sign=inner.do_request_sign),
    }[shape]

    made = resolve_signer(given)

    assert isinstance(made, WrappedSigner)
    assert OCISigner("/".join(PARTS), KEY).sign(request_) == made.sign(request_)
    assert (False, False) == (made.needs_refresh(), made.can_refresh())


def test_a_security_token_signer_cannot_refresh() -> None:
    """A static token is used until the service rejects it."""
    token = jwt(-10)
    made = wrap_signer(signers.SecurityTokenSigner(token, KEY))

    assert (False, False) == (made.needs_refresh(), made.can_refresh())
    assert OCISigner(f"ST${token}", KEY).sign(PROMPT["POST"]) == made.sign(PROMPT["POST"])


def test_a_principal_of_the_sdk_is_refreshed_before_its_token_expires(tmp_path: Path) -> None:
    """`refresh_security_token` of the real class reads the new one."""
    rpst, key = tmp_path / "rpst", tmp_path / "key.pem"
    rpst.write_text(jwt(30))
    key.write_text(PEM)
    made = wrap_signer(signers.EphemeralResourcePrincipalSigner(str(rpst), str(key), region="iad"))
    before = made.needs_refresh()
    new = jwt(3600)
    rpst.write_text(new)
    made.refresh(made.generation)

    assert (True, True, False, 1) == (before, made.can_refresh(), made.needs_refresh(), made.generation)
    assert made.expires_in is not None
    assert 0 < made.expires_in <= 3600
    assert OCISigner(f"ST${new}", KEY).sign(PROMPT["POST"]) == made.sign(PROMPT["POST"])
    assert "us-ashburn-1" == getattr(made, "region", None)
    assert "<WrappedSigner EphemeralResourcePrincipalSigner>" == repr(made)


def test_an_x509_signer_is_refreshed_before_it_signs() -> None:
    """Its own signing would fetch the token, maybe on the event loop; `refresh` is called before."""
    federation = Federation()
    made = wrap_signer(X509FederationClientBasedSecurityTokenSigner(federation))
    before = made.needs_refresh()
    made.refresh(made.generation)
    after = made.needs_refresh()
    signed = made.sign(PROMPT["GET"])

    assert (True, False, 2) == (before, after, federation.requested)
    assert OCISigner(f"ST${federation.get_security_token()}", KEY).sign(PROMPT["GET"]) == signed


def test_a_delegation_signer_adds_its_header() -> None:
    """The user's token is sent in a signed header."""
    made = wrap_signer(
        signers.EphemeralResourcePrincipalsDelegationTokenSigner(
            session_token=jwt(3600), private_key=PEM, delegation_token="on-behalf"
        )
    )

    headers = made.sign(PROMPT["GET"]).headers

    assert "on-behalf" == headers["opc-obo-token"]
    assert 'headers="date (request-target) host opc-obo-token"' in headers["authorization"]


def test_any_requests_auth_can_sign() -> None:
    """Header names in capitals, values as bytes, and a changed URL are transferred to the request."""

    class Auth(requests.auth.AuthBase):
        def __call__(self, prepared: Any) -> Any:
            assert ("POST", "/a%20b?c=d", "größe".encode()) == (prepared.method, prepared.path_url, prepared.body)
            prepared.headers["Authorization"] = b"Mine"
            del prepared.headers["Accept"]
            prepared.url += "&e=f"
            return prepared

    signed = wrap_signer(Auth()).sign(PROMPT["POST"])

    assert {**DATE, "content-length": "7", "authorization": "Mine"} == signed.headers
    assert "https://host.example:8443/a%20b?c=d&e=f" == signed.url
    assert "authorization" not in PROMPT["POST"].headers


FAILURES = {
    "refused": (oci.exceptions.ServiceError(401, "NotAuthenticated", {}, "no"), AuthenticationError, False),
    "down": (oci.exceptions.ServiceError(503, "ServiceUnavailable", {}, "later"), ServerError, True),
    "unreached": (requests.exceptions.ConnectionError("no route"), ConnectionFailed, True),
    "SDK's unreached": (oci.exceptions.RequestException("no route"), ConnectionFailed, True),
    "configuration": (oci.exceptions.InvalidConfig({"user": "missing"}), AuthenticationError, False),
    "no file": (FileNotFoundError(2, "No such file", "/var/run/token"), AuthenticationError, False),
}


@pytest.mark.parametrize(("raised", "expected", "retryable"), FAILURES.values(), ids=FAILURES)
def test_exceptions_of_the_sdk_are_mapped(raised: Exception, expected: type[Exception], retryable: bool) -> None:
    """To mdstream errors, with the original as the cause."""

    class Failing:
        def __call__(self, prepared: Any) -> Any:
            return prepared

        def refresh_security_token(self) -> None:
            raise raised

    made = wrap_signer(Failing())

    with pytest.raises(expected, match="<WrappedSigner Failing>") as caught:
        made.refresh(made.generation)
    assert (raised, retryable) == (caught.value.__cause__, getattr(caught.value, "retryable", None))


def test_an_sdk_principal_is_fetched_at_the_first_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a model sends no request; the SDK is called where waiting is allowed."""
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "9.9")
    made = resolve_signer(auth_type="resource_principal")

    assert (True, True) == (made.needs_refresh(), made.can_refresh())
    with pytest.raises(AuthenticationError, match=r"resource principal 9\.9.*Unsupported"):
        made.refresh(made.generation)


def test_signing_fetches_the_token_without_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """For callers that only sign."""
    token = jwt(3600)
    for name, value in {"VERSION": "2.2", "RPST": token, "PRIVATE_PEM": PEM}.items():
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)
    made = SDKSigner("principal", signers.get_resource_principals_signer)

    assert OCISigner(f"ST${token}", KEY).sign(PROMPT["GET"]) == made.sign(PROMPT["GET"])
    assert (1, False) == (made.generation, made.needs_refresh())


def test_oke_outside_of_kubernetes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the message of the SDK."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    made = resolve_signer(auth_type="workload_identity")

    with pytest.raises(AuthenticationError, match=r"OKE workload identity.*Kubernetes service host"):
        made.refresh(made.generation)


def test_a_profile_with_delegation_uses_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cloud Shell's profile has `authentication_type`, which the SDK reads."""
    config = tmp_path / "config"
    config.write_text("[DEFAULT]\nauthentication_type=made_up\ndelegation_token_file=/nowhere\n")
    made = resolve_signer(auth_file_location=str(config))

    assert "<SDKSigner delegation>" == repr(made)
    with pytest.raises(AuthenticationError, match="made_up is not supported"):
        made.refresh(made.generation)


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtra, match=r"pip install 'mdstream-llm\[oci\]'"):
        resolve_signer(auth_type="instance_principal")


def test_an_instance_principal_outside_oci_is_a_connection_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no metadata service; the error can be retried and names the principal."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OCI_METADATA_BASE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/opc/v2")
    once = oci.retry.NoneRetryStrategy()  # the SDK's own strategy asks for a minute and a half
    made = SDKSigner("instance principal", lambda: signers.InstancePrincipalsSecurityTokenSigner(retry_strategy=once))

    with pytest.raises(ConnectionFailed, match="instance principal"):
        made.refresh(made.generation)
