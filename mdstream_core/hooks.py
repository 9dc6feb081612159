"""What happens in a call, as values that hooks are given.

A hook is any callable of one argument. It is called where the thing happens, on the same thread or task, so it should
be quick and must not block; what it raises reaches the caller. None of the values shows a credential in its repr.

>>> def slow_requests(moment: CallEvent) -> None:
...     if isinstance(moment, RetryScheduled):
...         print("again, after", moment.error)

One hook hears of many calls at once, and no moment says of which. A hook that must know is a `CallHook`: before a
call's
first attempt it makes what is told of that call alone. Each call that was begun ends with one of `Completed`,
`Failed` and
`Abandoned`, and nothing that is told after it counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mdstream_core import _fork
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse
from mdstream_core.http import Request, ResponseHead


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request is about to be sent; it is not signed yet. `attempt` counts from 1."""

    request: Request
    attempt: int


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The status line and the headers have come; `request_id` is the service's name of the request."""

    head: ResponseHead
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class FirstEvent:
    """The first event has come: the time to first token ends here."""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An attempt failed, and another follows after `delay` seconds."""

    error: MDStreamError
    delay: float


@dataclass(frozen=True, slots=True)
class Completed:
    """The answer is whole."""

    response: ModelResponse


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed; `error.partial` is what was received."""

    error: MDStreamError


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Nobody waits for the answer any more: the reader went, or his task was cancelled.

    `partial` is what had been received, if anything. `error` is `None`, or what was raised that is no failure of the
    service: by a signer, say, or by a hook.
    """

    partial: ModelResponse | None = None
    error: Exception | None = None


CallEvent = RequestSent | ResponseStarted | FirstEvent | RetryScheduled | Completed | Failed | Abandoned


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What a call asks.

    Attributes:
        platform: The platform's name.
        dialect: The dialect's.
        stream: Whether the answer comes piece by piece.
        params: The question in the OpenAI JSON shape, whatever is spoken; not to be changed. Its repr is left out.
    """

    platform: str
    dialect: str
    stream: bool
    params: Mapping[str, Any] = field(repr=False)


@runtime_checkable
class CallHook(Protocol):
    """A hook that tells calls apart."""

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        """What is told of this call, called where the call is made; `None` where nothing is to be told."""
        ...


Hook = Callable[[CallEvent], None] | CallHook

_global_hooks: tuple[Hook, ...] = ()
_lock = _fork.Lock()


def add_global_hook(hook: Hook) -> Callable[[], None]:
    """Let `hook` hear of every call that is made from now on, on any thread. What is returned ends that.

    >>> off = add_global_hook(print)
    >>> off()
    """
    global _global_hooks  # noqa: PLW0603  # a tuple that is replaced: who reads it needs no lock
    with _lock:
        _global_hooks = (*_global_hooks, hook)

    def remove() -> None:
        global _global_hooks  # noqa: PLW0603
        with _lock:
            _global_hooks = tuple(one for one in _global_hooks if one is not hook)

    return remove


def active_hooks(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """`hooks`, and those that hear of every call; of two `CallHook` hooks of one class the call's own counts."""
    if not _global_hooks:
        return hooks
    own = {type(hook) for hook in hooks if isinstance(hook, CallHook)}
    return (*hooks, *(hook for hook in _global_hooks if type(hook) not in own))
