"""Sync and async say the same: without what is about waiting, the bodies are equal line by line."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import llamaindex_mdstream

PACKAGE = Path(llamaindex_mdstream.__file__).parent

#: Where a twin's name is not the other's with an `a` before it.
_NAMES = {
    "_observe_async": "_observe_sync",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "anext": "next",
    "async_acquire": "acquire",
    "async_client": "client",
    "AsyncGenerator": "Generator",
    "ChatResponseAsyncGen": "ChatResponseGen",
    "CompletionResponseAsyncGen": "CompletionResponseGen",
}
_AWAITED = re.compile(
    r"(?<![a-z])(_?)a(chat|close|closing|complete|embed|gather|get|objects|start(?=_)|postprocess|rank|read"
    r"|responses|stream(?=_|$)|structured|whole)"
    r"|(?<=_)a(stream)"
)


def _plain(name: str) -> str:
    return _NAMES.get(name) or _AWAITED.sub(lambda match: (match[1] or "") + (match[2] or match[3]), name)


class Unwaiting(ast.NodeTransformer):
    """Takes out what is about waiting."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """A plain function."""
        return self.visit(ast.FunctionDef(**vars(node)))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Without its docstring and under the plain name."""
        self.generic_visit(node)
        node.name = _plain(node.name)
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        node.body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """What is waited for."""
        return self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """`await self._ready()` is nothing but waiting: synchronous code builds its service where it needs it."""
        return None if "await self._ready()" == ast.unparse(node) else self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        """A plain loop."""
        return self.visit(ast.For(**vars(node)))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        """A plain block."""
        return self.visit(ast.With(**vars(node)))

    def visit_With(self, node: ast.With) -> ast.AST:
        """One block for several nested ones, which differ in being awaited."""
        self.generic_visit(node)
        while len(node.body) == 1 and isinstance(inner := node.body[0], ast.With):
            node.items, node.body = [*node.items, *inner.items], inner.body
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """The plain name."""
        return ast.Name(_plain(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """The plain name."""
        self.generic_visit(node)
        return ast.Attribute(node.value, _plain(node.attr), node.ctx)


def _functions(tree: ast.AST) -> dict[str, Any]:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: node for node in found}


def _variants() -> dict[str, tuple[ast.AST, ast.AST]]:
    pairs = {}
    for path in sorted(PACKAGE.glob("*.py")):
        functions = _functions(ast.parse(path.read_text(encoding="utf-8")))
        awaited = {n: f for n, f in functions.items() if n in _NAMES or isinstance(f, ast.AsyncFunctionDef)}
        pairs |= {
            f"{path.name}: {n}": (functions.get(_plain(n), node), node)
            for n, node in awaited.items()
            if n not in {"call", "_prepare_service"}
        }
    return pairs


VARIANTS = _variants()


def test_there_are_variants() -> None:
    """
    The net catches something.
    """
    assert len(VARIANTS) >= 18


@pytest.mark.parametrize(
    ("one", "other"),
    [t for n, t in VARIANTS.items() if "_add_demo_options" not in n],
    ids=[n for n in VARIANTS if "_add_demo_options" not in n],
)
def test_variants_differ_only_in_waiting(one: ast.AST, other: ast.AST) -> None:
    """
    Whatever one does the other does too, in the same order.
    """
    assert one is not other
    assert ast.unparse(Unwaiting().visit(one)) == ast.unparse(Unwaiting().visit(other))
