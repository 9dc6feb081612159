"""A hook of MkDocs that documents classes: import path, signature, a table of all parameters, and a table of methods.

A page names a class in a comment on a line of its own, `<!-- class: package.Class -->`. The parameters of a class are
those of the class and of all its bases, so that private mixins do not appear. A description is, in this order: the
docstring below the field, the parameter's entry in a docstring (`Args:` or `Attributes:`), or the `description` of a
pydantic field.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args, get_origin

from mdstream_core import options

#: Our packages; parameters that other packages define are in a table of their own.
PACKAGES = ("langchain_mdstream", "llamaindex_mdstream", "mdstream_core")

_MARKER = re.compile(r"^<!-- class: (?P<path>[\w.]+) -->$", re.MULTILINE)
_SECTION = re.compile(r"^([A-Z][\w —,-]*):$(?=\n {4})", re.MULTILINE)
_ENTRY = re.compile(
    r"^ {4}(?P<name>\*{0,2}\w+)(?: \([^)]*\))?: (?P<text>.*(?:\n {5,}.*|\n(?=\n* {5,}))*)", re.MULTILINE
)
_MAX_DEFAULT = 60

#: Sections of docstrings that the tables stand for.
_TABULATED = {"Args", "Attributes", "Key init args — completion params", "Key init args — client params"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a constructor.

    Attributes:
        name: Its name.
        type: Its annotation, as the source has it.
        default: Its default, as code; empty where it is required.
        description: What it means; empty where nothing describes it.
        is_own: Whether one of our packages defines it.
        is_keyword: Whether it can only be given by name.
    """

    name: str
    type: str
    default: str
    description: str
    is_own: bool = True
    is_keyword: bool = True


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the documentation of each named class in place of its marker."""
    return _MARKER.sub(lambda match: document_class(load(match["path"]), match["path"]), markdown)


def named_classes(markdown: str) -> list[str]:
    """The paths of the classes that a page documents."""
    return _MARKER.findall(markdown)


def load(path: str) -> type:
    """Import a class by its path."""
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def document_class(cls: type, path: str) -> str:
    """The Markdown that documents a class."""
    module, _, name = path.rpartition(".")
    parameters = list_parameters(cls)
    own = [parameter for parameter in parameters if parameter.is_own]
    inherited = [parameter for parameter in parameters if not parameter.is_own]
    parts = [f"```python\nfrom {module} import {name}\n\n{_signature(name, own)}\n```", _prose(cls)]
    if own:
        parts.append(_parameter_table("Parameters", own))
    if inherited:
        bases = {base.__module__.partition(".")[0] for base in cls.__mro__} & {"langchain_core", "llama_index"}
        parts.append(_parameter_table(f"Parameters inherited from {', '.join(sorted(bases))}", inherited))
    if methods := list(_methods(cls)):
        rows = [f"| `{signature}` | {_cell(text)} |" for signature, text in methods]
        parts.append("\n".join(["**Methods**", "", "| method | description |", "|---|---|", *rows]))
    return "\n\n".join(part for part in parts if part)


def list_parameters(cls: type) -> list[Parameter]:
    """The parameters of a class's constructor, the required ones first, then our own, then those of the framework."""
    model_fields = getattr(cls, "model_fields", None)
    if model_fields is not None:
        order = sorted(model_fields, key=lambda name: cls.__mro__.index(_owner(cls, name)))
        found = [_from_pydantic(cls, name, model_fields[name]) for name in order]
    elif is_dataclass(cls):
        found = [_from_dataclass(cls, one) for one in fields(cls) if one.init]
    else:
        found = list(_from_signature(cls))
    return sorted(found, key=lambda one: (not one.is_own, bool(one.default)))


def _owner(cls: type, name: str) -> type:
    """The class that declares a field."""
    return next(base for base in cls.__mro__ if name in inspect.get_annotations(base))


