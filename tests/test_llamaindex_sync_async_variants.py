"""Sync and async variants are equal line by line once `async` and `await` are removed."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import llamaindex_mdstream

PACKAGE = Path(llamaindex_mdstream.__file__).parent

#: Sync names of async names that are not formed by prefixing an `a`.
_SYNC_NAMES = {
    "_observe_async": "_observe_sync",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "anext": "next",
    "aapply": "apply",
    "acheck": "check",
    "async_acquire": "acquire",
    "aacquire": "acquire",
    "async_client": "client",
    "AsyncGenerator": "Generator",
    "ChatResponseAsyncGen": "ChatResponseGen",
    "CompletionResponseAsyncGen": "CompletionResponseGen",
}
_ASYNC_NAME = re.compile(
    r"(?<![a-z])(_?)a(chat|close|closing|complete|embed|gather|get|objects|start(?=_)|postprocess|rank|read"
    r"|responses|stream(?=_|$)|structured|whole)"
    r"|(?<=_)a(stream)"
)


def _to_sync_name(name: str) -> str:
    return _SYNC_NAMES.get(name) or _ASYNC_NAME.sub(lambda match: (match[1] or "") + (match[2] or match[3]), name)


class SyncTransformer(ast.NodeTransformer):
    """Converts an async function to its sync variant."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Convert to a sync function."""
        return self.visit(ast.FunctionDef(**vars(node)))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remove docstring and annotations, and use the sync name."""
        self.generic_visit(node)
        node.name = _to_sync_name(node.name)
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        node.body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """Keep the awaited expression."""
        return self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop `await self._prepare_service()`: sync code builds its service on first use."""
        return None if "await self._prepare_service()" == ast.unparse(node) else self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        """Convert to a sync loop."""
        return self.visit(ast.For(**vars(node)))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        """Convert to a sync block."""
        return self.visit(ast.With(**vars(node)))

    def visit_With(self, node: ast.With) -> ast.AST:
        """Merge nested blocks: sync variants need only one for several context managers."""
        self.generic_visit(node)
        while len(node.body) == 1 and isinstance(inner := node.body[0], ast.With):
            node.items, node.body = [*node.items, *inner.items], inner.body
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Use the sync name."""
        return ast.Name(_to_sync_name(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Use the sync name."""
        self.generic_visit(node)
        return ast.Attribute(node.value, _to_sync_name(node.attr), node.ctx)


#: Columns of tables run their requests on one event loop, whether the caller is synchronous or not.
_ASYNC_ONLY = {"_rows.py"}


def _functions(tree: ast.AST) -> dict[str, Any]:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: node for node in found}


def _variants() -> dict[str, tuple[ast.AST, ast.AST]]:
    pairs = {}
    for path in sorted(PACKAGE.glob("*.py")):
        functions = _functions(ast.parse(path.read_text(encoding="utf-8")))
        coroutines = {n: f for n, f in functions.items() if n in _SYNC_NAMES or isinstance(f, ast.AsyncFunctionDef)}
        pairs |= {
            f"{path.name}: {n}": (functions.get(_to_sync_name(n), node), node)
            for n, node in coroutines.items()
            if n not in {"call", "observed", "_prepare_service"} and path.name not in _ASYNC_ONLY
        }
    return pairs


VARIANTS = _variants()


def test_there_are_variants() -> None:
    """
    The functions to compare are found.
    """
    assert len(VARIANTS) >= 18


@pytest.mark.parametrize(
    ("one", "other"),
    [t for n, t in VARIANTS.items() if "_demo" not in n],
    ids=[n for n in VARIANTS if "_demo" not in n],
)
def test_variants_differ_only_in_await(one: ast.AST, other: ast.AST) -> None:
    """
    Both variants do the same, in the same order.
    """
    assert one is not other
    assert ast.unparse(SyncTransformer().visit(one)) == ast.unparse(SyncTransformer().visit(other))
