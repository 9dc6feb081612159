"""Keys, tokens and a home directory with an OCI config file, for tests of `mdstream_core.auth`."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mdstream_core.http import Request

NOW = 1_790_000_000.0
PHRASE = "a-very-secret-phrase"
KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
FINGERPRINT = ":".join(["0a"] * 15 + ["f7"])
KEY_ID = f"ocid1.tenancy.oc1..aaaa/ocid1.user.oc1..bbbb/{FINGERPRINT}"
REQUEST = Request("POST", "https://host.example/predict", {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}, b"{}")


def pem(key: rsa.RSAPrivateKey, phrase: str | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(phrase.encode()) if phrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


PEM, ENCRYPTED_PEM = pem(KEY), pem(KEY, PHRASE)


def jwt(expires: float, signature: str = "s1gnatur3") -> str:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    return f"{part({'alg': 'RS256'})}.{part({'exp': int(expires), 'sub': 'ocid1.user.oc1..bbbb'})}.{signature}"


def write_file(path: Path, text: str) -> str:
    """Write a file with a new modification time, so that no test has to sleep."""
    before = path.stat().st_mtime_ns if path.exists() else 1_000_000_000
    path.write_text(text)
    os.utime(path, ns=(before + 1, before + 1))
    return str(path)


def edit_config(home: Path, old: str, new: str) -> None:
    config = home / ".oci/config"
    write_file(config, config.read_text().replace(old, new))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def secrets() -> Iterator[str]:
    yield from (PHRASE, "s1gnatur3", "secret-bytes", jwt(NOW).split(".")[1])
    yield from (line for text in (PEM, ENCRYPTED_PEM) for line in text.splitlines()[1:-1])


def assert_no_secret(*texts: str | bytes) -> None:
    for text in texts:
        decoded = text if isinstance(text, str) else text.decode("latin-1")
        leaked = [secret for secret in secrets() if secret in decoded]
        assert not leaked


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("OCI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with profiles: DEFAULT has an API key, TEAM an encrypted one, SESSION a session token."""
    oci = tmp_path / ".oci"
    oci.mkdir()
    write_file(oci / "key.pem", PEM + "OCI_API_KEY\n")
    write_file(oci / "encrypted.pem", ENCRYPTED_PEM)
    write_file(oci / "session.pem", pem(OTHER))
    write_file(oci / "token", jwt(NOW + 3600) + "\n")
    ids = f"tenancy=ocid1.tenancy.oc1..aaaa\nuser=ocid1.user.oc1..bbbb\nfingerprint={FINGERPRINT}\n"
    write_file(
        oci / "config",
        f"[DEFAULT]\n{ids}region=us-ashburn-1\nkey_file=~/.oci/key.pem\n\n"
        f"[TEAM]\n{ids}key_file=~/.oci/encrypted.pem\npass_phrase={PHRASE}\n\n"
        "[SESSION]\nkey_file=~/.oci/session.pem\nsecurity_token_file=~/.oci/token\nregion=eu-frankfurt-1\n",
    )
    return tmp_path


@pytest.fixture(params=["values", "paths"])
def principal(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    values = {"RPST": jwt(NOW + 1e9), "PRIVATE_PEM": ENCRYPTED_PEM, "PRIVATE_PEM_PASSPHRASE": PHRASE}
    if request.param == "paths":
        values = {name: write_file(tmp_path / name, value + "\n") for name, value in values.items()}
    for name, value in {**values, "VERSION": "2.2", "REGION": "uk-london-1"}.items():
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)
    return request.param
