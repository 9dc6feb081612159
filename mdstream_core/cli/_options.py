"""The parsed command line, the exit codes, and the errors that end a command before it sends a request."""

import argparse
import re
from typing import Any

from mdstream_core._terminal import strip_control_characters

#: Exit codes; 0 is success.
EXIT_FAILURE, EXIT_USAGE, EXIT_MISSING, EXIT_INTERRUPTED = 1, 2, 3, 130

#: Shorter strings are not redacted: they protect nothing, and would hide parts of ordinary words.
_MIN_SECRET_LENGTH = 6

#: The option for each constructor field that an error message can name.
_OPTION_BY_FIELD = {
    "auth_profile": "--profile",
    "auth_type": "--auth-type",
    "auth_file_location": "--config-file",
    "credentials_profile_name": "--profile",
    "api_key": "--api-key",
    "region_name": "--region",
    "compartment_id": "--compartment",
    "verify=": "--ca-file",
}
#: A list of values, a quoted value, or the name of a field with the `=` before its value. Values are not replaced:
#: `api_key` is also an authentication type.
_FIELDS = re.compile(
    rf"one of [^;()]+|(?<!\w)'[^']*'|(?P<field>\b(?:{'|'.join(_OPTION_BY_FIELD)})(?!\w))(?P<equals>=(?='))?"
)

#: Parts of hints that name what only Python code can pass.
_ONLY_IN_PYTHON = (", pass a signer as auth", ", boto3_session, client or keys", ", or endpoint_url")


class UsageError(Exception):
    """The command line is invalid. The message names the argument and ends with a hint."""


class MissingCredential(Exception):
    """No usable credential exists on this machine. The message lists where it was searched for."""


class Options(argparse.Namespace):
    """The parsed command line. Each command reads the fields of its own options."""

    module: str
    json: bool
    # chat, check and models
    endpoint: str
    platform: str | None
    auth_type: str | None
    profile: str | None
    config_file: str | None
    api_key: str | None
    region: str | None
    compartment: str | None
    model: str | None
    dialect: str | None
    timeout: float | None
    header: list[str]
    ca_file: str | None
    # chat
    prompt: list[str]
    system: str | None
    max_tokens: int | None
    temperature: float | None
    markdown: bool
    # record and check
    output: str
    keep_text: bool
    report: str | None
    # demo and emulate
    fast: bool
    host: str
    port: int
    upstream: str | None
    flavour: str
    oci_genai_ending: str
    delay: float
    replay: str | None
    timing: bool
    requests_per_second: float | None
    burst: int | None
    rate_limit_scope: str | None
    retry_after: str | None
    # completion
    shell: str

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._secrets: list[str] = []
        #: Secrets by the source they were read from, because standard input can be read only once.
        self.secrets_by_source: dict[str, str] = {}

    def add_secret(self, secret: str) -> str:
        """Register a secret, so that `redact` removes it from everything that is printed. Returns the secret."""
        if len(secret) >= _MIN_SECRET_LENGTH:
            self._secrets.append(secret)
        return secret

    def redact(self, text: object) -> str:
        """Return the text without the registered secrets and without terminal control characters."""
        redacted = strip_control_characters(str(text))
        for secret in self._secrets:
            redacted = redacted.replace(secret, "…")
        return redacted


def name_options(message: str) -> str:
    """Replace the names of constructor fields in an error message by those of the options.

    >>> name_options("region_name is missing")
    '--region is missing'
    >>> name_options("auth_type='x' is unknown (hint: use one of api_key, none)")
    "--auth-type 'x' is unknown (hint: use one of api_key, none)"
    """
    for phrase in _ONLY_IN_PYTHON:
        message = message.replace(phrase, "")
    return _FIELDS.sub(_name_option, message)


def _name_option(match: re.Match[str]) -> str:
    if match["field"] is None:
        return match[0]
    return _OPTION_BY_FIELD[match["field"]] + (" " if match["equals"] else "")
