"""A progress bar for long lists, as users of notebooks and terminals know it from tqdm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mdstream_core.errors import MissingExtra


@contextmanager
def progress(total: int, what: str, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Yields what is to be called with the number of things just done.

    Args:
        total: How many things there are.
        what: What they are, such as `Embedding`.
        shown: Whether there is a bar.

    Raises:
        MissingExtra: A bar was asked for, and tqdm is not installed.
    """
    if not shown:
        yield lambda count: None
        return
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # an extra, and half a second of imports in a notebook
    except ImportError:
        raise MissingExtra("tqdm", "progress") from None
    with tqdm(total=total, desc=what) as bar:
        yield bar.update
