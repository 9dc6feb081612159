"""`mdstream check --report`: a ZIP file for an issue, with the findings, the versions and a recording."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._options import Options, UsageError
from mdstream_core.recording import record
from mdstream_core.recording._recorder import collect_versions

_ARGUMENTS = re.compile(r"(?<=the model called )(\w*)\(.*?\)(?=\",?$)", re.MULTILINE)


@contextmanager
def recorded_bundle(options: Options, build_document: Callable[[], dict[str, object]]) -> Iterator[None]:
    """Record the requests of a `with` block, and write the bundle at its end, also after Ctrl-C.

    Args:
        options: The command line.
        build_document: Returns the findings so far.

    Raises:
        UsageError: The file cannot be written.
    """
    assert options.report is not None  # noqa: S101  # for the type checker
    with tempfile.TemporaryDirectory(prefix="mdstream-") as folder:
        recording = Path(folder) / "recording.jsonl"
        _check_writable(options.report)
        try:
            with record(recording):
                yield
        finally:
            contents = {
                "findings.json": (
                    options.redact(_hide_arguments(json_text(build_document()))),
                    "the findings of the checks",
                ),
                "versions.json": (json_text(collect_versions()), "versions of mdstream, Python and packages"),
                "recording.jsonl": (
                    options.redact(recording.read_text(encoding="utf-8")),
                    "the requests and responses, without credentials and texts",
                ),
            }
            with ZipFile(options.report, "w", ZIP_DEFLATED) as bundle:
                for name, (text, _) in contents.items():
                    bundle.writestr(name, text)
            terminal = Terminal(sys.stderr)
            terminal.write(f"\nWrote {options.report}. Look through it before you share it; it has:\n")
            for name, (_, description) in contents.items():
                terminal.write(f"  {name:<17}{description}\n")


def _hide_arguments(text: str) -> str:
    """Remove the arguments of the tool call that the model made, which are its output."""
    return _ARGUMENTS.sub(r"\1(…)", text)


def _check_writable(path: str) -> None:
    """Create the file for its owner only, before requests are sent."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as error:
        raise UsageError(f"cannot write --report {path}: {error.strerror} (hint: choose another path)") from None
