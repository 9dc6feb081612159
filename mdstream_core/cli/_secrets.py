"""Secrets: the command line names where to read them, and never contains them."""

import getpass
import os
import sys
from pathlib import Path

from mdstream_core.cli._options import Options, UsageError
from mdstream_core.http import is_secret_name, sendable_headers

_SOURCES = ("env:", "file:")

_VISIBLE_ERROR = (
    "a secret on the command line is visible to other users and stays in the shell history "
    "(hint: pass env:NAME, file:PATH, or - for standard input; revoke this secret if it is real)"
)


def read_secret(options: Options, source: str, label: str) -> str:
    """Read a secret from `env:NAME`, `file:PATH` or `-`, and register it so that no output shows it.

    Args:
        options: The command line, which caches secrets by source.
        source: Where to read the secret.
        label: The option or variable, for error messages and the prompt.

    Raises:
        UsageError: The source is empty or missing, or the secret itself was passed.
    """
    if source in options.secrets_by_source:
        return options.secrets_by_source[source]
    kind, _, name = source.partition(":")
    match kind:
        case "-":
            secret = getpass.getpass(f"{label}: ") if sys.stdin.isatty() else sys.stdin.readline()
        case "env":
            secret = os.environ.get(name, "")
        case "file":
            secret = _read_file(name, label)
        case _:
            raise UsageError(f"{label}: {_VISIBLE_ERROR}")
    if not secret.strip():
        where = "standard input" if kind == "-" else source
        hint = "set the environment variable" if kind == "env" else "provide the secret there"
        raise UsageError(f"{label}: {where} is empty or not set (hint: {hint})")
    options.secrets_by_source[source] = options.add_secret(secret.strip())
    return options.secrets_by_source[source]


def parse_headers(options: Options) -> dict[str, str]:
    """Parse `--header`. A value can be a source; it must be one if the header's name says that it is a secret.

    Raises:
        UsageError: A header is malformed, cannot be sent, or contains a secret.
    """
    headers: dict[str, str] = {}
    for text in options.header:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon or not name or not value:
            raise UsageError(f"--header {name!r} has no name or no value (hint: write it as 'NAME: VALUE')")
        is_source = value.startswith(_SOURCES) or is_secret_name(name)
        headers[name] = read_secret(options, value, f"--header {name}") if is_source else value
    try:
        return dict(sendable_headers("--header", headers))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _read_file(path: str, label: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{label}: cannot read file:{path}: {error.strerror} (hint: check the path)") from None
    except UnicodeDecodeError:
        raise UsageError(f"{label}: file:{path} is not UTF-8 text (hint: check the path)") from None
