"""Secrets of the command line: they are named there, and read elsewhere."""

import getpass
import os
import sys
from pathlib import Path

from mdstream_core.cli._parser import Options, Unusable
from mdstream_core.http import is_secret, sendable_headers

_SOURCES = ("env:", "file:")

_SEEN = (
    "a secret on a command line is seen by other users of the machine (ps) and stays in the shell's history. "
    "Name a place instead: env:NAME, file:PATH, or - for standard input; and replace this one, if it was real"
)


def secret(options: Options, source: str, what: str) -> str:
    """The secret in `env:NAME`, `file:PATH` or `-`; whatever is written from now on does not show it.

    Raises:
        Unusable: It is not there, or the secret itself was given.
    """
    if source in options.found:
        return options.found[source]
    kind, _, place = source.partition(":")
    match kind:
        case "-":
            found = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline()
        case "env":
            found = os.environ.get(place, "")
        case "file":
            found = _content(place, what)
        case _:
            raise Unusable(f"{what}: {_SEEN}")
    if not found.strip():
        raise Unusable(f"{what}: {'standard input' if kind == '-' else source} is empty or not set")
    options.found[source] = options.hide(found.strip())
    return options.found[source]


def headers(options: Options) -> dict[str, str]:
    """The further headers. A value may be a source of any, and must be one where the name says that it is a secret."""
    found: dict[str, str] = {}
    for text in options.header:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon or not name or not value:
            raise Unusable(f"--header {name!r}: write it as 'NAME: VALUE'")
        is_source = value.startswith(_SOURCES) or is_secret(name)
        found[name] = secret(options, value, f"--header {name}") if is_source else value
    try:
        return dict(sendable_headers("--header", found))
    except ValueError as error:
        raise Unusable(str(error)) from None


def _content(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{what}: file:{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unusable(f"{what}: file:{path} is no text") from None
