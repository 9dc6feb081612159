"""Sync and async variants differ only in awaiting: the async code without its awaits equals the sync code."""

import ast
import copy
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "mdstream_core"

#: Names that differ between the variants; everything else must be equal.
NAMES = {
    "AsyncMessageBody": "MessageBody",
    "AsyncWebSocketTransport": "WebSocketTransport",
    "_asplit_pieces": "_split_pieces",
    "_adecompress": "_decompress",
    "AsyncClient": "Client",
    "AsyncJobClient": "JobClient",
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
    "asynccontextmanager": "contextmanager",
    "aiter_bytes": "iter_bytes",
    "aiter_body": "iter_body",
    "acheckpoint": "checkpoint",
    "_atrack_refresh": "_track_refresh",
    "_arefresh": "_refresh",
    "_apause": "_pause",
    "arate_limited": "rate_limited",
    "aclose": "close",
    "__aiter__": "__iter__",
    "handle_async_request": "handle_request",
    "TaskWorkers": "ThreadWorkers",
    "astream": "stream",
    "_aread": "_read",
    "_aiter": "iter",
    "anext": "next",
    "AsyncConnection": "Connection",
    "AsyncBody": "Body",
    "AsyncUpgradedStream": "UpgradedStream",
    "AsyncPool": "Pool",
    "AsyncResponseStream": "ResponseStream",
    "AsyncTransport": "Transport",
    "AsyncRequestSender": "RequestSender",
    "AsyncGuardedClient": "GuardedClient",
    "aread_until_failure": "read_until_failure",
    "acheck": "check",
    "aapply": "apply",
    "aclosing": "closing",
}


class Stripped(ast.NodeTransformer):
    """Removes `async`, `await` and docstrings, and unifies the names of both variants."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(ast.FunctionDef(**{field: getattr(node, field) for field in node._fields}))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = NAMES.get(node.name, node.name)
        node.body = node.body[1:] if ast.get_docstring(node) else node.body
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = NAMES.get(node.name, node.name)
        node.body = node.body[1:] if ast.get_docstring(node) else node.body
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(self._offloaded(node.value))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(**{field: getattr(node, field) for field in node._fields}))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(**{field: getattr(node, field) for field in node._fields}))

    def visit_With(self, node: ast.With) -> ast.AST:
        """`with a: with b:` is `with a, b:`, which cannot be written where one of them is asynchronous."""
        self.generic_visit(node)
        if len(node.body) == 1 and isinstance(inner := node.body[0], ast.With):
            return ast.With([*node.items, *inner.items], inner.body)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = NAMES.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = NAMES.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            for name, other in NAMES.items():
                node.value = node.value.replace(name, other)
        return node

    @staticmethod
    def _offloaded(node: ast.expr) -> ast.expr:
        """`anyio.to_thread.run_sync(f, x)` waits for `f(x)`; a sleep ends with its task, or by the call's token."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "anyio.to_thread.run_sync":
            return ast.Call(node.args[0], node.args[1:], [])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "anyio.sleep":
            token = ast.parse("call.cancel_token", mode="eval").body
            return ast.Call(ast.Name("sleep"), [*node.args, token], node.keywords)
        return node


def stripped(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(Stripped().visit(copy.deepcopy(node))))


def methods(path: Path, name: str) -> dict[str, str]:
    tree = ast.parse(path.read_text())
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    defs = [node for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {NAMES.get(node.name, node.name): stripped(node) for node in defs}


#: Methods that use one pool per event loop instead of one pool.
POOLS = {"__init__", "_get_sender", "close", "reset_after_fork"}


def test_the_clients_are_parallel() -> None:
    """Method for method, except those that look up the pool."""
    plain, tasks = methods(CORE / "client.py", "Client"), methods(CORE / "client.py", "AsyncClient")

    assert set(plain) == set(tasks)
    for name in set(plain) - POOLS:
        assert plain[name] == tasks[name], name


def test_the_clients_of_jobs_are_parallel() -> None:
    """Also the wait for a job, which ends with its task, by the token of the call, or by a notification."""
    plain, tasks = methods(CORE / "job_client.py", "JobClient"), methods(CORE / "job_client.py", "AsyncJobClient")

    assert plain == tasks


def test_the_transports_are_parallel() -> None:
    """Both files of the transport are the same, with and without awaiting."""
    halves = [CORE / "transport" / name for name in ("_sync.py", "_async.py")]
    if not all(half.exists() for half in halves):
        pytest.skip("the transport is not there yet")
    plain, tasks = (ast.parse(half.read_text()) for half in halves)
    classes = [[node for node in tree.body if isinstance(node, ast.ClassDef)] for tree in (plain, tasks)]

    assert [node.name for node in classes[0]] == [NAMES.get(node.name, node.name) for node in classes[1]]
    for one, other in zip(*classes, strict=True):
        assert stripped(one) == stripped(other), one.name


def test_the_guarded_clients_are_parallel() -> None:
    """Both check inputs and outputs in the same way."""
    tree = ast.parse((CORE / "guardrails" / "client.py").read_text())
    plain, tasks = (node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))

    assert ("GuardedClient", "AsyncGuardedClient") == (plain.name, tasks.name)
    assert stripped(plain) == stripped(tasks)


@pytest.mark.parametrize("name", ["astream", "_aread"])
def test_the_streams_of_batches_are_parallel(name: str) -> None:
    """`astream` also takes async iterables; its code is that of `stream`."""
    tree = ast.parse((CORE / "batching" / "stream.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    bodies = [
        stripped(ast.Module(node.body[bool(ast.get_docstring(node)) :], []))
        for node in (functions[name], functions[NAMES[name]])
    ]

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("name", ["gather", "gather_array"])
def test_the_calls_with_lists_are_parallel(name: str) -> None:
    """They plan the same batches, and send them with the clients of both variants."""
    tree = ast.parse((CORE / "_list_calls.py").read_text())
    (mixin,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    found = {node.name: node for node in mixin.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    plain, tasks = stripped(found[name]), stripped(found[f"a{name}"])

    assert plain == tasks.replace("agather", "gather").replace("async_client", "client")


@pytest.mark.parametrize(
    ("tasks", "plain"),
    [
        (
            "async def f():\n    async for x in a:\n        yield await g(x)",
            "def f():\n    for x in a:\n        yield g(x)",
        ),
        (
            "async def f():\n    with a:\n        async with b as c:\n            pass",
            "def f():\n    with a, b as c:\n        pass",
        ),
        (
            "async def f():\n    await anyio.to_thread.run_sync(s.refresh, g, abandon_on_cancel=True)",
            "def f():\n    s.refresh(g)",
        ),
        ("async def f():\n    return [x async for x in a]", "def f():\n    return [x for x in a]"),
    ],
)
def test_only_awaiting_is_stripped(tasks: str, plain: str) -> None:
    """A test of the comparison itself: it still finds other differences."""
    assert stripped(ast.parse(plain)) == stripped(ast.parse(tasks))
    assert stripped(ast.parse(plain + "\n    more()")) != stripped(ast.parse(tasks))
