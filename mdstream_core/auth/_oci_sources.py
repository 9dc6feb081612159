"""Where an OCI credential comes from: a profile of the config file, a session's files, the environment.

A source is a frozen value that knows the place and never the secret; `load` reads it, again and again if need be.
"""

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mdstream_core.auth._oci_keys import TOKEN_PREFIX, Credential, FileStamp, jwt_expiry, load_private_key, rsa_sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

DEFAULT_FILE = "~/.oci/config"
_DOCS_HINT = "see https://docs.oracle.com/en-us/iaas/Content/API/Concepts/sdkconfig.htm"
_OCID = re.compile(r"([0-9a-zA-Z-_]+[.:])([0-9a-zA-Z-_]*[.:]){3,}([0-9a-zA-Z-_]+)")  # as oci.config has it
_FIELD_PATTERNS = {"tenancy": _OCID, "user": _OCID, "fingerprint": re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}")}
_SECRETS = ("pass_phrase", "key_content")


class CredentialSource(Protocol):
    """A place that holds a credential."""

    def load(self) -> Credential:
        """Read it; `ValueError` says what is missing, where, and the cure."""

    @property
    def expired_hint(self) -> str:
        """What to do when the token that was read has already expired."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of an OCI config file."""

    file: str = DEFAULT_FILE
    name: str = "DEFAULT"

    @classmethod
    def resolve(cls, name: str | None = None, file: str | None = None) -> "Profile":
        """What was given, else what the environment names, else the defaults."""
        env = os.environ.get
        chosen = name or env("OCI_CLI_PROFILE") or env("OCI_CONFIG_PROFILE") or "DEFAULT"
        return cls(file or env("OCI_CONFIG_FILE") or env("OCI_CONFIG_LOCATION") or DEFAULT_FILE, chosen)

    def exists(self) -> bool:
        return Path(self.file).expanduser().is_file()

    def fields(self) -> dict[str, str]:
        """The profile's fields over those of DEFAULT."""
        sections = self._sections()
        if self.name not in sections:
            known = ", ".join(sections) or "none"
            raise ValueError(f"no profile [{self.name}] in {self.file} (it has: {known}): set auth_profile")
        own = sections[self.name]
        if "key_content" in own:
            raise ValueError(f"{self} holds key_content, which OCI allows in no config file: use key_file")
        # A session's profile may inherit `user`, an API key's `security_token_file`: the profile's own word counts.
        inherited = {**sections.get("DEFAULT", {})}
        if "user" in own:
            inherited.pop("security_token_file", None)
        return {**inherited, **own}

    def _sections(self) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(interpolation=None, default_section="\0")  # DEFAULT as any other
        problem = None
        try:
            parser.read_string(
                _read(self.file, f"the OCI config file {self.file}", _DOCS_HINT).decode(errors="replace")
            )
        except (configparser.Error, AttributeError) as error:  # holds lines of the file: secrets
            problem = type(error).__name__  # AttributeError: CPython 3.11, a line that goes on with a field of no value
        if problem:
            raise ValueError(f"the OCI config file {self.file} cannot be read ({problem}): {_DOCS_HINT}")
        return {name: dict(parser[name]) for name in parser.sections()}

    def __str__(self) -> str:
        return f"profile [{self.name}] of {self.file}"


@dataclass(frozen=True, slots=True)
class ConfigFields:
    """The fields of a profile as a dict, `key_content` included."""

    values: Mapping[str, str | None] = field(repr=False)

    def fields(self) -> dict[str, str]:
        return {name: value for name, value in self.values.items() if isinstance(value, str)}

    def __reduce__(self) -> tuple[type["ConfigFields"], tuple[dict[str, str]]]:
        if any(self.values.get(name) for name in _SECRETS):
            raise TypeError(
                "a config dict with key_content or pass_phrase is not written to a pickle: use a config file"
            )
        return ConfigFields, (self.fields(),)

    def __str__(self) -> str:
        return "the config dict"


