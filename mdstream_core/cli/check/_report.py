"""The output of `mdstream check`: failures first, then warnings, successes and skipped checks; or JSON."""

import os
import shutil
import sys
import textwrap
from collections import Counter

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._endpoints import parse_endpoint
from mdstream_core.cli._options import EXIT_FAILURE, Options
from mdstream_core.cli.check._bundle import recorded_bundle
from mdstream_core.cli.check._finding import CheckContext, Finding, Status
from mdstream_core.cli.check._runner import run_checks

_STYLES = {Status.FAIL: "red", Status.WARN: "magenta", Status.OK: "green", Status.SKIP: ""}
_SUMMARY_WORDS = {Status.FAIL: "failed", Status.WARN: "warning", Status.OK: "passed", Status.SKIP: "skipped"}

#: Widths of the columns for the status and for the check's name.
_STATUS_WIDTH, _NAME_WIDTH = 6, 16

#: Texts are wrapped no narrower than this.
_MIN_TEXT_WIDTH = 20

Findings = list[tuple[str, Finding]]


def run(options: Options) -> int:
    """Run `mdstream check`."""
    check_context = CheckContext(options, parse_endpoint(options.endpoint, options.platform))
    findings: Findings = []
    run_and_print = _run_json if options.json else _run_text
    if not options.report:
        return run_and_print(check_context, findings)
    with recorded_bundle(options, lambda: _to_document(check_context, findings)):
        return run_and_print(check_context, findings)


def _run_text(check_context: CheckContext, findings: Findings) -> int:
    report, progress = _Report(check_context.options), _Progress()
    try:
        for name, finding in run_checks(check_context, progress.show):
            findings.append((name, finding))
    finally:  # on Ctrl-C, the findings so far are printed too
        progress.clear()
        report.write(findings)
    report.write_summary(findings)
    return EXIT_FAILURE if any(finding.status is Status.FAIL for _, finding in findings) else 0


class _Progress:
    """Shows on a terminal which check is running. Writes nothing if the output is piped."""

    def __init__(self) -> None:
        self._terminal = Terminal(sys.stderr)
        self._is_shown = sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._length = 0

    def show(self, name: str) -> None:
        """Replace the line by the name of the check that starts."""
        if self._is_shown:
            self.clear()
            text = f"checking {name} …"
            self._length = len(text)
            self._terminal.write(text)

    def clear(self) -> None:
        """Erase the line."""
        if self._length:
            self._terminal.write(f"\r{' ' * self._length}\r")
            self._length = 0


class _Report:
    """Writes findings as text: redacted, and wrapped to the width of the terminal."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._terminal = Terminal()
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    def write(self, findings: Findings) -> None:
        """Write the findings by status. Skipped checks with the same reason share a line."""
        for status in (Status.FAIL, Status.WARN, Status.OK):
            selected = [(name, finding) for name, finding in findings if finding.status is status]
            for name, finding in selected:
                self._write_line(status, f"{name:<{_NAME_WIDTH}}", finding.text, finding.hint)
            if selected and status is Status.FAIL:
                self._terminal.write("\n")
        for (text, hint), names in _group_skipped(findings).items():
            self._write_line(Status.SKIP, "", f"{', '.join(names)} ({text})", hint)

    def write_summary(self, findings: Findings) -> None:
        """Write whether all checks passed, and how many there are of each status."""
        counts = Counter(finding.status for _, finding in findings)
        plural = "s" if counts[Status.WARN] > 1 else ""
        words = {**_SUMMARY_WORDS, Status.WARN: f"warning{plural}"}
        details = ", ".join(f"{counts[status]} {word}" for status, word in words.items() if counts[status])
        verdict, style = ("Some checks failed", "red") if counts[Status.FAIL] else ("All checks passed", "green")
        self._terminal.write(f"\n{self._terminal.style(f'{verdict}: {details}.', style)}\n")

    def _write_line(self, status: Status, label: str, text: str, hint: str) -> None:
        styled_status = self._terminal.style(f"{status:<{_STATUS_WIDTH}}", _STYLES[status])
        indent = _STATUS_WIDTH + len(label)
        self._terminal.write(f"{styled_status}{label}{self._wrap(text, indent)}\n")
        if hint:
            self._terminal.write(f"{' ' * indent}{self._wrap(f'hint: {hint}', indent)}\n")

    def _wrap(self, text: str, indent: int) -> str:
        """Redact and wrap a text that starts at column `indent`. In a pipe it stays on one line."""
        text = " ".join(self._options.redact(text).split())
        lines = textwrap.wrap(text, max(self._width - indent, _MIN_TEXT_WIDTH)) if self._width else [text]
        return ("\n" + " " * indent).join(lines)


def _group_skipped(findings: Findings) -> dict[tuple[str, str], list[str]]:
    """Return the names of skipped checks by their text and hint."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, finding in findings:
        if finding.status is Status.SKIP:
            groups.setdefault((finding.text, finding.hint), []).append(name)
    return groups


def _run_json(check_context: CheckContext, findings: Findings) -> int:
    findings += run_checks(check_context)
    document = _to_document(check_context, findings)
    Terminal().write(check_context.options.redact(json_text(document)) + "\n")
    return 0 if document["ok"] else EXIT_FAILURE


def _to_document(check_context: CheckContext, findings: Findings) -> dict[str, object]:
    return {
        "endpoint": check_context.endpoint_info.endpoint,
        "platform": check_context.endpoint_info.platform,
        "ok": all(finding.status is not Status.FAIL for _, finding in findings),
        "findings": [_finding_to_dict(name, finding) for name, finding in findings],
    }


def _finding_to_dict(name: str, finding: Finding) -> dict[str, object]:
    return {
        "check": name,
        "state": str(finding.status),
        "text": finding.text,
        "hint": finding.hint,
        "facts": dict(finding.facts),
    }
