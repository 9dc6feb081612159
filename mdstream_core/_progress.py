"""Progress bar for long lists of inputs, with tqdm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mdstream_core.errors import MissingExtra


@contextmanager
def progress_bar(total: int | None, unit: str, *, enabled: bool) -> Iterator[Callable[[int], object]]:
    """Show a progress bar, and yield the function to call with the number of inputs just completed.

    Args:
        total: The number of inputs; `None` if it is unknown.
        unit: Label of the bar, such as `Embedding`.
        enabled: Whether to show the bar.

    Raises:
        MissingExtra: The bar is enabled, and tqdm is not installed.
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
