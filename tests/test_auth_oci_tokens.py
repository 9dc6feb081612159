"""Session tokens and resource principals, which expire and are read again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import (
    KEY,
    KEY_ID,
    NOW,
    OTHER,
    PEM,
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

from mdstream_core.auth._oci_sources import Profile, ResourcePrincipal, SessionToken
from mdstream_core.auth.oci import OCISigner, SourceSigner, from_config, resource_principal
from mdstream_core.errors import AuthenticationError

__all__ = ["clean_environment", "home", "principal"]  # fixtures


def session(clock: float = NOW) -> SourceSigner:
    made = SourceSigner(SessionToken(Profile(name="SESSION")), clock=lambda: clock)
    assert isinstance(made, SourceSigner)
    return made


# --- session tokens


def test_a_session_signs_with_the_token_as_key_id(home: Path) -> None:
    """The profile's own security_token_file decides, although it inherits a user from DEFAULT."""
    made = from_config("SESSION")

    assert OCISigner("ST$" + jwt(NOW + 3600), OTHER).sign(REQUEST) == made.sign(REQUEST)
    assert "eu-frankfurt-1" == getattr(made, "region", None)
    assert made.can_refresh()


def test_an_api_key_profile_does_not_inherit_a_session(home: Path) -> None:
    """A profile with its own user is an API key, whatever DEFAULT has."""
    edit_config(home, "[DEFAULT]\n", "[DEFAULT]\nsecurity_token_file=~/.oci/token\n")

    assert OCISigner(KEY_ID, KEY).sign(REQUEST) == from_config("TEAM").sign(REQUEST)


@pytest.mark.parametrize(("left", "expected"), [(3600, False), (61, False), (59, True), (-1, True)])
def test_a_token_needs_a_refresh_a_minute_before_it_expires(home: Path, left: int, expected: bool) -> None:
    """It is read again before the service rejects it."""
    write_file(home / ".oci/token", jwt(NOW + left))

    assert expected == session().needs_refresh()


@pytest.mark.parametrize("name", ["token", "session.pem"])
def test_a_replaced_file_is_read_again(home: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """After `oci session refresh` in another terminal."""
    caplog.set_level(logging.INFO, "mdstream.auth")
    made = session()
    fresh = not made.needs_refresh()
    write_file(home / ".oci" / name, {"token": jwt(NOW + 7200), "session.pem": PEM}[name])
    stale = made.needs_refresh()
    made.refresh(made.generation)
    expected = OCISigner("ST$" + jwt(NOW + (7200 if name == "token" else 3600)), OTHER if name == "token" else KEY)

    assert (True, True, False) == (fresh, stale, made.needs_refresh())
    assert expected.sign(REQUEST) == made.sign(REQUEST)
    validity = f"valid for {7200 if name == 'token' else 3600} s"
    assert [f"credential refreshed: {made.credential_source}; {validity}"] == caplog.messages


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: write_file(path, "")], ids=["gone", "empty"])
def test_a_file_about_to_be_written_is_not_read(home: Path, damage: Callable[[Path], Any]) -> None:
    """While the token is valid, a missing or empty file is no failure."""
    made = session()
    damage(home / ".oci/token")

    assert not made.needs_refresh()
    made.sign(REQUEST)


def test_an_expired_session_is_an_error_with_a_hint(home: Path) -> None:
    """The hint has the command; a later refresh succeeds."""
    write_file(home / ".oci/token", jwt(NOW - 5))
    made = session()

    with pytest.raises(
        AuthenticationError, match=r"2026-09-21 14:13:15 UTC.*oci session refresh --profile SESSION"
    ) as caught:
        made.refresh(made.generation)
    write_file(home / ".oci/token", jwt(NOW + 3600))
    made.refresh(made.generation)

    assert_no_secret(*(repr(error) for error in chain(caught.value)))
    assert (1, False) == (made.generation, made.needs_refresh())


def test_an_unreadable_session_file_is_an_authentication_error(home: Path) -> None:
    """During a call all failures are mdstream errors."""
    made = session()
    (home / ".oci/session.pem").unlink()

    with pytest.raises(AuthenticationError, match=r"key_file ~/\.oci/session\.pem"):
        made.refresh(made.generation)


def test_a_token_that_is_no_jwt_has_no_expiry(home: Path) -> None:
    """Only the service can reject it."""
    write_file(home / ".oci/token", "opaque")

    assert not session().needs_refresh()


# --- resource principal 2.2


def test_a_resource_principal_signs(principal: str) -> None:
    """Token, key and pass phrase come from the environment, or from the files that it names."""
    made = resource_principal()

    assert OCISigner("ST$" + jwt(NOW + 1e9), KEY).sign(REQUEST) == made.sign(REQUEST)
    assert "uk-london-1" == getattr(made, "region", None)
    assert (principal == "paths", False) == (made.can_refresh(), made.needs_refresh())


def test_a_resource_principal_reads_its_new_token(
    principal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh reads files and environment again."""
    made = resource_principal()
    new = jwt(NOW + 2e9)
    if principal == "paths":
        write_file(tmp_path / "RPST", new)
    else:
        monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", new)
    stale = made.needs_refresh()
    made.refresh(made.generation)

    assert (principal == "paths") == stale
    assert OCISigner("ST$" + new, KEY).sign(REQUEST) == made.sign(REQUEST)


def test_an_expired_resource_principal_is_an_error_with_a_hint(principal: str) -> None:
    """A token in an environment variable is not renewed."""
    made = SourceSigner(ResourcePrincipal(), clock=lambda: NOW + 1e9 + 1)

    assert made.needs_refresh()
    with pytest.raises(AuthenticationError, match="OCI_RESOURCE_PRINCIPAL_RPST is the absolute path"):
        made.refresh(made.generation)


@pytest.mark.parametrize("name", ["RPST", "PRIVATE_PEM"])
def test_a_missing_variable_is_named(principal: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its full name."""
    monkeypatch.delenv(f"OCI_RESOURCE_PRINCIPAL_{name}")

    with pytest.raises(ValueError, match=f"OCI_RESOURCE_PRINCIPAL_{name} is not set"):
        resource_principal()


def test_a_missing_file_of_a_resource_principal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the variable and the path."""
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", "/nowhere/rpst")

    with pytest.raises(ValueError, match="OCI_RESOURCE_PRINCIPAL_RPST /nowhere/rpst cannot be read"):
        resource_principal()


def test_a_missing_resource_principal_names_the_variable() -> None:
    """Outside OCI another auth_type is needed."""
    with pytest.raises(ValueError, match="OCI_RESOURCE_PRINCIPAL_VERSION is not set"):
        resource_principal()
