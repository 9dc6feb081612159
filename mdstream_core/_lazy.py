"""Import modules when they are first used, so that an import costs no more than what the program needs.

Type checkers and editors read the imports below `if TYPE_CHECKING`, which have the same names.
"""

import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


class LazyModule:
    """A module that is imported when one of its attributes is first read.

    Args:
        name: The dotted name of the module.

    >>> LazyModule("json").dumps([1])
    '[1]'
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)  # the next time it is found without this method
        return value


class LazyPattern:
    """A regular expression that is compiled when it is first used: compiling takes longer than most imports.

    Args:
        pattern: The pattern.
        flags: Its flags.

    >>> lazy_pattern("a+").sub("b", "caat")
    'cbt'
    """

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self.flags = flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(self.pattern, self.flags), name)
        setattr(self, name, value)
        return value


def lazy_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a `LazyPattern`, which has the methods of `re.Pattern`."""
    return LazyPattern(pattern, flags)  # type: ignore[return-value]


def lazy_exports(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose names are imported when they are first read.

    Args:
        package: The `__name__` of the package.
        modules: The module of each name, relative to the package, such as `{"Client": "client"}`; an empty string is a
            submodule of that name.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{modules[name] or name}")
        value = getattr(module, name) if modules[name] else module
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *modules})
