"""The layers and sizes of docs/architecture.md, checked in the source."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("mdstream_core", "langchain_mdstream", "llamaindex_mdstream", "llama_index", "pytest_mdstream")
FILES = {path.relative_to(ROOT): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}

#: The table of docs/architecture.md: what each module of the core may import, of ours and of others.
ALLOWED_IMPORTS: dict[str, tuple[str, str]] = {
    "_lazy": ("", ""),
    "_json": ("_lazy", "orjson pydantic_core"),
    "_frozen": ("", ""),
    "_version": ("", ""),
    "_terminal": ("", ""),
    "_choices": ("", ""),
    "_indices": ("", ""),
    "_hints": ("errors", ""),
    "_addresses": ("", ""),
    "_fork": ("", ""),
    "_log": ("", ""),
    "_call_log": ("_log errors events hooks http", ""),
    "_progress": ("errors", "tqdm"),
    "_images": ("", ""),
    "events": ("_frozen _json", ""),
    "_redaction": ("", ""),
    "_validation_errors": ("_choices _redaction", "pydantic_core"),
    "_header_validation": ("_redaction", ""),
    "http": ("_frozen _header_validation _redaction _validation_errors", ""),
    "_error_bodies": ("_json _lazy", ""),
    "_traceback": ("", ""),
    "_error_messages": ("", ""),
    "errors": ("_error_bodies _error_messages _json _traceback", ""),
    "wire": ("errors", ""),
    "dialects": ("_choices _fork _hints _indices _json _lazy _log events errors", "numpy"),
    "platforms": ("_addresses _fork _json _lazy _version http errors wire", ""),
    "auth": ("_addresses _choices _fork _json _log http errors transport", "cryptography oci botocore"),
    "options": ("_choices auth dialects rate_limit", "pydantic pydantic_core"),
    "retry": ("_fork errors", ""),
    "hooks": ("_fork errors events http", ""),
    "rate_limit": ("_fork _log _redaction errors events", "anyio redis"),
    "otel": ("_fork _json _version errors events http hooks", "opentelemetry"),
    "resume": ("errors events", ""),
    "attempt": ("_hints _json errors events http resume hooks rate_limit wire", ""),
    "call": ("_call_log _json attempt errors events http resume retry hooks rate_limit", ""),
    "transport": ("_fork _log http errors wire", "anyio httpx httpcore httptools"),
    "recording": ("_error_bodies _fork _json _redaction _version errors hooks transport wire", ""),
    "client": ("_fork attempt auth call events errors http rate_limit transport", "anyio httpx"),
    "batching": (
        "_choices _fork _indices _json _log call client errors events hooks retry transport",
        "anyio numpy pandas pyarrow",
    ),
    "batch": ("batching", ""),
    "job_client": ("attempt auth client errors http platforms transport", "anyio httpx"),
    "_list_calls": ("_images batching call client dialects events job_client platforms", ""),
    "service": ("_list_calls batching call dialects errors hooks http job_client platforms rate_limit retry", ""),
    "guardrails": ("_choices _log call client dialects errors events service", ""),
    "emulator": ("_json errors recording wire", "h11 cryptography httpx websockets"),
    "display": ("_terminal errors events", "rich markdown_it pygments IPython"),
    "cli": (
        "_terminal _version auth dialects display emulator errors events hooks http platforms recording retry service transport",
        "",
    ),
    "testing": ("", ""),
    "__init__": (
        (
            "_images _json _lazy _progress _version call client dialects errors events guardrails http platforms rate_limit "
            "retry "
            "service transport"
        ),
        "",
    ),
}

#: What the framework packages may import from the core beside its public names.
FRAMEWORK_IMPORTS = {
    f"mdstream_core.{route}"
    for route in (
        "_fork",
        "_lazy",
        "auth",
        "auth.aws",
        "auth.huawei",
        "auth.oci",
        "batch",
        "errors",
        "guardrails",
        "http",
        "hooks",
        "options",
    )
}

#: And what the conformance suites may import, which run against the emulator.
TESTING_IMPORTS = {"mdstream_core.emulator", "mdstream_core.emulator.model"}

#: The modules that may wait.
WAITING = {"transport", "client", "job_client", "batching", "rate_limit", "emulator", "auth", "cli"}

FRAMEWORK_PACKAGES = {"langchain_mdstream", "llamaindex_mdstream"}
FRAMEWORKS = {"langchain_core", "langchain", "langgraph", "llama_index", "llama_index_instrumentation"}


def module_name(name: Path) -> str:
    return name.parts[1].removesuffix(".py")


def top(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree without what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from top(node)


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what is imported when the code runs."""
    for node in top(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


CORE = [name for name in FILES if name.parts[0] == "mdstream_core"]


@pytest.mark.parametrize("name", CORE, ids=str)
def test_a_module_imports_only_what_the_table_allows(name: Path) -> None:
    """
    The table of docs/architecture.md, for each file of the core.
    """
    assert module_name(name) in ALLOWED_IMPORTS, (
        "a new module: add it to the table here and to the one in docs/architecture.md"
    )
    ours, others = (set(names.split()) for names in ALLOWED_IMPORTS[module_name(name)])
    seen = {parts[1] for dotted in imports(TREES[name]) if (parts := dotted.split("."))[0] == "mdstream_core"}
    foreign = (
        {dotted.split(".")[0] for dotted in imports(TREES[name])} - set(sys.stdlib_module_names) - {"mdstream_core"}
    )

    assert set() == seen - ours - {module_name(name)}
    assert set() == foreign - others


@pytest.mark.parametrize("name", [name for name in FILES if name.parts[0] in FRAMEWORK_PACKAGES], ids=str)
def test_a_framework_package_translates_only(name: Path) -> None:
    """
    It imports the core's public names and a few of its modules, and nothing of the other framework.
    """
    own = name.parts[0]
    langchain, llamaindex = {"langchain_core", "langchain_mdstream"}, {"llama_index", "llamaindex_mdstream"}
    other = {"langchain_mdstream": llamaindex, "llamaindex_mdstream": langchain, "llama_index": langchain}
    found = set(imports(TREES[name]))
    public = set(re.findall(r'^    "(\w+)",$', (ROOT / "mdstream_core/__init__.py").read_text(), re.MULTILINE))
    inside = {dotted for dotted in found if dotted.startswith("mdstream_core.")}
    allowed = FRAMEWORK_IMPORTS | TESTING_IMPORTS if module_name(name) == "testing" else FRAMEWORK_IMPORTS

    assert set() == {dotted.split(".")[0] for dotted in found} & other[own]
    assert set() == {
        dotted
        for dotted in inside
        if dotted.removeprefix("mdstream_core.") not in public | {"auth", "errors", "http", "hooks"}
        and dotted.rpartition(".")[0] not in allowed
        and dotted not in allowed
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FILES if name.parts[0] == "pytest_mdstream"], ids=str)
def test_the_pytest_plugin_is_light(name: Path) -> None:
    """
    pytest imports it in every run, so it takes nothing but pytest; the emulator inside a function.
    """
    tree = TREES[name]
    at_import = {dotted.split(".")[0] for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef) for dotted in imports(ast.Module([node], []))}  # fmt: skip
    ours = {dotted for dotted in imports(tree) if dotted.startswith("mdstream_core")}

    assert set() == at_import - set(sys.stdlib_module_names) - {"pytest"}
    assert {"mdstream_core.emulator.Emulator"} == ours


