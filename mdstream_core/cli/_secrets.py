"""Secrets of the command line: they are named there, and read elsewhere."""

import getpass
import os
import sys
from pathlib import Path

from mdstream_core.cli._parser import Options, UsageError
from mdstream_core.http import is_secret_name, sendable_headers

_SOURCES = ("env:", "file:")

_VISIBLE = (
    "a secret on a command line is seen by other users of the machine (ps) and stays in the shell's history. "
    "Name a place instead: env:NAME, file:PATH, or - for standard input; and replace this one, if it was real"
)


def read_secret(options: Options, source: str, label: str) -> str:
    """The secret in `env:NAME`, `file:PATH` or `-`; whatever is written from now on does not show it.

    Raises:
        Unusable: It is not there, or the secret itself was given.
    """
    if source in options.found:
        return options.found[source]
    kind, _, endpoint_info = source.partition(":")
    match kind:
        case "-":
            found = getpass.getpass(f"{label}: ") if sys.stdin.isatty() else sys.stdin.readline()
        case "env":
            found = os.environ.get(endpoint_info, "")
        case "file":
            found = _read_file(endpoint_info, label)
        case _:
            raise UsageError(f"{label}: {_VISIBLE}")
    if not found.strip():
        raise UsageError(f"{label}: {'standard input' if kind == '-' else source} is empty or not set")
    options.found[source] = options.add_secret(found.strip())
    return options.found[source]


def parse_headers(options: Options) -> dict[str, str]:
    """The further headers. A value may be a source of any, and must be one where the name says that it is a secret."""
    found: dict[str, str] = {}
    for text in options.header:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon or not name or not value:
            raise UsageError(f"--header {name!r}: write it as 'NAME: VALUE'")
        is_source = value.startswith(_SOURCES) or is_secret_name(name)
        found[name] = read_secret(options, value, f"--header {name}") if is_source else value
    try:
        return dict(sendable_headers("--header", found))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _read_file(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{what}: file:{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{what}: file:{path} is no text") from None
