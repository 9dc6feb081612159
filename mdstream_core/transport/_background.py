"""Start a task that is not bound to the code that started it, on asyncio and on trio."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from mdstream_core import _fork
from mdstream_core.transport._fairness import runs_on_trio

#: The running tasks: an asyncio loop holds weak references only.
_tasks: set["asyncio.Task[None]"] = set()

_fork.register_function(_tasks.clear)


def start_task(run: Callable[[], Coroutine[Any, Any, None]], on_end: Callable[[], object]) -> None:
    """Start a task in the running event loop. anyio's task groups cannot stay open while a generator is suspended.

    Args:
        run: The coroutine function; it must not raise an `Exception`.
        on_end: Called when the task has ended, also if it was cancelled before its first step.
    """
    if runs_on_trio():

        async def run_to_end() -> None:
            try:
                await run()
            finally:
                on_end()

        sys.modules["trio"].lowlevel.spawn_system_task(run_to_end, context=copy_context())
        return

    hold_task(asyncio.get_running_loop().create_task(run())).add_done_callback(lambda _: on_end())


def hold_task(task: "asyncio.Task[None]") -> "asyncio.Task[None]":
    """Hold a reference to a task until it has ended, and return the task."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
