"""The command line, `mdstream`.

Each command is a module that is imported when the command runs, so that `mdstream --help` stays fast. `_parser` defines
the options, `_endpoints` parses ENDPOINT, `_credentials` finds the credentials, and `check` holds the checks of
`mdstream check`.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._options import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_MISSING,
    EXIT_USAGE,
    MissingCredential,
    Options,
    UsageError,
    name_options,
)
from mdstream_core.cli._parser import build_parser, unknown_arguments_error
from mdstream_core.errors import MDStreamError, MissingExtra, split_hint

__all__ = ["main"]


#: Exit codes by exception. The first match counts.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UsageError, EXIT_USAGE),
    (MissingCredential, EXIT_MISSING),
    (MissingExtra, EXIT_MISSING),
    (MDStreamError, EXIT_FAILURE),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 success, 1 the service or a check failed, 2 invalid command line, 3 missing credential or
        package, 130 interrupted with Ctrl-C. Without arguments the help is printed, and the code is 0.

    Example:
        >>> main(["check", "my-endpoint", "--region", "us-east-1"])
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        build_parser().print_help()
        return 0
    options = _parse_arguments(arguments)
    try:
        run: Callable[[Options], int] = import_module(f"mdstream_core.cli.{options.module}").run
        with warnings.catch_warnings():
            # `sys.stderr` is looked up for each warning: tests and notebooks replace it.
            warnings.showwarning = lambda message, *_, **__: Terminal(sys.stderr).write(
                f"mdstream: warning: {options.redact(message)}\n"
            )
            return run(options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader closed the pipe (`| head`); Python would report it again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except tuple(kind for kind, _ in _EXIT_CODES) as error:
        _report_error(error, options)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))


def _parse_arguments(arguments: Sequence[str]) -> Options:
    """Parse the arguments. argparse leaves words of PROMPT that follow an option unparsed; they are added here."""
    options, unparsed = build_parser().parse_known_args(arguments, Options())
    if unparsed and (options.module not in {"_chat", "_record"} or any(word.startswith("-") for word in unparsed)):
        unknown_arguments_error(options, [options.redact(word) for word in unparsed])
    if unparsed:
        options.prompt += unparsed
    return options


def _report_error(error: Exception, options: Options) -> None:
    """Print an error: as a JSON document with `--json`, else on standard error with its hint on a line of its own."""
    message = options.redact(name_options(str(error)))
    if getattr(options, "json", False):
        facts = {"type": type(error).__name__, "message": message}
        Terminal().write(json_text({"ok": False, "error": facts}) + "\n")
        return
    text, hint = split_hint(message)
    Terminal(sys.stderr).write(f"mdstream: error: {text}\n" + (f"hint: {hint}\n" if hint else ""))