def _from_pydantic(cls: type, name: str, info: Any) -> Parameter:
    owner = _owner(cls, name)
    annotation, _ = _field_sources(owner).get(name, ("", ""))
    default = "" if info.is_required() else _code(info.get_default(call_default_factory=True))
    description = (describe(cls, name) or info.description or "") + _describe_choices(annotation)
    return Parameter(name, annotation or str(info.annotation), default, description, _is_ours(owner))


def _describe_choices(annotation: str) -> str:
    """List the values of a literal type of `mdstream_core.options` that an annotation names."""
    types = (getattr(options, name, None) for name in re.findall(r"\w+", annotation))
    annotated = (get_args(kind)[0] for kind in types if get_origin(kind) is Annotated)
    literals = (kind for kind in annotated if get_origin(kind) is Literal)
    return "".join(f" One of {', '.join(f'`{value}`' for value in get_args(literal))}." for literal in literals)


def _from_dataclass(cls: type, field: Any) -> Parameter:
    owner = _owner(cls, field.name)
    annotation, _ = _field_sources(owner).get(field.name, ("", ""))
    default = "" if field.default is MISSING else _code(field.default)
    if field.default_factory is not MISSING:
        default = _code(field.default_factory())
    description = describe(cls, field.name)
    return Parameter(field.name, annotation or str(field.type), default, description, _is_ours(owner), field.kw_only)


def _from_signature(cls: type) -> Iterator[Parameter]:
    if cls.__init__ is object.__init__ or getattr(cls, "_is_protocol", False):  # type: ignore[misc]
        return
    owner = next(base for base in cls.__mro__ if "__init__" in base.__dict__)
    annotations = _argument_sources(owner)
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:  # type: ignore[misc]
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "…" if stars else "" if parameter.default is parameter.empty else _code(parameter.default)
        is_keyword = parameter.kind is parameter.KEYWORD_ONLY
        description = describe(cls, name)
        yield Parameter(f"{stars}{name}", annotations.get(name, ""), default, description, _is_ours(owner), is_keyword)


def describe(cls: type, name: str) -> str:
    """The description of a parameter or field, from the class or its bases."""
    for base in cls.__mro__:
        if base is object:
            continue
        _, below = _field_sources(base).get(name, ("", ""))
        entry = below or _docstring_entries(base).get(name, "")
        if entry:
            return entry
    return ""


@cache
def _field_sources(cls: type) -> dict[str, tuple[str, str]]:
    """The annotation of each field of a class, as the source has it, and the docstring below it."""
    body = getattr(_find_definition(cls), "body", [])
    found: dict[str, tuple[str, str]] = {}
    for node, following in pairwise([*body, None]):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = (ast.unparse(node.annotation), _string(following))
    return found


def _find_definition(cls: type) -> ast.stmt | None:
    """The definition of a class, also of one that reports the package of its module, so that `inspect` misses it."""
    with suppress(OSError, TypeError, ValueError, SyntaxError):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        return tree
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{cls.__module__}._") and vars(module).get(cls.__name__) is cls:
            for node in ast.parse(inspect.getsource(module)).body:
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                    return node
    return None


def _argument_sources(cls: type) -> dict[str, str]:
    """The annotation of each argument of a class's constructor, as the source has it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            every = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            return {one.arg: ast.unparse(one.annotation).strip("'") for one in every if one and one.annotation}
    return {}


def _string(node: ast.stmt | None) -> str:
    """The text of a statement that is a string, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


@cache
def _docstring_entries(cls: type) -> dict[str, str]:
    """The entries of the sections `Args` and `Attributes` of a class's and its constructor's docstring."""
    found: dict[str, str] = {}
    for source in (cls.__dict__.get("__init__"), cls):
        text = inspect.cleandoc(source.__doc__ or "") if source is not None else ""
        for section, body in _sections(text):
            if section in ("Args", "Attributes"):
                found |= {match["name"].lstrip("*"): " ".join(match["text"].split()) for match in _ENTRY.finditer(body)}
    return found


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """The sections of a docstring in Google's style; the first has no name."""
    names = [(match[1], match.start(), match.end()) for match in _SECTION.finditer(text)]
    yield "", text[: names[0][1] if names else None]
    for number, (name, _, start) in enumerate(names):
        yield name, text[start : names[number + 1][1] if number + 1 < len(names) else None]


