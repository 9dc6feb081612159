"""Sources of OCI credentials: a profile of the config file, a session token, the resource principal.

A source is a frozen value that names files and variables and holds no secret; `load` reads the credential each time.
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
    """The interface of a source of credentials."""

    def load(self) -> Credential:
        """Read the credential.

        Raises:
            ValueError: It is missing or malformed; the message names the field and its source, with a hint.
        """

    @property
    def expired_hint(self) -> str:
        """The hint of the error for a token that has already expired."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of an OCI config file.

    Args:
        file: Path of the config file. Default: `~/.oci/config`.
        name: Name of the profile. Default: `DEFAULT`.
    """

    file: str = DEFAULT_FILE
    name: str = "DEFAULT"

    @classmethod
    def resolve(cls, name: str | None = None, file: str | None = None) -> "Profile":
        """Return the profile of the arguments, else that of the environment, else the default one."""
        env = os.environ.get
        chosen = name or env("OCI_CLI_PROFILE") or env("OCI_CONFIG_PROFILE") or "DEFAULT"
        return cls(file or env("OCI_CONFIG_FILE") or env("OCI_CONFIG_LOCATION") or DEFAULT_FILE, chosen)

    def exists(self) -> bool:
        return Path(self.file).expanduser().is_file()

    def fields(self) -> dict[str, str]:
        """Return the fields of the profile, and those that it inherits from DEFAULT.

        Raises:
            ValueError: The file cannot be read, or has no such profile.
        """
        sections = self._sections()
        if self.name not in sections:
            known = ", ".join(sections) or "none"
            raise ValueError(
                f"{self.file} has no profile [{self.name}] (hint: set auth_profile to one of these profiles: {known})"
            )
        own = sections[self.name]
        if "key_content" in own:
            raise ValueError(f"{self} has key_content, which OCI does not allow in a config file (hint: use key_file)")
        # A session's profile may inherit `user`, and an API key's profile `security_token_file`: its own field wins.
        inherited = {**sections.get("DEFAULT", {})}
        if "user" in own:
            inherited.pop("security_token_file", None)
        return {**inherited, **own}

    def _sections(self) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(interpolation=None, default_section="\0")  # read DEFAULT as a profile
        problem = None
        try:
            parser.read_string(
                _read(self.file, f"the OCI config file {self.file}", _DOCS_HINT).decode(errors="replace")
            )
        except (configparser.Error, AttributeError) as error:  # the error quotes lines of the file
            problem = type(
                error
            ).__name__  # AttributeError: CPython 3.11, a continuation line after a field without value
        if problem:
            raise ValueError(f"the OCI config file {self.file} cannot be read: {problem} (hint: {_DOCS_HINT})")
        return {name: dict(parser[name]) for name in parser.sections()}

    def __str__(self) -> str:
        return f"profile [{self.name}] of {self.file}"


@dataclass(frozen=True, slots=True)
class ConfigFields:
    """The fields of a profile as a dict.

    Args:
        values: The fields by name; may include `key_content`.
    """

    values: Mapping[str, str | None] = field(repr=False)

    def fields(self) -> dict[str, str]:
        return {name: value for name, value in self.values.items() if isinstance(value, str)}

    def __reduce__(self) -> tuple[type["ConfigFields"], tuple[dict[str, str]]]:
        if any(self.values.get(name) for name in _SECRETS):
            raise TypeError("a config dict with key_content or pass_phrase cannot be pickled (hint: use a config file)")
        return ConfigFields, (self.fields(),)

    def __str__(self) -> str:
        return "the config dict"


@dataclass(frozen=True, slots=True)
class APIKey:
    """An API signing key.

    Args:
        settings: Has `tenancy`, `user`, `fingerprint` and `key_file` (or `key_content`).
    """

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
    """A session token of `oci session authenticate`, whose files the `oci` command replaces.

    Args:
        settings: Has `security_token_file` and `key_file`.
    """

    settings: Profile | ConfigFields

    @property
    def expired_hint(self) -> str:
        profile = f" --profile {self.settings.name}" if isinstance(self.settings, Profile) else ""
        return f"run oci session refresh{profile}; if it fails, run oci session authenticate"

    def load(self) -> Credential:
        fields = self.settings.fields()
        paths = [
            _require_field(fields, name, self.settings, self.expired_hint)
            for name in ("security_token_file", "key_file")
        ]
        where = f"security_token_file {paths[0]} of {self.settings}"
        stamps = tuple(
            _stamp(path, where, self.expired_hint) for path in paths
        )  # before the content: a later change counts
        token = _text(_read(paths[0], where, self.expired_hint), where, self.expired_hint)
        return _token_credential(token, _key_credential(fields, self.settings), stamps, _region(fields))

    def __str__(self) -> str:
        return f"an OCI session, {self.settings}"


@dataclass(frozen=True, slots=True)
class ResourcePrincipal:
    """Resource principal 2.2: token and key in environment variables, or in files whose paths these variables name.

    Source: oci/auth/signers/resource_principals_signer.py.
    """

    expired_hint = (
        "OCI renews the token only if OCI_RESOURCE_PRINCIPAL_RPST is the absolute path of a file; "
        "if it is, check this machine's clock"
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
            f"{full} is not set (hint: a resource principal 2.2 needs it: the value, or the absolute path of a file)"
        )
    hint = "OCI writes this file; check that the process may read it"
    if not Path(value).is_absolute():
        return value.strip()
    return _text(_read(value, f"{full} {value}", hint), f"{full} {value}", hint)


def _token_credential(
    token: str, key: "RSAPrivateKey", stamps: tuple[FileStamp, ...], region: str | None
) -> Credential:
    return Credential(TOKEN_PREFIX + token, rsa_sha256(key), jwt_expiry(token), stamps, region)


def _key_credential(fields: Mapping[str, str], settings: Profile | ConfigFields) -> "RSAPrivateKey":
    hint = "set it to the path of the private key, a PEM file"
    path = _require_field(fields, "key_file", settings, hint)
    where = f"key_file {path} of {settings}"
    return load_private_key(_read(path, where, hint), fields.get("pass_phrase"), where=where)


def _region(fields: Mapping[str, str]) -> str | None:
    return fields.get("region") or os.environ.get("OCI_REGION")


def _require_field(fields: Mapping[str, str], name: str, settings: Profile | ConfigFields, hint: str) -> str:
    value = fields.get(name, "").strip()
    if not value:
        raise ValueError(f"{name} is missing in {settings} (hint: {hint})")
    if name.endswith("_file") and (
        "-----" in value or value.startswith("eyJ")
    ):  # must not appear in an error as a path
        raise ValueError(f"{name} of {settings} is a secret instead of a path (hint: set it to the path of a file)")
    return value


def _validate_field(fields: Mapping[str, str], name: str, settings: Profile | ConfigFields, hint: str) -> str:
    value = _require_field(fields, name, settings, hint)
    if not _FIELD_PATTERNS[name].fullmatch(value):
        raise ValueError(
            f"{name} of {settings} is malformed (hint: copy it from the OCI console: User settings, API keys)"
        )
    return value


def _read(path: str, where: str, hint: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror} (hint: {hint})") from error
    except _PATH_ERRORS:
        raise ValueError(f"{where} cannot be read: it is not a path (hint: {hint})") from None


def _stamp(path: str, where: str, hint: str) -> FileStamp:
    try:
        return FileStamp.from_path(str(Path(path).expanduser()))
    except _PATH_ERRORS:
        raise ValueError(f"{where} cannot be read: it is not a path (hint: {hint})") from None


#: What `pathlib` raises for a text that is no path: with a NUL, a lone surrogate, or the home of an unknown user.
_PATH_ERRORS = (ValueError, RuntimeError)


def _text(data: bytes, where: str, hint: str) -> str:
    """Decode one line of ASCII, or PEM text; avoids `UnicodeDecodeError`, which would contain the secret."""
    text = data.strip()
    if not text or not text.isascii() or (b"\n" in text and b"-----" not in text):
        raise ValueError(f"{where} is empty, or not one line of ASCII (hint: {hint})")
    return text.decode("ascii")
