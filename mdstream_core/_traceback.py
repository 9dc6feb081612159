"""How IPython and Jupyter display an error: base class of `MDStreamError`."""

from importlib import import_module
from typing import cast


class ShortTraceback:
    """Exception that IPython displays with the lines of the user's own code only.

    Python itself, logs and debuggers are not affected. `%xmode Verbose` followed by `%tb` displays every line.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython prints. IPython calls this method."""
        display = import_module("mdstream_core.display._traceback")  # needed for an error that IPython displays only
        return cast("list[str]", display.render_traceback(self))
