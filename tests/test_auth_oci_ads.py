"""The choice of `ads.set_auth` is found without any option. Needs oracle-ads, which `.ci/run` installs in an environment of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import KEY, PEM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdstream_core import OCIModelDeployment, Service, dialect
from mdstream_core.auth import oci
from mdstream_core.emulator import Emulator

ads = pytest.importorskip("ads", reason="these tests run oracle-ads itself; install mdstream-llm[ads]")
ads_auth = pytest.importorskip("ads.common.auth", reason="oracle-ads lacks a package that its authentication imports")
sdk = pytest.importorskip("oci", reason="oracle-ads depends on the oci SDK")

PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
IDENTITY = {
    "tenancy": "ocid1.tenancy.oc1..aaaa",
    "user": "ocid1.user.oc1..bbbb",
    "fingerprint": ":".join(["0a"] * 16),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Verifies Oracle's signatures."""
    with Emulator(verify_signatures=PUBLIC) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def no_choice() -> Iterator[None]:
    """Each test begins and ends with oracle-ads as it is imported."""
    ads_auth.AuthState.__class__._instances.clear()
    yield
    ads_auth.AuthState.__class__._instances.clear()


@pytest.fixture
def home(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a config file and a resource principal."""
    folder = tmp_path / ".oci"
    folder.mkdir()
    (folder / "key.pem").write_text(PEM)
    (folder / "token").write_text(token := emulator.issue_token(PUBLIC))
    ids = "\n".join(f"{name}={value}" for name, value in IDENTITY.items())
    key = "key_file=~/.oci/key.pem"
    (folder / "config").write_text(
        f"[DEFAULT]\n{ids}\n{key}\nregion=us-ashburn-1\n\n[TEAM]\n{ids}\n{key}\nregion=eu-frankfurt-1\n\n"
        f"[SESSION]\n{key}\nsecurity_token_file=~/.oci/token\ntenancy={IDENTITY['tenancy']}\nregion=uk-london-1\n"
        f"fingerprint={IDENTITY['fingerprint']}\n"
    )
    environment = {
        "HOME": str(tmp_path),
        "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
        "OCI_RESOURCE_PRINCIPAL_RPST": token,
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": PEM,
        "OCI_RESOURCE_PRINCIPAL_REGION": "us-phoenix-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def _config(home: Path, **fields: str) -> dict[str, str]:
    return {**IDENTITY, "key_file": str(home / ".oci/key.pem"), "region": "ap-tokyo-1", **fields}


def _session(home: Path) -> dict[str, str]:
    return _config(home, security_token_file=str(home / ".oci/token"))


def _signer(_: Path) -> Any:
    signer = sdk.signer.Signer(**IDENTITY, private_key_file_location=None, private_key_content=PEM)
    signer.region = "sa-saopaulo-1"
    return signer


#: name: (arguments of `set_auth`, the expected signer, its region)
CHOICES: dict[str, tuple[Callable[[Path], dict[str, Any]], str, str]] = {
    "api_key": (lambda _: {"auth": "api_key"}, "APIKey", "us-ashburn-1"),
    "api_key, profile": (lambda _: {"auth": "api_key", "profile": "TEAM"}, "APIKey", "eu-frankfurt-1"),
    "api_key, file": (
        lambda home: {"auth": "api_key", "oci_config_location": str(home / ".oci/config"), "profile": "TEAM"},
        "APIKey",
        "eu-frankfurt-1",
    ),
    "api_key, config": (lambda home: {"config": _config(home)}, "APIKey", "ap-tokyo-1"),
    "security_token": (lambda _: {"auth": "security_token", "profile": "SESSION"}, "SessionToken", "uk-london-1"),
    "security_token, config": (
        lambda home: {"auth": "security_token", "config": _session(home)},
        "SessionToken",
        "ap-tokyo-1",
    ),
    "resource_principal": (lambda _: {"auth": "resource_principal"}, "ResourcePrincipal", "us-phoenix-1"),
    "signer": (lambda home: {"signer": _signer(home)}, "WrappedSigner", "sa-saopaulo-1"),
    "signer_callable": (
        lambda home: {"signer_callable": _signer, "signer_kwargs": {"_": home}},
        "WrappedSigner",
        "sa-saopaulo-1",
    ),
}


def send(emulator: Emulator, auth: Any) -> str:
    """The text of a response that the emulator gives to a signed request."""
    service = Service(OCIModelDeployment(emulator.endpoint), auth=auth)
    call = service.call(dialect("openai-chat"), {"messages": [{"role": "user", "content": "Hi"}]}, stream=False)
    try:
        return service.client.complete(call).text
    finally:
        service.close()


@pytest.mark.parametrize(("arguments", "kind", "region"), CHOICES.values(), ids=CHOICES)
def test_set_auth(
    emulator: Emulator, home: Path, arguments: Callable[[Path], dict[str, Any]], kind: str, region: str
) -> None:
    """Every kind of `set_auth` decides how requests are signed, and the region; options of ours go first."""
    ads.set_auth(**arguments(home))
    signer: Any = oci.resolve_signer()

    assert kind in repr(signer) or kind == type(getattr(signer, "_source", signer)).__name__
    assert region == oci.resolve_region()
    assert send(emulator, signer)
    assert "UnsignedSigner" in repr(oci.resolve_signer(auth_type="none"))
    assert "eu-frankfurt-1" == oci.resolve_region(auth_profile="TEAM")


def test_instance_principal(home: Path) -> None:
    """The signer is created without a request to the instance's metadata service."""
    ads.set_auth("instance_principal")

    assert "instance principal" in repr(oci.resolve_signer())


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "signer_callable"])
def test_dictionaries_of_ads(emulator: Emulator, home: Path, name: str) -> None:
    """`default_signer()` is accepted as `auth`."""
    arguments, _, _ = CHOICES[name]
    ads.set_auth(**arguments(home))
    auth = ads_auth.default_signer()
    ads_auth.AuthState.__class__._instances.clear()

    assert {"config", "signer", "client_kwargs"} <= auth.keys()
    assert send(emulator, oci.resolve_signer(auth))


def test_dictionaries_of_each_function(emulator: Emulator, home: Path) -> None:
    """`ads.auth.api_keys()`, `security_token()` and `resource_principal()`."""
    for auth in (
        ads.auth.api_keys(str(home / ".oci/config"), profile="TEAM"),
        ads.auth.security_token(str(home / ".oci/config"), profile="SESSION"),
        ads.auth.resource_principal(),
    ):
        assert send(emulator, oci.resolve_signer(auth))


def test_without_a_choice_and_a_config_file(home: Path) -> None:
    """The usual order applies: the resource principal of the environment."""
    (home / ".oci/config").unlink()

    assert "us-phoenix-1" == oci.resolve_region()
    assert "ResourcePrincipal" in repr(oci.resolve_signer())