def test_only_tests_are_built_on_tests() -> None:
    """
    Nobody who uses a model imports pytest or the suites.
    """
    others = {
        name: set(imports(tree))
        for name, tree in TREES.items()
        if module_name(name) != "testing" and name.parts[0] != "pytest_mdstream"
    }

    assert {} == {
        name: found for name, found in others.items() if any("pytest" in one or ".testing" in one for one in found)
    }


def test_no_framework_is_in_the_core() -> None:
    """
    Neither LangChain nor LlamaIndex, also not inside a function.
    """
    assert set() == {dotted.split(".")[0] for name in CORE for dotted in imports(TREES[name])} & FRAMEWORKS


def test_a_vendor_sdk_is_imported_in_auth_only() -> None:
    """
    And inside a function there, so that importing costs nothing.
    """
    vendors = {"oci", "ads", "boto3", "botocore", "huaweicloudsdkcore"}
    for name, tree in TREES.items():
        at_import = {dotted.split(".")[0] for node in tree.body for dotted in imports(ast.Module([node], [])) if not isinstance(node, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
        anywhere = {dotted.split(".")[0] for dotted in imports(tree)}
        assert set() == at_import & vendors, name
        assert set() == anywhere & vendors or module_name(name) == "auth", name


def test_only_a_few_modules_wait() -> None:
    """
    No socket, no event loop and no sleep outside of transport and client; the emulator and the command wait too, and
    the suites, which are tests. A framework package may gather its own coroutines.
    """
    for name, tree in TREES.items():
        if module_name(name) in WAITING or module_name(name) == "testing":
            continue
        found = set(imports(tree))
        waits = {"socket", "select"} | ({"asyncio", "anyio", "trio"} if name in CORE else set())
        assert set() == {dotted.split(".")[0] for dotted in found} & waits, name
        assert "time.sleep" not in {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}, (
            name
        )
        assert "time.sleep" not in found, name
        assert "asyncio.run" not in {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}, (
            name
        )


def test_the_emulator_writes_and_does_not_read() -> None:
    """
    It uses wire's encoding half: with our own decoder it would agree with our own mistakes.
    """
    for name in CORE:
        names = {
            dotted.rpartition(".")[2] for dotted in imports(TREES[name]) if dotted.startswith("mdstream_core.wire")
        }
        if module_name(name) == "emulator":
            assert not {found for found in names if "Decoder" in found}, name
        elif module_name(name) != "wire":
            assert not names & {"encode", "comment"}, name


def caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"everything"}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind) for kind in kinds}


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends by raising what it caught: a clean-up, not a catch."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_nothing_is_caught_broadly() -> None:
    """
    No bare except, no `except Exception`; `BaseException` only where it is raised on after cleaning up.
    """
    broad = [
        f"{name}:{handler.lineno}"
        for name, tree in TREES.items()
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler)
        and caught(handler) & {"everything", "Exception", "BaseException"}
        and not (caught(handler) == {"BaseException"} and passes_on(handler))
    ]
    assert [] == broad


