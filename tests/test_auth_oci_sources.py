"""API keys from OCI's config file, and what is said when something is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import (
    KEY,
    KEY_ID,
    NOW,
    PEM,
    PHRASE,
    PROMPT,
    SEALED,
    assert_no_secret,
    bare,
    chain,
    edited,
    home,
    jwt,
    principal,
    put,
)
from cryptography.hazmat.primitives import serialization

from mdstream_core.auth.oci import OCISigner, from_config, wrap_signer

__all__ = ["bare", "home", "principal"]  # fixtures


# --- the config file


@pytest.mark.parametrize("env", [{}, {"OCI_CONFIG_PROFILE": "TEAM"}, {"OCI_CLI_PROFILE": "TEAM"}], ids=str)
def test_an_api_key_from_the_config_file(home: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    """
    The profile is what the environment names, or DEFAULT; an encrypted key is opened with the profile's pass phrase.
    """
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    made = from_config()

    assert OCISigner(KEY_ID, KEY).sign(PROMPT) == made.sign(PROMPT)
    assert (False, False) == (made.needs_refresh(), made.can_refresh())
    assert "<SourceSigner APIKey …0a:f7>" == repr(made)


def test_another_file_by_argument_and_by_environment(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An explicit file wins over OCI_CONFIG_FILE, and that over ~/.oci/config.
    """
    text = (home / ".oci/config").read_text()
    by_env = put(tmp_path / "by_env", text.replace("us-ashburn-1", "by-env-1"))
    by_argument = put(tmp_path / "by_argument", text.replace("us-ashburn-1", "by-argument-1"))
    monkeypatch.setenv("OCI_CONFIG_FILE", by_env)

    regions = [getattr(made, "region", None) for made in (from_config(), from_config(file=by_argument))]

    assert ["by-env-1", "by-argument-1"] == regions


def test_a_config_dict_with_key_content() -> None:
    """
    The fields may come as a dict, the key in it as text.
    """
    tenancy, user, fingerprint = KEY_ID.split("/")
    config = {
        "tenancy": tenancy,
        "user": user,
        "fingerprint": fingerprint,
        "key_content": SEALED,
        "pass_phrase": PHRASE,
    }

    assert OCISigner(KEY_ID, KEY).sign(PROMPT) == from_config(config=config).sign(PROMPT)
    assert OCISigner(KEY_ID, KEY).sign(PROMPT) == wrap_signer({"config": config}).sign(PROMPT)
    assert OCISigner(KEY_ID, KEY).sign(PROMPT) == wrap_signer(config).sign(PROMPT)


BROKEN: dict[str, tuple[Callable[[Path], Any], dict[str, str], tuple[str, ...]]] = {
    "no file": (lambda h: (h / ".oci/config").unlink(), {}, ("config file ~/.oci/config", "sdkconfig")),
    "no profile": (lambda h: None, {"profile": "PROD"}, ("[PROD]", "DEFAULT, TEAM, SESSION", "auth_profile")),
    "no INI": (lambda h: put(h / ".oci/config", f"pass_phrase={PHRASE}"), {}, ("~/.oci/config", "MissingSection")),
    "twice": (lambda h: put(h / ".oci/config", "[A]\nx=1\nx=2\n"), {"profile": "A"}, ("Duplicate",)),
    "no user": (lambda h: edited(h, "user=", "nobody="), {}, ("user", "[DEFAULT]", "oci setup config")),
    "bad fingerprint": (lambda h: edited(h, "0a:", "0A:"), {}, ("fingerprint", "malformed", "console")),
    "no key file field": (lambda h: edited(h, "key_file=~/.oci/key", "x=~/"), {}, ("key_file", "[DEFAULT]")),
    "no key file": (lambda h: (h / ".oci/key.pem").unlink(), {}, ("key_file ~/.oci/key.pem", "No such file", "PEM")),
    "key file is a directory": (lambda h: edited(h, "key.pem", ""), {}, ("key_file", "directory")),
    "no key": (lambda h: put(h / ".oci/key.pem", "hello"), {}, ("key_file", "no PEM private key", "oci setup keys")),
    "sealed": (lambda h: put(h / ".oci/key.pem", SEALED), {}, ("key_file", "encrypted", "pass_phrase")),
    "wrong phrase": (
        lambda h: edited(h, PHRASE, PHRASE + "x"),
        {"profile": "TEAM"},
        ("key_file ~/.oci/sealed.pem", "pass_phrase is wrong"),
    ),
    "public key": (
        lambda h: put(
            h / ".oci/key.pem",
            KEY.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        ),
        {},
        ("key_file", "public key", "private"),
    ),
    "key pasted as path": (
        lambda h: edited(h, "~/.oci/key.pem", PEM.strip().replace("\n", "\n  ")),
        {},
        ("key_file", "holds a secret itself", "path"),
    ),
    "token pasted as path": (
        lambda h: edited(h, "~/.oci/token", jwt(NOW)),
        {"profile": "SESSION"},
        ("security_token_file", "holds a secret itself"),
    ),
    "key_content in a file": (
        lambda h: edited(h, "[DEFAULT]", "[DEFAULT]\nkey_content=" + PEM.strip().replace("\n", "\n  ")),
        {},
        ("key_content", "use key_file"),
    ),
    "a session as an API key": (
        lambda h: edited(h, "user=ocid1.user.oc1..bbbb", ""),
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
    "empty token": (lambda h: put(h / ".oci/token", "\n"), {"profile": "SESSION"}, ("security_token_file", "empty")),
    "binary token": (
        lambda h: (h / ".oci/token").write_bytes(b"\xff\xfesecret-bytes"),
        {"profile": "SESSION"},
        ("security_token_file", "empty or no text"),
    ),
}


@pytest.mark.parametrize(("damage", "arguments", "words"), BROKEN.values(), ids=BROKEN)
def test_a_bad_configuration_names_the_field_and_the_hint(
    home: Path, damage: Callable[[Path], Any], arguments: Any, words: tuple[str, ...]
) -> None:
    """
    The message says which field of which file is wrong and what to do; no part of a secret is in it or behind it.
    """
    damage(home)

    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are looked at below
        from_config(**arguments)

    assert [] == [word for word in words if word not in str(caught.value)]
    assert_no_secret(*(repr(error) + str(error) for error in chain(caught.value)))
