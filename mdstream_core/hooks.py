"""Hooks: callbacks that receive the events of calls, for logging, metrics and tracing.

A hook is a callable with one argument, a `CallEvent`. It runs on the thread or task of the call, so it must be fast and
must not block; an exception that it raises propagates to the caller. No event shows a credential in its repr.

>>> def log_retries(event: CallEvent) -> None:
...     if isinstance(event, RetryScheduled):
...         print(f"retry in {event.delay:.1f} s after", event.error)

A plain hook receives the events of concurrent calls interleaved, without an id of the call. A `CallHook` distinguishes
calls: it creates a separate callback for each. The last event of each started call is `Completed`,
`Failed` or `Abandoned`; ignore events after it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mdstream_core import _fork
from mdstream_core.errors import MDStreamError
from mdstream_core.http import Request, ResponseHead

if TYPE_CHECKING:
    from mdstream_core.events import ModelResponse


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request is about to be sent."""

    request: Request
    """The request, before it is signed."""
    attempt: int
    """Number of the attempt within the call, from 1."""


@dataclass(frozen=True, slots=True)
class RateLimitWaited:
    """A request has waited for a rate limit, after `RequestSent` and before its bytes are sent."""

    seconds: float
    """How long it has waited."""


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The status line and the headers of a response were received."""

    head: ResponseHead
    """Status code and headers."""
    request_id: str | None = None
    """Request id of the service, if there is one."""


@dataclass(frozen=True, slots=True)
class FirstEvent:
    """The first event of a response was decoded: the end of the time to first token."""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An attempt failed, and the call will be retried or resumed."""

    error: MDStreamError
    """Why the attempt failed."""
    delay: float
    """Seconds until the next attempt."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The call succeeded."""

    response: "ModelResponse"
    """The complete response."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed."""

    error: MDStreamError
    """The error; its `partial` is the output received before it."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The call ended without a result: the stream was closed early, its task was cancelled, or other code raised."""

    partial: "ModelResponse | None" = None
    """The output received so far; `None` if there was none."""
    error: Exception | None = None
    """The exception of a signer, a hook or other code that is not a failure of the service; else `None`."""


CallEvent = (
    RequestSent | RateLimitWaited | ResponseStarted | FirstEvent | RetryScheduled | Completed | Failed | Abandoned
)


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Description of a call, for `CallHook.start_call`."""

    platform: str
    """Name of the platform, such as `sagemaker`."""
    dialect: str
    """Name of the dialect, such as `openai-chat`."""
    stream: bool
    """Whether the response is streamed."""
    params: Mapping[str, Any] = field(repr=False)
    """Parameters of the request in the OpenAI JSON shape, whatever the dialect; read-only, and left out of the repr."""


@runtime_checkable
class CallHook(Protocol):
    """A hook with a separate callback for each call."""

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None] | None:
        """Create the callback for one call.

        Called on the thread or task of the call, before its first attempt.

        Args:
            info: Description of the call.

        Returns:
            The callback that receives the events of this call, or `None` to ignore the call.
        """
        ...


Hook = Callable[[CallEvent], None] | CallHook

_global_hooks: tuple[Hook, ...] = ()
_lock = _fork.Lock()
_local_hooks: ContextVar[tuple[Hook, ...]] = ContextVar("mdstream local hooks", default=())


def add_global_hook(hook: Hook) -> Callable[[], None]:
    """Add a hook for all calls of the process, on any thread, from now on.

    Args:
        hook: The hook. A `CallHook` is skipped for calls that have a hook of the same class.

    Returns:
        A function that removes the hook.

    >>> remove = add_global_hook(print)
    >>> remove()
    """
    global _global_hooks  # noqa: PLW0603  # an immutable tuple is replaced, so readers need no lock
    with _lock:
        _global_hooks = (*_global_hooks, hook)

    def remove() -> None:
        global _global_hooks  # noqa: PLW0603
        with _lock:
            _global_hooks = tuple(other for other in _global_hooks if other is not hook)

    return remove


@contextmanager
def local_hook(hook: Hook) -> Iterator[None]:
    """Add a hook for the calls that this task or thread, or a task that it starts, creates in a `with` block.

    >>> with local_hook(print):
    ...     pass
    """
    token = _local_hooks.set((*_local_hooks.get(), hook))
    try:
        yield
    finally:
        _local_hooks.reset(token)


def active_hooks(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """Return `hooks`, the hooks of the context and the global hooks.

    Global `CallHook`s of a class that `hooks` contains are left out.
    """
    if local := _local_hooks.get():
        hooks = (*hooks, *local)
    if not _global_hooks:
        return hooks
    own_classes = {type(hook) for hook in hooks if isinstance(hook, CallHook)}
    return (*hooks, *(hook for hook in _global_hooks if type(hook) not in own_classes))