def test_nothing_is_suppressed_broadly() -> None:
    """
    `suppress(Exception)` is the same thing in other words.
    """
    calls = [ast.unparse(node) for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]

    assert [] == [call for call in calls if re.match(r"(contextlib\.)?suppress\(.*\b(Base)?Exception\b", call)]


@pytest.mark.parametrize("name", FILES, ids=str)
def test_files_and_functions_are_small(name: Path) -> None:
    """
    No file above 400 lines, no function above 60.
    """
    long = {node.name: size for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (size := (node.end_lineno or 0) - node.lineno + 1) > 60}  # fmt: skip

    assert {} == long
    assert len(FILES[name].read_text().splitlines()) <= 400


def test_the_architecture_is_livable() -> None:
    """
    Median file 120 lines, median function 8, and 95 of 100 functions within 35.
    """
    functions = [(node.end_lineno or 0) - node.lineno + 1 for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]  # fmt: skip

    assert median(len(path.read_text().splitlines()) for path in FILES.values()) <= 120
    assert median(functions) <= 8
    assert quantiles(functions, n=20)[-1] <= 35


def test_the_plan_states_what_this_file_states() -> None:
    """
    The table in docs/architecture.md has a row for each module that is checked here.
    """
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("## Layers and imports\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ")]
    for name, (ours, _) in ALLOWED_IMPORTS.items():
        if name == "__init__":
            continue
        named = [imported for modules, _, imported in rows if f"`{name}`" in modules]
        assert 1 == len(named), name
        assert set(ours.split()) == set(re.findall(r"`(\w+)`", named[0].partition(", and")[0])), name
