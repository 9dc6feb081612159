"""API keys of OCI's config file, and the errors of a wrong configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import (
    ENCRYPTED_PEM,
    KEY,
    KEY_ID,
    NOW,
    PEM,
    PHRASE,
    REQUEST,
    assert_no_secret,
    chain,
    clean_environment,
    edit_config,
    home,
    jwt,
    principal,
    write_file,
)
from cryptography.hazmat.primitives import serialization

from mdstream_core.auth.oci import OCISigner, from_config, wrap_signer

__all__ = ["clean_environment", "home", "principal"]  # fixtures


# --- the config file


@pytest.mark.parametrize("env", [{}, {"OCI_CONFIG_PROFILE": "TEAM"}, {"OCI_CLI_PROFILE": "TEAM"}], ids=str)
def test_an_api_key_from_the_config_file(home: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    """The environment names the profile; an encrypted key is decrypted with its pass phrase."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    made = from_config()

    assert OCISigner(KEY_ID, KEY).sign(REQUEST) == made.sign(REQUEST)
    assert (False, False) == (made.needs_refresh(), made.can_refresh())
    assert "<SourceSigner APIKey …0a:f7>" == repr(made)


def test_another_file_by_argument_and_by_environment(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An explicit file precedes OCI_CONFIG_FILE, and that ~/.oci/config."""
    text = (home / ".oci/config").read_text()
    by_env = write_file(tmp_path / "by_env", text.replace("us-ashburn-1", "by-env-1"))
    by_argument = write_file(tmp_path / "by_argument", text.replace("us-ashburn-1", "by-argument-1"))
    monkeypatch.setenv("OCI_CONFIG_FILE", by_env)

    regions = [getattr(made, "region", None) for made in (from_config(), from_config(file=by_argument))]

    assert ["by-env-1", "by-argument-1"] == regions


def test_a_config_dict_can_contain_the_key() -> None:
    """As text in `key_content`."""
    tenancy, user, fingerprint = KEY_ID.split("/")
    config = {
        "tenancy": tenancy,
        "user": user,
        "fingerprint": fingerprint,
        "key_content": ENCRYPTED_PEM,
        "pass_phrase": PHRASE,
    }

    assert OCISigner(KEY_ID, KEY).sign(REQUEST) == from_config(config=config).sign(REQUEST)
    assert OCISigner(KEY_ID, KEY).sign(REQUEST) == wrap_signer({"config": config}).sign(REQUEST)
    assert OCISigner(KEY_ID, KEY).sign(REQUEST) == wrap_signer(config).sign(REQUEST)


BROKEN: dict[str, tuple[Callable[[Path], Any], dict[str, str], tuple[str, ...]]] = {
    "no file": (lambda h: (h / ".oci/config").unlink(), {}, ("config file ~/.oci/config", "sdkconfig")),
    "no profile": (lambda h: None, {"profile": "PROD"}, ("[PROD]", "DEFAULT, TEAM, SESSION", "auth_profile")),
    "no INI": (
        lambda h: write_file(h / ".oci/config", f"pass_phrase={PHRASE}"),
        {},
        ("~/.oci/config", "MissingSection"),
    ),
    "twice": (lambda h: write_file(h / ".oci/config", "[A]\nx=1\nx=2\n"), {"profile": "A"}, ("Duplicate",)),
    "no user": (lambda h: edit_config(h, "user=", "nobody="), {}, ("user", "[DEFAULT]", "oci setup config")),
    "bad fingerprint": (lambda h: edit_config(h, "0a:", "0A:"), {}, ("fingerprint", "malformed", "console")),
    "no key file field": (lambda h: edit_config(h, "key_file=~/.oci/key", "x=~/"), {}, ("key_file", "[DEFAULT]")),
    "no key file": (lambda h: (h / ".oci/key.pem").unlink(), {}, ("key_file ~/.oci/key.pem", "No such file", "PEM")),
    "key file is a directory": (lambda h: edit_config(h, "key.pem", ""), {}, ("key_file", "directory")),
    "no key": (
        lambda h: write_file(h / ".oci/key.pem", "hello"),
        {},
        ("key_file", "not a PEM private key", "oci setup keys"),
    ),
    "sealed": (lambda h: write_file(h / ".oci/key.pem", ENCRYPTED_PEM), {}, ("key_file", "encrypted", "pass_phrase")),
    "wrong phrase": (
        lambda h: edit_config(h, PHRASE, PHRASE + "x"),
        {"profile": "TEAM"},
        ("key_file ~/.oci/encrypted.pem", "pass_phrase is wrong"),
    ),
    "public key": (
        lambda h: write_file(
            h / ".oci/key.pem",
            KEY.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        ),
        {},
        ("key_file", "public key", "private"),
    ),
    "key pasted as path": (
        lambda h: edit_config(h, "~/.oci/key.pem", PEM.strip().replace("\n", "\n  ")),
        {},
        ("key_file", "is a secret instead of a path", "path"),
    ),
    "token pasted as path": (
        lambda h: edit_config(h, "~/.oci/token", jwt(NOW)),
        {"profile": "SESSION"},
        ("security_token_file", "is a secret instead of a path"),
    ),
    "key_content in a file": (
        lambda h: edit_config(h, "[DEFAULT]", "[DEFAULT]\nkey_content=" + PEM.strip().replace("\n", "\n  ")),
        {},
        ("key_content", "use key_file"),
    ),
    "a session as an API key": (
        lambda h: edit_config(h, "user=ocid1.user.oc1..bbbb", ""),
        {"profile": "SESSION", "kind": "api_key"},
        ("user", "auth_type='session_token'"),
    ),
    "an API key as a session": (
        lambda h: None,
        {"kind": "session_token"},
        ("security_token_file", "oci session"),
    ),
    "no token file": (
        lambda h: (h / ".oci/token").unlink(),
        {"profile": "SESSION"},
        ("security_token_file", "oci session"),
    ),
    "empty token": (
        lambda h: write_file(h / ".oci/token", "\n"),
        {"profile": "SESSION"},
        ("security_token_file", "empty"),
    ),
    "binary token": (
        lambda h: (h / ".oci/token").write_bytes(b"\xff\xfesecret-bytes"),
        {"profile": "SESSION"},
        ("security_token_file", "is empty, or not one line of ASCII"),
    ),
}


@pytest.mark.parametrize(("damage", "arguments", "words"), BROKEN.values(), ids=BROKEN)
def test_a_wrong_configuration_is_an_error_with_a_hint(
    home: Path, damage: Callable[[Path], Any], arguments: Any, words: tuple[str, ...]
) -> None:
    """The message names field and file; neither it nor its causes contain a secret."""
    damage(home)

    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are looked at below
        from_config(**arguments)

    assert [] == [word for word in words if word not in str(caught.value)]
    assert_no_secret(*(repr(error) + str(error) for error in chain(caught.value)))
