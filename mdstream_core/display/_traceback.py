"""Tracebacks in IPython and Jupyter: the lines of the user's own code, and each message once.

IPython calls `_render_traceback_` of an exception and prints the lines that it returns. In a notebook, the lines are
displayed folded in a box as well, and the box hides IPython's output where the front end allows it (JupyterLab,
Notebook 7 and nbconvert's HTML). Everything else that reads the notebook (nbclient, papermill, editors) has the text.
"""

import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from traceback import FrameSummary, StackSummary, walk_tb
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._box import FAILURE_COLOR, to_box, to_details, to_div
from mdstream_core.display._summary import describe_failure
from mdstream_core.errors import MDStreamError

#: How many lines of the user's code a traceback has: the outermost and the innermost ones.
_MAX_OUTER, _MAX_INNER = 5, 15

#: How many causes are named.
_MAX_CAUSES = 5

#: IPython's mode in which every frame is displayed, with its variables.
_FULL_MODE = "Verbose"

#: Functions that draw an error's box again, with HTML at its end.
_BOXES: "WeakKeyDictionary[BaseException, Callable[[str], None]]" = WeakKeyDictionary()

_LIBRARY_FOLDERS = {
    Path(folder).resolve()
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parent.parent),
    )
}
_OWN_PACKAGES = ("langchain_mdstream", "llamaindex_mdstream")


def attach_traceback(error: BaseException, draw: Callable[[str], None] | None) -> None:
    """Let IPython display a short traceback of an exception that `show` displayed.

    Args:
        error: The exception. Only `MDStreamError` and interrupts get a short traceback: others may come from the
            user's own code, which needs every frame.
        draw: Draws the output of `show` again, with this HTML at its end; `None` outside of notebooks.
    """
    if isinstance(error, MDStreamError) and draw:
        _BOXES[error] = draw
    elif not isinstance(error, Exception) and "IPython" in sys.modules:
        error._render_traceback_ = lambda: _render(error, draw)  # type: ignore[attr-defined]  # IPython looks it up


def render_traceback(error: MDStreamError) -> list[str]:
    """Return the lines that IPython prints for an error; in a notebook, display them in the error's box, too.

    IPython calls this twice: for its output, and for its history.
    """
    if error not in _BOXES:
        _BOXES[error] = _NewBox(error).draw
    return _render(error, _BOXES[error])


def _render(error: BaseException, draw: Callable[[str], None] | None) -> list[str]:
    shell: Any = import_module("IPython").get_ipython()
    if getattr(getattr(shell, "InteractiveTB", None), "mode", "") == _FULL_MODE:
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
        return lines
    frames = format_frames(error, lambda name: _cell_name(shell, name))
    causes = format_causes(error)
    if draw and hasattr(shell, "kernel"):
        sys.stdout.flush()
        sys.stderr.flush()
        draw(_hide_printed_error() + to_details("Traceback", "\n".join((*frames, *causes))))
    facts = describe_failure(error)[1][1:] if isinstance(error, MDStreamError) else []  # without the message
    return [strip_control_characters(line) for line in (*frames, _describe(error), *causes, *facts)]


class _NewBox:
    """The box of an error that `show` has not displayed."""

    def __init__(self, error: MDStreamError) -> None:
        explanation, details = describe_failure(error)
        self._lines = [f"✗ {explanation}", *details]
        self._handle: Any = None

    def draw(self, folded: str) -> None:
        """Display the box; if it is displayed already, again in the same output."""
        html = "".join(to_div(line, "font-size:.9em") for line in self._lines)
        bundle = {
            "text/html": to_box(FAILURE_COLOR, html + folded),
            "text/plain": strip_control_characters("\n".join(self._lines)),
        }
        if self._handle is None:
            self._handle = import_module("IPython.display").display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _hide_printed_error() -> str:
    """Return HTML that hides the last output of the same cell, if it is an error: the text that IPython prints."""
    name = f"mdstream-{uuid4().hex}"
    error = '[data-mime-type="application/vnd.jupyter.error"],[data-mime-type="application/vnd.jupyter.stderr"]'
    output = ".jp-OutputArea-child"
    later = f"{output}:has(.{name}) ~ {output}"
    return f'<style class="{name}">{later}:has({error}):not(:has(~ {output})) {{display:none}}</style>'


def format_frames(error: BaseException, cell_name: Callable[[str], str] = str) -> list[str]:
    """Return the lines of the user's own frames.

    Args:
        error: The error, with its traceback.
        cell_name: Returns what is displayed for a file name, such as `Cell In[3]`.
    """
    frames = StackSummary.extract(walk_tb(error.__traceback__))
    own = [frame for frame in frames if not _is_library(frame.filename)]
    title = f"Traceback (your code only; %xmode {_FULL_MODE} and %tb display all {len(frames)} frames):"
    return [title, *_format_frames(own, cell_name)]


def format_causes(error: BaseException) -> list[str]:
    """Return a line for each cause whose message was not displayed yet."""
    seen, lines = {str(error)}, []
    for cause in _iter_causes(error):
        if str(cause) not in seen:
            seen.add(str(cause))
            lines.append(f"caused by {_describe(cause)}")
    return lines


def _format_frames(frames: list[FrameSummary], cell_name: Callable[[str], str]) -> list[str]:
    left_out = len(frames) - _MAX_OUTER - _MAX_INNER
    lines = []
    for position, frame in enumerate(frames):
        if left_out > 0 and position == _MAX_OUTER:
            lines.append(f"  … {left_out} more")
        if left_out > 0 and _MAX_OUTER <= position < _MAX_OUTER + left_out:
            continue
        function = "" if frame.name == "<module>" or frame.name.startswith("<cell") else f", in {frame.name}"
        lines.append(f"  {cell_name(frame.filename)}, line {frame.lineno}{function}")
        lines += [f"    {frame.line.strip()}"] if frame.line else []
    return lines


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes, from the nearest on. A chain can be circular."""
    for _ in range(_MAX_CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        yield cause
        error = cause


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_library(filename: str) -> bool:
    """Return whether a file belongs to Python, to an installed package, or to mdstream."""
    if filename.startswith("<frozen"):
        return True
    path = Path(filename).resolve()
    return any(path.is_relative_to(folder) for folder in _LIBRARY_FOLDERS) or path.parent.name in _OWN_PACKAGES


def _cell_name(shell: Any, filename: str) -> str:
    """Return IPython's name of a cell, such as `Cell In[3]`, or the file name."""
    naming = getattr(getattr(shell, "compile", None), "format_code_name", None)
    label = naming(filename) if naming else None
    return " ".join(label) if label else filename
