"""A copy of the packages in which logging is always off, at no cost: the packages themselves are compared with it."""

import re
import shutil
from pathlib import Path

from benchmarks.source import ROOT

_PACKAGES = ("mdstream_core", "langchain_mdstream", "llamaindex_mdstream", "benchmarks")

#: A check whether a level is enabled, such as `_log.CALLS.isEnabledFor(logging.DEBUG)`.
_CHECK = re.compile(r"[\w.]+\.(?:isEnabledFor\([\w.]+\)|is_enabled\(\))")

#: The files on the way of each call, whose checks must have been found.
_REQUIRED = ("mdstream_core/call.py", "mdstream_core/transport/_direct.py", "mdstream_core/transport/_pool.py")


def copy_without_logging(folder: Path) -> Path:
    """Copy the packages, with `False` in place of each check, so that Python's compiler leaves out what depends on it.

    Args:
        folder: An empty directory.

    Returns:
        The directory, from which the copies are imported.

    Raises:
        RuntimeError: A file that is known to check has no check that is found: the comparison would show nothing.
    """
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    changed = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if _remove_checks(path)}
    if missing := set(_REQUIRED) - changed:
        raise RuntimeError(f"no check of a log level found in {', '.join(sorted(missing))} (hint: update {__name__})")
    return folder


def _remove_checks(path: Path) -> bool:
    """Replace the checks in a file, and return whether there was one."""
    text, count = _CHECK.subn("False", path.read_text(encoding="utf-8"))
    if count:
        path.write_text(text, encoding="utf-8")
    return count > 0
