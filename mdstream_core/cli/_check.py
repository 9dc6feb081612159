"""`mdstream check`: shows what the doctor finds."""

import shutil
import sys
import textwrap

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._parser import FAILED, Options
from mdstream_core.cli._places import read
from mdstream_core.cli.doctor import Finding, Known, State, examine

_STYLES = {State.OK: "green", State.NOTE: "magenta", State.WRONG: "red", State.NONE: "", State.SKIPPED: ""}

#: Columns: the check, how it came out, what there is.
_NAME, _STATE = 13, 9


def run(options: Options) -> int:
    """A line for each check, and what to do where it says anything but ok."""
    known = Known(options, read(options.endpoint, options.platform))
    return _document(known) if options.json else _lines(known)


def _lines(known: Known) -> int:
    terminal, options = Terminal(), known.options
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    bad = []
    for name, finding in examine(known, lambda name: terminal.write(f"{name:<{_NAME}}")):
        terminal.write(f"{terminal.styled(f'{finding.state:<{_STATE}}', _STYLES[finding.state])}")
        terminal.write(_told(options.veil(finding.text), wide))
        if finding.cure:
            terminal.write(" " * (_NAME + _STATE) + _told(f"→ {options.veil(finding.cure)}", wide))
        bad += [name] if finding.state is State.WRONG else []
    verdict = f"wrong: {', '.join(bad)}" if bad else "All is well."
    terminal.write(f"\n{terminal.styled(verdict, 'red' if bad else 'green')}\n")
    return FAILED if bad else 0


def _told(text: str, wide: int) -> str:
    """A text in its column; where nobody looks it is one line."""
    lines = textwrap.wrap(text, max(wide - _NAME - _STATE, 20)) if wide else [" ".join(text.split())]
    return ("\n" + " " * (_NAME + _STATE)).join(lines or [""]) + "\n"


def _document(known: Known) -> int:
    findings = [_as_dict(name, finding) for name, finding in examine(known)]
    well = all(finding["state"] != State.WRONG for finding in findings)
    found = {"endpoint": known.place.endpoint, "platform": known.place.platform, "ok": well, "findings": findings}
    Terminal().write(known.options.veil(json_text(found)) + "\n")
    return 0 if well else FAILED


def _as_dict(name: str, finding: Finding) -> dict[str, object]:
    return {
        "check": name,
        "state": str(finding.state),
        "text": finding.text,
        "cure": finding.cure,
        "facts": dict(finding.facts),
    }
