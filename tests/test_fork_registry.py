"""Objects with locks or pending results are reset in forked processes: checked in the source and in live objects."""

import ast
import asyncio
import gc
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import anyio
import pytest
from _raw_server import serving
from test_fork import vectors

from langchain_mdstream import ChatModelArts, ModelArtsEmbeddings
from llamaindex_mdstream import ModelArts, ModelArtsEmbedding
from mdstream_core import _fork
from mdstream_core.otel import instrument, uninstrument

ROOT = Path(__file__).parent.parent
PACKAGES = ("mdstream_core", "langchain_mdstream", "llamaindex_mdstream", "llama_index", "pytest_mdstream")

#: The emulator and the conformance suites are not part of an application that forks.
OUTSIDE = ("mdstream_core/emulator/", "llamaindex_mdstream/testing/")

#: Primitives that do not survive a fork, by name.
PRIMITIVES = frozenset(
    "Lock RLock Condition Semaphore BoundedSemaphore Event Barrier Timer Future Refresh CapacityLimiter RunVar "
    "ThreadPoolExecutor ProcessPoolExecutor Queue SimpleQueue cached_property".split()
)

#: Where primitives are created: in registered classes, in resets, and in functions that use them only locally.
ALLOWED = {
    "mdstream_core/_fork.py": "the registry itself",
    "mdstream_core/auth/_signer.py": "Signer: the pending refresh is discarded in the child",
    "mdstream_core/batching/execute.py": "ConcurrencyLimiter.reset_after_fork; and the threads of one `gather`, which ends with it",
    "mdstream_core/rate_limit/_limiter.py": "Limiter.reset_after_fork: the queues of the tasks",
    "mdstream_core/batching/stream.py": "ThreadWorkers.reset_after_fork; and the event of a loop's tasks, which are not in the child",
    "mdstream_core/transport/_cancellation.py": "CancelToken.reset_after_fork",
    "mdstream_core/transport/_pool.py": "PoolState.reset_after_fork",
    "mdstream_core/transport/_asyncio_backend.py": "Event: one request's wait for a connection, forgotten with its pool",
    "mdstream_core/transport/_socket_backend.py": "Event: the same; the thread that waits is not in the child",
    "mdstream_core/transport/_task_reader.py": "a queue and a semaphore of one stream, which belong to its loop",
    "mdstream_core/job_client.py": "an event of one job's wait, which belongs to its thread or its loop",
    "mdstream_core/transport/_thread_reader.py": "a queue, a semaphore and a result of one stream; an error in the child, where their thread is missing",
    "mdstream_core/client.py": "an event of one task's wait, which belongs to its loop",
    "mdstream_core/cli/check/_network.py": "the result of one look-up of the command line, made and used up in a function",
}


