"""Checks of the indices by which results refer to inputs."""

from collections.abc import Iterable, Sequence
from itertools import islice

#: How many indices an error message lists.
_MAX_LISTED = 5


def describe_wrong_indices(indices: Sequence[int], inputs: int, *, complete: bool = True) -> str:
    """Describe which indices are out of range, repeated or missing; an empty string if all are right.

    Args:
        indices: The indices of the results, in any order.
        inputs: The number of inputs.
        complete: Whether each input must have a result.

    >>> describe_wrong_indices([0, 0, 7], 3)
    'index 7 is out of range (0 to 2); index 0 came more than once; indices 1, 2 are missing'
    >>> describe_wrong_indices([2, 0], 3, complete=False)
    ''
    """
    found = {index for index in indices if 0 <= index < inputs}
    outside = sorted({index for index in indices if not 0 <= index < inputs})
    repeated = _repeated(indices) if len(set(indices)) < len(indices) else []
    missing = (index for index in range(inputs) if index not in found)
    problems = [
        _describe(outside, len(outside), "is", "are", f"out of range (0 to {inputs - 1})"),
        _describe(repeated, len(repeated), "came", "came", "more than once"),
        _describe(missing, inputs - len(found) if complete else 0, "is", "are", "missing"),
    ]
    return "; ".join(filter(None, problems))


def _repeated(indices: Iterable[int]) -> list[int]:
    seen: set[int] = set()
    return sorted({index for index in indices if index in seen or seen.add(index)})  # type: ignore[func-returns-value]


def _describe(indices: Iterable[int], count: int, one: str, several: str, problem: str) -> str:
    if not count:
        return ""
    listed = ", ".join(map(str, islice(indices, _MAX_LISTED)))
    more = f" and {count - _MAX_LISTED} more" if count > _MAX_LISTED else ""
    return f"index {listed} {one} {problem}" if count == 1 else f"indices {listed}{more} {several} {problem}"
