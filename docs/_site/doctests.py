"""An extension of griffe: examples in docstrings, which begin with `>>>`, are shown as code."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent)\.\.\. .*)*$", re.MULTILINE)


class Doctests(griffe.Extension):
    """Fences them before the docstring is taken apart."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Each object's docstring, when it was read."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"\g<indent>```pycon\n\g<0>\n\g<indent>```", obj.docstring.value)
