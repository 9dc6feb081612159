"""Draws the README's picture: `mdstream` in a terminal, as it happens, against the emulated cloud. `make picture`.

The commands are really run, at a pseudo-terminal; what they write becomes the frames of one SVG that moves by CSS
alone. It has the colours of a light or a dark page, and stands still for those who want no motion.
"""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from fcntl import ioctl
from html import escape
from pathlib import Path

from mdstream_core.emulator import Emulator, Fault, model

COLUMNS, ROWS = 88, 25
PICTURE = Path(__file__).parent.parent / "docs/pictures/demo.svg"

OUTPUT = (
    "The Nile, the Amazon and the Danube. The first ends in the Mediterranean, the second in the Atlantic, and the "
    "third, after ten countries, in the Black Sea."
)

#: What is typed, and what happens to the requests that it makes.
SCENES: Sequence[tuple[Sequence[str], Sequence[Fault | None]]] = (
    (("chat", "emulated", "Name three rivers, and where they end."), ()),
    (("chat", "emulated", "Tell me of rivers once more."), (Fault("exception_frame", after=11),)),
    (("check", "emulated"), ()),
)

#: Seconds: how long a key takes, how often a frame is taken, how long the end of a scene and of all stays.
KEY, FRAME, PAUSE, END = 0.03, 0.1, 2.0, 6.0

Span = tuple[str, str]
Screen = tuple[tuple[Span, ...], ...]


class Paper:
    """What stands on a terminal after what was written: lines of (style, text)."""

    def __init__(self) -> None:
        self._lines: list[list[Span]] = [[]]
        self._row = 0
        self._style = ""
        self._is_at_start = False  # after a carriage return the next text replaces the line

    def write(self, text: str) -> None:
        """Take in what a program writes."""
        for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
            match f"ESC {part[-1]}" if part.startswith("\x1b") else part:
                case "\n":
                    self._is_at_start = False
                    self._row += 1
                    self._lines += [[] for _ in range(self._row + 1 - len(self._lines))]
                case "ESC A":
                    self._row -= 1
                case "ESC K":
                    self._lines[self._row] = []
                case "ESC m":
                    self._style = " ".join(f"s{code}" for code in re.findall(r"\d+", part) if code != "0")
                case "\r":
                    self._is_at_start = True
                case "ESC h" | "ESC l":
                    pass
                case _:
                    if self._is_at_start:
                        self._lines[self._row] = []
                    self._is_at_start = False
                    self._add(self._lines[self._row], part)

    def _add(self, line: list[Span], text: str) -> None:
        if line and line[-1][0] == self._style:
            text = line.pop()[1] + text
        line.append((self._style, text))

    def screen(self) -> Screen:
        """The rows that are seen."""
        lines = self._lines if self._lines[-1] else self._lines[:-1]
        return tuple(tuple(line) for line in lines[-ROWS:])


def run(arguments: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """What `mdstream` writes to a terminal, piece by piece."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "mdstream_core.cli", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    with open(ours, "rb", buffering=0, closefd=True):  # noqa: PTH123  # a file descriptor has no path
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], FRAME / 4)[0]:
                try:
                    yield os.read(ours, 65536).decode("utf-8", "replace")
                except OSError:  # the program has ended
                    return


def frames(emulator: Emulator) -> Iterator[tuple[float, Screen]]:
    """Screens, and the second at which each comes."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url,
    }
    now, paper = 0.0, Paper()
    for arguments, faults in SCENES:
        shown = [f'"{word}"' if " " in word else word for word in arguments]
        paper.write("\x1b[32m$ \x1b[0m\x1b[1m")
        for key in " ".join(("mdstream", *shown)):
            paper.write(key)
            now += KEY
            yield now, paper.screen()
        paper.write("\x1b[0m\n")
        emulator.script(*faults)
        begun, last = time.monotonic() - now, now
        for text in run(arguments, environment):
            paper.write(text)
            now = time.monotonic() - begun
            if now - last >= FRAME:
                last = now
                yield now, paper.screen()
        yield now, paper.screen()
        paper.write("\n")
        now += PAUSE
    yield now + END, paper.screen()


#: Contrast is 4.5 to 1 or more in both: WCAG AA.
STYLE = """\
svg{--paper:#fff;--ink:#1f2328;--green:#116329;--red:#b3121d;--magenta:#7d1a7d;--edge:#d1d9e0}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--green:#56d364;--red:#ff8e86;--magenta:#e49ae4;--edge:#3d444d}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--ink);white-space:pre}
.s1{font-weight:700}.s3{font-style:italic}.s31{fill:var(--red)}.s32{fill:var(--green)}.s35{fill:var(--magenta)}
.f{visibility:hidden}"""


def drawn(shown: Sequence[tuple[float, Screen]]) -> str:
    """The SVG. A line that many frames have is written once."""
    high, wide, whole = 19, 8.43, shown[-1][0]
    known: dict[tuple[Span, ...], str] = {}
    groups, rules = [], []
    for platform_case, ((at, screen), (until, _)) in enumerate(zip(shown, [*shown[1:], shown[-1]], strict=True)):
        uses = [
            f'<use href="#{known.setdefault(line, f"l{len(known)}")}" y="{(row + 1) * high}"/>'
            for row, line in enumerate(screen)
            if line
        ]
        begin, end = 100 * at / whole, 100 * until / whole
        final = platform_case == len(shown) - 1
        groups.append(f'<g class="f f{platform_case}{" last" if final else ""}">{"".join(uses)}</g>')
        if not final:
            rules.append(
                f"@keyframes k{platform_case}{{0%,{end:.3f}%{{visibility:hidden}}{begin:.3f}%{{visibility:visible}}}}"
                f".f{platform_case}{{animation:k{platform_case} {whole:.1f}s step-end infinite}}"
            )
    return _page(known, groups, rules, wide * COLUMNS + 24, high * ROWS + 24)


def _page(known: dict[tuple[Span, ...], str], groups: list[str], rules: list[str], width: float, height: float) -> str:
    lines = [f'<text id="{name}">{"".join(_span(*span) for span in line)}</text>' for line, name in known.items()]
    still = "@media(prefers-reduced-motion:reduce){.f{animation:none!important}.last{visibility:visible}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="mdstream chat streams an answer, shows one that breaks with its reason, and mdstream check passes '
        f'all checks"><style>{STYLE}{"".join(rules)}{still}</style><defs>{"".join(lines)}</defs>'
        '<rect x=".5" y=".5" width="99.9%" height="99.8%" rx="8" fill="var(--paper)" stroke="var(--edge)"/>'
        f'<g transform="translate(12 8)">{"".join(groups)}</g></svg>\n'
    )


def _span(style: str, text: str) -> str:
    return f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text)


if __name__ == "__main__":
    with Emulator(
        model=lambda requested: OUTPUT if "rivers" in str(requested) else model.respond(requested), delay=0.04
    ) as emulator:
        PICTURE.write_text(drawn(list(frames(emulator))), encoding="utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} kB")
