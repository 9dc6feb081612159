"""The command `mdstream`.

One file for each command, loaded when it is called for: `--help` costs no more than reading the options. `_parser` has
the options, `_places` reads an ENDPOINT, `_signing` finds out who signs, `doctor` is what `mdstream check` looks at.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._parser import (
    FAILED,
    INTERRUPTED,
    MISSING,
    USAGE,
    MissingCredential,
    Options,
    UsageError,
    build_parser,
)
from mdstream_core.errors import MDStreamError, MissingExtra

__all__ = ["main"]


#: What may go wrong, and the exit code that says so. The first that fits counts.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UsageError, USAGE),
    (MissingCredential, MISSING),
    (MissingExtra, MISSING),
    (MDStreamError, FAILED),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 all went well, 1 the service failed (or a check did), 2 wrong words, 3 a credential or a
        package is missing here, 130 stopped by Ctrl-C.

    Example:
        >>> main(["check", "my-endpoint", "--region", "us-east-1"])
    """
    options = _parse_arguments(arguments)
    terminal = Terminal(sys.stderr)
    try:
        run: Callable[[Options], int] = import_module(f"mdstream_core.cli.{options.module}").run
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: Terminal(sys.stderr).write(  # whoever stands there then
                f"mdstream: {options.redact(message)}\n"
            )
            return run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read us has seen enough (`| head`); Python would say so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except tuple(kind for kind, _ in _EXIT_CODES) as error:
        _report_error(error, options, terminal)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))


def _parse_arguments(arguments: Sequence[str] | None) -> Options:
    """The options. argparse takes no words behind an option for a list that was empty before it; a question may be."""
    whole = build_parser()
    options, words = whole.parse_known_args(arguments, Options())
    if words and (options.module != "_chat" or any(word.startswith("-") for word in words)):
        whole.error(f"unrecognized arguments: {options.redact(' '.join(words))}")
    if words:
        options.question += words
    return options


def _report_error(error: Exception, options: Options, terminal: Terminal) -> None:
    """Say what is wrong, as the document that was asked for or in words."""
    said = options.redact(error)
    if getattr(options, "json", False):
        facts = {"type": type(error).__name__, "message": said}
        Terminal().write(json_text({"ok": False, "error": facts}) + "\n")
    else:
        terminal.write(f"mdstream: {said}\n")
