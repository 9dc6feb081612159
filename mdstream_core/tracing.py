"""What happens in a call, as values that hooks are given.

A hook is any callable of one argument. It is called where the thing happens, on the same thread or task, so it should
be quick and must not block; what it raises reaches the caller. None of the values shows a credential in its repr.

>>> def slow_requests(moment: Moment) -> None:
...     if isinstance(moment, AskedAgain):
...         print("again, after", moment.error)

One hook hears of many calls at once, and no moment says of which. A hook that must know is a `PerCall`: before a call's
first attempt it makes what is told of that call alone. Each call that was begun ends with one of `Ended`, `Failed` and
`Left`, and nothing that is told after it counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mdstream_core import _fork
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
    """The status line and the headers have come; `request_id` is the service's name of the request."""

    head: Head
    request_id: str | None = None


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


@dataclass(frozen=True, slots=True)
class Left:
    """Nobody waits for the answer any more: the reader went, or his task was cancelled.

    `partial` is what had been received, if anything. `error` is `None`, or what was raised that is no failure of the
    service: by a signer, say, or by a hook.
    """

    partial: Reply | None = None
    error: Exception | None = None


Moment = Asked | Answered | Started | AskedAgain | Ended | Failed | Left


@dataclass(frozen=True, slots=True)
class Question:
    """What a call asks.

    Attributes:
        platform: The platform's name.
        dialect: The dialect's.
        stream: Whether the answer comes piece by piece.
        asked: The question in the OpenAI JSON shape, whatever is spoken; not to be changed. Its repr is left out.
    """

    platform: str
    dialect: str
    stream: bool
    asked: Mapping[str, Any] = field(repr=False)


@runtime_checkable
class PerCall(Protocol):
    """A hook that tells calls apart."""

    def begin(self, question: Question) -> Callable[[Moment], None] | None:
        """What is told of this call, called where the call is made; `None` where nothing is to be told."""
        ...


Hook = Callable[[Moment], None] | PerCall

_everywhere: tuple[Hook, ...] = ()
_changing = _fork.Lock()


def everywhere(hook: Hook) -> Callable[[], None]:
    """Let `hook` hear of every call that is made from now on, on any thread. What is returned ends that.

    >>> off = everywhere(print)
    >>> off()
    """
    global _everywhere  # noqa: PLW0603  # a tuple that is replaced: who reads it needs no lock
    with _changing:
        _everywhere = (*_everywhere, hook)

    def off() -> None:
        global _everywhere  # noqa: PLW0603
        with _changing:
            _everywhere = tuple(one for one in _everywhere if one is not hook)

    return off


def listening(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """`hooks`, and those that hear of every call; of two `PerCall` hooks of one class the call's own counts."""
    if not _everywhere:
        return hooks
    own = {type(hook) for hook in hooks if isinstance(hook, PerCall)}
    return (*hooks, *(hook for hook in _everywhere if type(hook) not in own))
