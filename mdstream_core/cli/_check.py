"""`mdstream check`: shows what the doctor finds."""

import shutil
import sys
import textwrap

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._endpoints import parse_endpoint
from mdstream_core.cli._parser import FAILED, Options
from mdstream_core.cli.check import CheckContext, Finding, Status, run_checks

_STYLES = {Status.OK: "green", Status.WARN: "magenta", Status.FAIL: "red", Status.UNAVAILABLE: "", Status.SKIP: ""}

#: Columns: the check, how it came out, what there is.
_NAME, _STATE = 13, 9


def run(options: Options) -> int:
    """A line for each check, and what to do where it says anything but ok."""
    check_context = CheckContext(options, parse_endpoint(options.endpoint, options.platform))
    return _to_json(check_context) if options.json else _print_lines(check_context)


def _print_lines(check_context: CheckContext) -> int:
    terminal, options = Terminal(), check_context.options
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    bad = []
    for name, finding in run_checks(check_context, lambda name: terminal.write(f"{name:<{_NAME}}")):
        terminal.write(f"{terminal.style(f'{finding.status:<{_STATE}}', _STYLES[finding.status])}")
        terminal.write(_wrap_text(options.redact(finding.text), wide))
        if finding.hint:
            terminal.write(" " * (_NAME + _STATE) + _wrap_text(f"→ {options.redact(finding.hint)}", wide))
        bad += [name] if finding.status is Status.FAIL else []
    verdict = f"wrong: {', '.join(bad)}" if bad else "All is well."
    terminal.write(f"\n{terminal.style(verdict, 'red' if bad else 'green')}\n")
    return FAILED if bad else 0


def _wrap_text(text: str, wide: int) -> str:
    """A text in its column; where nobody looks it is one line."""
    lines = textwrap.wrap(text, max(wide - _NAME - _STATE, 20)) if wide else [" ".join(text.split())]
    return ("\n" + " " * (_NAME + _STATE)).join(lines or [""]) + "\n"


def _to_json(check_context: CheckContext) -> int:
    findings = [_finding_to_dict(name, finding) for name, finding in run_checks(check_context)]
    well = all(finding["state"] != Status.FAIL for finding in findings)
    found = {
        "endpoint": check_context.endpoint_info.endpoint,
        "platform": check_context.endpoint_info.platform,
        "ok": well,
        "findings": findings,
    }
    Terminal().write(check_context.options.redact(json_text(found)) + "\n")
    return 0 if well else FAILED


def _finding_to_dict(name: str, finding: Finding) -> dict[str, object]:
    return {
        "check": name,
        "state": str(finding.status),
        "text": finding.text,
        "cure": finding.hint,
        "facts": dict(finding.facts),
    }
