"""Create the README's picture: an animated SVG of `mdstream` in a terminal, with the emulator. `make picture`.

The commands are run at a pseudo-terminal, and their output becomes the frames of one SVG that CSS animates. It supports
light and dark pages, and `prefers-reduced-motion`.
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

#: The arguments of each command, and the faults of its requests.
SCENES: Sequence[tuple[Sequence[str], Sequence[Fault | None]]] = (
    (("chat", "emulated", "Name three rivers, and where they end."), ()),
    (("chat", "emulated", "Tell me of rivers once more."), (Fault("exception_frame", after=11),)),
    (("check", "emulated"), ()),
)

#: Seconds for a key, between two frames, after a scene, and after the last one.
KEY, FRAME, PAUSE, END = 0.03, 0.1, 2.0, 6.0

Span = tuple[str, str]
Screen = tuple[tuple[Span, ...], ...]


class Terminal:
    """The content of a terminal: lines of (style, text)."""

    def __init__(self) -> None:
        self._lines: list[list[Span]] = [[]]
        self._row = 0
        self._style = ""
        self._is_at_start = False  # after a carriage return the next text replaces the line

    def write(self, text: str) -> None:
        """Process the output of a program."""
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
        """The visible rows."""
        lines = self._lines if self._lines[-1] else self._lines[:-1]
        return tuple(tuple(line) for line in lines[-ROWS:])


def run(arguments: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """Yield the output of `mdstream` at a terminal, piece by piece."""
    parent_fd, child_fd = pty.openpty()
    ioctl(child_fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "mdstream_core.cli", *arguments]
    process = subprocess.Popen(command, stdin=child_fd, stdout=child_fd, stderr=child_fd, env=environment)
    os.close(child_fd)
    with open(parent_fd, "rb", buffering=0, closefd=True):  # noqa: PTH123  # a file descriptor has no path
        while process.poll() is None or select.select([parent_fd], [], [], 0)[0]:
            if select.select([parent_fd], [], [], FRAME / 4)[0]:
                try:
                    yield os.read(parent_fd, 65536).decode("utf-8", "replace")
                except OSError:  # the program has ended
                    return


def frames(emulator: Emulator) -> Iterator[tuple[float, Screen]]:
    """Yield screens with the second at which each appears."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url,
    }
    now, terminal = 0.0, Terminal()
    for arguments, faults in SCENES:
        quoted = [f'"{word}"' if " " in word else word for word in arguments]
        terminal.write("\x1b[32m$ \x1b[0m\x1b[1m")
        for key in " ".join(("mdstream", *quoted)):
            terminal.write(key)
            now += KEY
            yield now, terminal.screen()
        terminal.write("\x1b[0m\n")
        emulator.script(*faults)
        started, last = time.monotonic() - now, now
        for text in run(arguments, environment):
            terminal.write(text)
            now = time.monotonic() - started
            if now - last >= FRAME:
                last = now
                yield now, terminal.screen()
        yield now, terminal.screen()
        terminal.write("\n")
        now += PAUSE
    yield now + END, terminal.screen()


#: The contrast is at least 4.5 to 1 in both modes: WCAG AA.
STYLE = """\
svg{--paper:#fff;--ink:#1f2328;--green:#116329;--red:#b3121d;--magenta:#7d1a7d;--edge:#d1d9e0}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--green:#56d364;--red:#ff8e86;--magenta:#e49ae4;--edge:#3d444d}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--ink);white-space:pre}
.s1{font-weight:700}.s3{font-style:italic}.s31{fill:var(--red)}.s32{fill:var(--green)}.s35{fill:var(--magenta)}
.f{visibility:hidden}"""


def render_svg(timeline: Sequence[tuple[float, Screen]]) -> str:
    """Render the SVG; a line that several frames have is written once."""
    line_height, char_width, duration = 19, 8.43, timeline[-1][0]
    line_ids: dict[tuple[Span, ...], str] = {}
    groups, rules = [], []
    for index, ((start, screen), (stop, _)) in enumerate(zip(timeline, [*timeline[1:], timeline[-1]], strict=True)):
        uses = [
            f'<use href="#{line_ids.setdefault(line, f"l{len(line_ids)}")}" y="{(row + 1) * line_height}"/>'
            for row, line in enumerate(screen)
            if line
        ]
        begin, end = 100 * start / duration, 100 * stop / duration
        is_last = index == len(timeline) - 1
        groups.append(f'<g class="f f{index}{" last" if is_last else ""}">{"".join(uses)}</g>')
        if not is_last:
            rules.append(
                f"@keyframes k{index}{{0%,{end:.3f}%{{visibility:hidden}}{begin:.3f}%{{visibility:visible}}}}"
                f".f{index}{{animation:k{index} {duration:.1f}s step-end infinite}}"
            )
    return _page(line_ids, groups, rules, char_width * COLUMNS + 24, line_height * ROWS + 24)


def _page(
    line_ids: dict[tuple[Span, ...], str], groups: list[str], rules: list[str], width: float, height: float
) -> str:
    lines = [f'<text id="{name}">{"".join(_span(*span) for span in line)}</text>' for line, name in line_ids.items()]
    reduced_motion = "@media(prefers-reduced-motion:reduce){.f{animation:none!important}.last{visibility:visible}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="mdstream chat streams a response, shows the reason of a failed one, and mdstream check reports '
        f'no problem"><style>{STYLE}{"".join(rules)}{reduced_motion}</style><defs>{"".join(lines)}</defs>'
        '<rect x=".5" y=".5" width="99.9%" height="99.8%" rx="8" fill="var(--paper)" stroke="var(--edge)"/>'
        f'<g transform="translate(12 8)">{"".join(groups)}</g></svg>\n'
    )


def _span(style: str, text: str) -> str:
    return f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text)


if __name__ == "__main__":
    with Emulator(
        model=lambda payload: OUTPUT if "rivers" in str(payload) else model.respond(payload), delay=0.04
    ) as emulator:
        PICTURE.write_text(render_svg(list(frames(emulator))), encoding="utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} kB")