@dataclass(frozen=True, slots=True)
class APIKey:
    """An API signing key: `tenancy`, `user`, `fingerprint` and `key_file` (or `key_content`)."""

    settings: Profile | ConfigFields

    expired_hint = ""

    def load(self) -> Credential:
        fields = self.settings.fields()
        hint = (
            "set auth_type='session_token'"
            if fields.get("security_token_file")
            else "add it, or run 'oci setup config'"
        )
        ids = [_validate_field(fields, name, self.settings, hint) for name in _FIELD_PATTERNS]
        if content := fields.get("key_content"):
            key = load_private_key(content, fields.get("pass_phrase"), where=f"key_content of {self.settings}")
        else:
            key = _key_credential(fields, self.settings)
        return Credential("/".join(ids), rsa_sha256(key), region=_region(fields))

    def __str__(self) -> str:
        return f"an OCI API key, {self.settings}"


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A session of `oci session authenticate`: `security_token_file` and `key_file`, replaced while we run."""

    settings: Profile | ConfigFields

    @property
    def expired_hint(self) -> str:
        profile = f" --profile {self.settings.name}" if isinstance(self.settings, Profile) else ""
        return f"run oci session refresh{profile}; when that is refused, oci session authenticate"

    def load(self) -> Credential:
        fields = self.settings.fields()
        paths = [
            _require_field(fields, name, self.settings, self.expired_hint)
            for name in ("security_token_file", "key_file")
        ]
        where = f"security_token_file {paths[0]} of {self.settings}"
        stamps = tuple(_stamp(path, where, self.expired_hint) for path in paths)  # first the stamps, then the content
        token = _text(_read(paths[0], where, self.expired_hint), where, self.expired_hint)
        return _token_credential(token, _key_credential(fields, self.settings), stamps, _region(fields))

    def __str__(self) -> str:
        return f"an OCI session, {self.settings}"


@dataclass(frozen=True, slots=True)
class ResourcePrincipal:
    """Resource principal 2.2: the environment holds token and key, or the absolute paths of files that hold them.

    Source: oci/auth/signers/resource_principals_signer.py.
    """

    expired_hint = (
        "the platform renews it only where OCI_RESOURCE_PRINCIPAL_RPST is the absolute path of a file; "
        "if it is, compare this machine's clock"
    )

    def load(self) -> Credential:
        names = ("RPST", "PRIVATE_PEM", "PRIVATE_PEM_PASSPHRASE")
        values = {name: os.environ.get(f"OCI_RESOURCE_PRINCIPAL_{name}", "") for name in names}
        stamps = tuple(FileStamp.from_path(value) for value in values.values() if Path(value).is_absolute())
        token, pem, phrase = (_read_content(name, value) for name, value in values.items())
        key = load_private_key(pem, phrase or None, where="OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM")
        return _token_credential(token, key, stamps, os.environ.get("OCI_RESOURCE_PRINCIPAL_REGION"))

    def __str__(self) -> str:
        return "the resource principal in the environment (OCI_RESOURCE_PRINCIPAL_…)"


def _read_content(name: str, value: str) -> str:
    full = f"OCI_RESOURCE_PRINCIPAL_{name}"
    if not value and name != "PRIVATE_PEM_PASSPHRASE":
        raise ValueError(
            f"{full} is not set: a resource principal 2.2 needs it (its value, or the absolute path of a file)"
        )
    hint = "the platform should have written it"
    if not Path(value).is_absolute():
        return value.strip()
    return _text(_read(value, f"{full} {value}", hint), f"{full} {value}", hint)


def _token_credential(
    token: str, key: "RSAPrivateKey", stamps: tuple[FileStamp, ...], region: str | None
) -> Credential:
    return Credential(TOKEN_PREFIX + token, rsa_sha256(key), jwt_expiry(token), stamps, region)


def _key_credential(fields: Mapping[str, str], settings: Profile | ConfigFields) -> "RSAPrivateKey":
    hint = "name the PEM file of the private key"
    file = _require_field(fields, "key_file", settings, hint)
    where = f"key_file {file} of {settings}"
    return load_private_key(_read(file, where, hint), fields.get("pass_phrase"), where=where)


def _region(fields: Mapping[str, str]) -> str | None:
    return fields.get("region") or os.environ.get("OCI_REGION")


def _require_field(fields: Mapping[str, str], name: str, settings: Profile | ConfigFields, hint: str) -> str:
    value = fields.get(name, "").strip()
    if not value:
        raise ValueError(f"{name} is missing in {settings}: {hint}")
    if name.endswith("_file") and ("-----" in value or value.startswith("eyJ")):  # never to be shown as a path
        raise ValueError(f"{name} of {settings} holds a secret itself: it must be the path of a file")
    return value


def _validate_field(fields: Mapping[str, str], name: str, settings: Profile | ConfigFields, hint: str) -> str:
    value = _require_field(fields, name, settings, hint)
    if not _FIELD_PATTERNS[name].fullmatch(value):
        raise ValueError(f"{name} of {settings} is malformed: copy it from the OCI console (User settings, API keys)")
    return value


def _read(path: str, where: str, hint: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error.strerror}): {hint}") from error
    except _NO_PATH:
        raise ValueError(f"{where} cannot be read (it is no path): {hint}") from None


def _stamp(path: str, where: str, hint: str) -> FileStamp:
    try:
        return FileStamp.from_path(str(Path(path).expanduser()))
    except _NO_PATH:
        raise ValueError(f"{where} cannot be read (it is no path): {hint}") from None


#: What `pathlib` raises for a text that is no path: a NUL in it, half a character, the home of a user who is not there.
_NO_PATH = (ValueError, RuntimeError)


def _text(data: bytes, where: str, hint: str) -> str:
    """One line of ASCII; a decoding error would carry the secret, so none is raised."""
    word = data.strip()
    if not word or not word.isascii() or (b"\n" in word and b"-----" not in word):
        raise ValueError(f"{where} is empty or no text of the expected kind: {hint}")
    return word.decode("ascii")