def _prose(cls: type) -> str:
    """A class's docstring without the parameters, which have their table."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    parts = []
    for name, body in _sections(text):
        block = textwrap.dedent(body.strip("\n")).rstrip()
        if not name:
            parts.append(body.strip())
        elif name == "Raises":
            entries = [f"- {' '.join(line.split())}" for line in re.split(r"\n(?=\S)", block)]
            parts.append("\n".join(["**Raises**", "", *entries]))
        elif name not in _TABULATED:
            code = block.startswith(">>>")
            parts.append(f"**{name}**\n\n" + (f"```pycon\n{block}\n```" if code else block))
    return "\n\n".join(part for part in parts if part)


def _methods(cls: type) -> Iterator[tuple[str, str]]:
    """The public methods and properties that our packages define, with the first paragraph of their docstrings."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if not _is_ours(base):
            continue
        for name, value in base.__dict__.items():
            if name.startswith(("_", "lc_", "get_lc", "is_lc", "model_post_init")) or name in seen:
                continue
            function = getattr(value, "__func__", value)
            if not inspect.isfunction(function) and not isinstance(value, property):
                continue
            seen.add(name)
            text = inspect.getdoc(value) or ""
            if text and text != _framework_docstring(cls, name):
                yield _method_signature(name, value, function), " ".join(text.split("\n\n")[0].split())


def _framework_docstring(cls: type, name: str) -> str | None:
    """The docstring of a method in a class of the framework, which documents it."""
    values = (base.__dict__[name] for base in cls.__mro__ if name in base.__dict__ and not _is_ours(base))
    return next((inspect.getdoc(value) for value in values), None)


def _method_signature(name: str, value: Any, function: Any) -> str:
    if isinstance(value, property):
        return name
    names = [
        {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "") + parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in {"self", "cls"}
    ]
    prefix = "await " if inspect.iscoroutinefunction(function) else ""
    return f"{prefix}{name}({', '.join(names)})"


def _signature(name: str, parameters: list[Parameter]) -> str:
    """The constructor's signature, a parameter in each line."""
    if not parameters:
        return f"{name}()"
    lines: list[str] = []
    for one in parameters:
        if one.is_keyword and "    *," not in lines and not one.name.startswith("*"):
            lines.append("    *,")
        default = "" if not one.default or one.name.startswith("*") else f" = {one.default}"
        annotation = f": {one.type}" if one.type else ""
        lines.append(f"    {one.name}{annotation}{default},")
    return "\n".join([f"{name}(", *lines, ")"])


def _parameter_table(title: str, parameters: list[Parameter]) -> str:
    rows = [
        f"| `{one.name}` | {f'`{one.type}`' if one.type else ''} | {f'`{one.default}`' if one.default else 'required'} "
        f"| {_cell(one.description)} |"
        for one in parameters
    ]
    table = ["| parameter | type | default | description |", "|---|---|---|---|", *rows]
    return "\n".join([f"**{title}**", "", '<div class="parameters" markdown="1">', "", *table, "", "</div>"])


def _cell(text: str) -> str:
    """A text for a cell of a table: bars outside of code would end it."""
    parts = re.split(r"(`[^`]*`)", text)  # those with an odd number are code
    return "".join(part if number % 2 else part.replace("|", "\\|") for number, part in enumerate(parts))


def _code(value: Any) -> str:
    """A default as code; what has no short form is `…`."""
    if isinstance(value, type):
        return value.__name__
    text = repr(value)
    return text if len(text) <= _MAX_DEFAULT and " at 0x" not in text and not text.startswith("<") else "…"


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in PACKAGES
