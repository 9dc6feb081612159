"""A progress bar for long lists, as users of notebooks and terminals know it from tqdm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mdstream_core.errors import MissingExtra


@contextmanager
def progress_bar(total: int, unit: str, *, enabled: bool) -> Iterator[Callable[[int], object]]:
    """Yields what is to be called with the number of things just done.

    Args:
        total: How many things there are.
        unit: What they are, such as `Embedding`.
        enabled: Whether there is a bar.

    Raises:
        MissingExtra: A bar was asked for, and tqdm is not installed.
    """
    if not enabled:
        yield lambda count: None
        return
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # an extra, and half a second of imports in a notebook
    except ImportError:
        raise MissingExtra("tqdm", "progress") from None
    with tqdm(total=total, desc=unit) as bar:
        yield bar.update