def find_primitives(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The lines that create a primitive, except `_fork.Lock`, which registers itself."""
    for node in ast.walk(tree):
        named = node.func if isinstance(node, ast.Call) else None
        if isinstance(named, ast.Subscript):
            named = named.value
        name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", None)
        if name in PRIMITIVES and ast.unparse(named or node) not in {"_fork.Lock", "Lock"}:
            yield node.lineno, str(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any("cached_property" in ast.unparse(d) for d in node.decorator_list):
            yield node.lineno, "cached_property"


SOURCES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(OUTSIDE)
]


def test_primitives_are_created_where_they_are_reset() -> None:
    """A new lock, future or limiter is a `_fork.Lock`, or belongs to a registered class that is listed here."""
    found = {str(path.relative_to(ROOT)): list(find_primitives(ast.parse(path.read_text()))) for path in SOURCES}

    assert {} == {name: where for name, where in found.items() if where and name not in ALLOWED}
    assert set() == {name for name in ALLOWED if not found[name]}


def test_only_the_registry_creates_bare_locks() -> None:
    """
    `Lock()` without a module name is `_fork.Lock` only if it is imported from there.
    """
    for path in SOURCES:
        text = path.read_text()
        if "Lock()" in text.replace("_fork.Lock()", "").replace("threading.Lock()", "") and path.name != "_fork.py":
            assert "from mdstream_core._fork import Lock" in text, path


KINDS: tuple[type[Any], ...] = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Semaphore,
    threading.Event,
    threading.Thread,
    Future,
    Executor,
    anyio.CapacityLimiter,
)


def values(holder: Any) -> Iterator[Any]:
    """The attributes and slots of an object."""
    yield from getattr(holder, "__dict__", {}).values()
    for base in type(holder).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            yield getattr(holder, slot, None)


def is_ours(holder: Any) -> bool:
    module = getattr(type(holder), "__module__", "") or ""
    return (
        isinstance(module, str) and module.startswith(PACKAGES) and not {"emulator", "testing"} & {*module.split(".")}
    )


def find_unregistered(objects: list[Any]) -> set[str]:
    """The classes of mdstream objects that hold a primitive, and are neither registered nor primitives themselves."""
    return {
        type(holder).__qualname__
        for holder in objects
        if is_ours(holder)
        and not isinstance(holder, KINDS)
        and any(isinstance(value, KINDS) for value in values(holder))
        and not _fork.is_registered(holder)
    }


def find_leftovers() -> dict[int, Any]:
    """The objects that other tests have left: a finalizer of theirs may wait for a loop that has ended."""
    return {id(left): left for left in gc.get_objects() if is_ours(left)}


def find_unregistered_settled(leftovers: Mapping[int, Any]) -> set[str]:
    """The same, once no finalizer is at work any more.

    The collector clears the weak references to a cycle before it runs the finalizers in it. So the pool of a model that another test
    has left is not registered while its event loop closes its connections.
    """
    deadline = time.monotonic() + 10
    while (
        names := find_unregistered([new for new in gc.get_objects() if id(new) not in leftovers])
    ) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return names


async def _requests(chat: Any, llm: Any, leftovers: Mapping[int, Any]) -> None:
    stream = chat.astream("x")
    await anext(stream)
    assert set() == find_unregistered_settled(leftovers)  # while a response is read, too
    await stream.aclose()
    await llm.acomplete("x")


def test_objects_with_primitives_are_registered() -> None:
    """Models of both frameworks with their services, clients, pools, signers and hooks, after use."""
    leftovers = find_leftovers()
    instrument()
    try:
        with serving(vectors) as server:
            options: dict[str, Any] = {"endpoint": f"{server.url}/v1", "model": "m", "trust_env": False}
            login = {"user": "u", "password": "p", "domain": "d", "project": "x", "iam_endpoint": server.url}
            chat, llm = ChatModelArts(**options, api_key="k"), ModelArts(**options, api_key="k")
            signed = ChatModelArts(**options, **login)
            embeddings, embedding = (
                ModelArtsEmbeddings(**options, api_key="k"),
                ModelArtsEmbedding(**options, api_key="k"),
            )
            chat.invoke("x")
            llm.complete("x")
            embeddings.embed_documents(["x"])
            embedding.get_text_embedding("x")
            assert signed.service.client
            assert set() == find_unregistered_settled(leftovers)
            asyncio.run(_requests(chat, llm, leftovers))
            for model in (chat, llm, embeddings, embedding):
                model.close()
    finally:
        uninstrument()


def test_modules_have_no_unregistered_locks() -> None:
    """The same for module attributes."""
    found = {
        f"{name}.{attribute}"
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGES) and "emulator" not in name
        for attribute, value in vars(module).items()
        if isinstance(value, KINDS)
    }

    assert set() == found


@pytest.mark.parametrize(
    "value", [threading.Lock(), threading.Event(), Future(), threading.BoundedSemaphore(1)], ids=type
)
def test_an_unregistered_lock_is_detected(value: object) -> None:
    """A test of the check itself."""
    kind = type("Loose", (), {"__module__": "mdstream_core.x"})
    holder = kind()
    holder.lock = value

    assert {"Loose"} == find_unregistered([holder])
    assert [(1, "Lock")] == list(find_primitives(ast.parse("x = threading.Lock()")))
    assert [] == list(find_primitives(ast.parse("x = _fork.Lock()")))
