"""What happens in a call, as values that hooks are given.

A hook is any callable of one argument. It is called where the thing happens, on the same thread or task, so it should
be quick and must not block; what it raises reaches the caller. None of the values shows a credential in its repr.

>>> def slow_requests(moment: Moment) -> None:
...     if isinstance(moment, AskedAgain):
...         print("again, after", moment.error)
"""

from collections.abc import Callable
from dataclasses import dataclass

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply
from mdstream_core.http import Head, Request


@dataclass(frozen=True, slots=True)
class Asked:
    """A request is about to be sent; it is not signed yet. `attempt` counts from 1."""

    request: Request
    attempt: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The status line and the headers have come."""

    head: Head


@dataclass(frozen=True, slots=True)
class Started:
    """The first event has come: the time to first token ends here."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """An attempt failed, and another follows after `delay` seconds."""

    error: MDStreamError
    delay: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed; `error.partial` is what was received."""

    error: MDStreamError


Moment = Asked | Answered | Started | AskedAgain | Ended | Failed
Hook = Callable[[Moment], None]
