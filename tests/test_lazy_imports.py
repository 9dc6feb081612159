"""Names that packages import when they are first read: the same names as type checkers see, and no more than needed."""

import ast
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from llamaindex_mdstream._registration import EMBEDDINGS, LLMS
from mdstream_core._lazy import LazyModule, lazy_pattern

ROOT = Path(__file__).parent.parent

#: Packages with lazy exports, and names that they import at once.
PACKAGES = {
    "mdstream_core": {"__version__"},
    "mdstream_core.dialects": set(),
    "mdstream_core.platforms": set(),
    "langchain_mdstream.chat_models": set(),
    "langchain_mdstream.embeddings": set(),
    "langchain_mdstream.llms": set(),
    "langchain_mdstream.rerankers": set(),
    "llamaindex_mdstream": {"MDStreamLLM", "RequestNotSent", "StructuredOutputError"},
    "llamaindex_mdstream.embeddings": set(),
    "llamaindex_mdstream.llms": set(),
    "llamaindex_mdstream.rerankers": set(),
}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def type_checked_imports(package: str) -> set[str]:
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.name
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize(("package", "eager"), PACKAGES.items(), ids=PACKAGES)
def test_type_checkers_see_the_exported_names(package: str, eager: set[str]) -> None:
    """Every name of `__all__` is imported for them, is an attribute at run time, and is listed by `dir`."""
    module = import_module(package)

    assert {*module.__all__} == type_checked_imports(package) | eager
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert {*module.__all__} <= {*dir(module)}
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'missing'"):
        _ = module.missing


#: Modules that an import must not need.
UNNEEDED = {
    "from langchain_mdstream import ChatOCIModelDeployment": (
        "mdstream_core.client",
        "mdstream_core.batching",
        "mdstream_core.dialects.openai",
        "mdstream_core.platforms",
        "mdstream_core.rate_limit",
        "mdstream_core.recording",
        "mdstream_core.transport",
        "mdstream_core.auth.aws",
        "mdstream_core.auth.huawei",
        "mdstream_core.hooks",
        "langchain_mdstream._header_binding",
        "langchain_mdstream._oci_genai",
        "langchain_mdstream._sagemaker",
        "langchain_mdstream._modelarts",
        "langchain_mdstream._structured",
    ),
    **{
        f"from langchain_mdstream import {name}": (
            "langchain_mdstream._oci_genai",
            "langchain_mdstream._sagemaker",
            "langchain_mdstream._modelarts",
        )
        for name in ("OCIModelDeploymentLLM", "OCIModelDeploymentEmbeddings", "OCIModelDeploymentRerank")
    },
    "from llamaindex_mdstream import OCIDataScience": (
        "mdstream_core.client",
        "mdstream_core.batching",
        "mdstream_core.platforms.oci_genai",
        "mdstream_core.rate_limit",
        "mdstream_core.transport",
        "llamaindex_mdstream.embeddings",
        "llamaindex_mdstream.rerankers",
        "anyio",
        "mdstream_core.events",
        "mdstream_core.hooks",
        "llamaindex_mdstream._oci_genai",
        "llamaindex_mdstream._sagemaker",
        "llamaindex_mdstream._modelarts",
        "llamaindex_mdstream._messages",
        "llamaindex_mdstream._responses",
        "llamaindex_mdstream._structured_methods",
        "llamaindex_mdstream._tools",
    ),
    "import mdstream_core": ("mdstream_core.errors", "httpx", "pydantic"),
}


@pytest.mark.parametrize(("statement", "modules"), UNNEEDED.items(), ids=UNNEEDED)
def test_an_import_needs_no_other_modules(statement: str, modules: tuple[str, ...]) -> None:
    """In a fresh interpreter."""
    loaded = f"import sys; {statement}; print([name for name in {modules!r} if name in sys.modules])"

    assert "[]" == run(loaded)


#: A model and its base class, by package.
MODELS = {
    "langchain_mdstream": ("chat_models", "ChatOCIModelDeployment", "_chat_model", "ChatModel"),
    "llamaindex_mdstream": ("llms", "OCIDataScience", "_base", "MDStreamLLM"),
}


@pytest.mark.parametrize("package", MODELS)
def test_validators_are_built_for_models_and_not_for_their_bases(package: str) -> None:
    """A base gets one when it is first used. This is in a fresh interpreter, because other tests may use one."""
    module, name, base_module, base = MODELS[package]
    code = (
        f"from {package}.{module} import {name}\n"
        f"from {package}.{base_module} import {base}\n"
        f"print({name}.__pydantic_complete__, {base}.__pydantic_complete__, {base}.model_rebuild())"
    )

    assert "True False True" == run(code)


@pytest.mark.parametrize("package", ["langchain_mdstream", "llamaindex_mdstream"])
def test_the_validators_of_every_exported_model_are_built(package: str) -> None:
    """Otherwise the first object would build them, on several threads at once in an app."""
    module = import_module(package)
    models = [cls for cls in (getattr(module, name) for name in module.__all__) if hasattr(cls, "model_fields")]
    bases = {cls for cls in models if cls.__name__.startswith("MDStream")}

    assert [] == [cls for cls in models if cls not in bases and not cls.__pydantic_complete__]
    assert len(models) > 10


#: LlamaIndex's function for saved objects of each kind, and a class name in a saved object.
SAVED = {
    "llms": ("llama_index.core.llms.loading", "load_llm", "mdstream_oci_model_deployment_llm", "OCIDataScience"),
    "embeddings": (
        "llama_index.core.embeddings.loading",
        "load_embed_model",
        "mdstream_oci_model_deployment_embedding",
        "OCIDataScienceEmbedding",
    ),
}


@pytest.mark.parametrize("kind", SAVED)
def test_a_saved_object_is_loaded_before_its_module_is_imported(kind: str) -> None:
    """LlamaIndex's table has an entry for it, which becomes the class."""
    loading, function, class_name, name = SAVED[kind]
    code = (
        "import llamaindex_mdstream, sys\n"
        f"from {loading} import {function}, RECOGNIZED_{kind.upper()}\n"
        f"assert 'llamaindex_mdstream.{kind}' not in sys.modules\n"
        f"saved = {{'class_name': {class_name!r}, 'endpoint': 'http://127.0.0.1:1/ocid1.x', 'auth_type': 'none'}}\n"
        f"loaded = {function}(saved)\n"
        f"assert type(loaded) is RECOGNIZED_{kind.upper()}[{class_name!r}]\n"
        "print(type(loaded).__name__)"
    )

    assert name == run(code)


#: The table of each kind, and the base class.
TABLES = {"llms": (LLMS, "MDStreamLLM"), "embeddings": (EMBEDDINGS, "MDStreamEmbedding")}


@pytest.mark.parametrize("kind", TABLES)
def test_the_table_of_saved_objects_is_complete(kind: str) -> None:
    """`class_name` of each class is its key."""
    table, base = TABLES[kind]
    module = import_module(f"llamaindex_mdstream.{kind}")

    assert {getattr(module, name).class_name(): name for name in table.values()} == table
    assert {*table.values()} == {*module.__all__} - {base}


#: Packages whose names are in private modules, one per platform.
CLASS_PACKAGES = [
    package for package, eager in PACKAGES.items() if not eager and not package.startswith("mdstream_core")
]


@pytest.mark.parametrize("package", CLASS_PACKAGES)
def test_the_module_of_a_class_is_public(package: str) -> None:
    """It is part of pickles and of LangChain's serialized form."""
    module = import_module(package)
    for name in module.__all__:
        cls = getattr(module, name)

        assert package == cls.__module__
        assert cls is pickle.loads(pickle.dumps(cls))


def test_a_lazy_module_and_a_lazy_pattern() -> None:
    """They are used like the module and the pattern."""
    json = LazyModule("json")
    pattern = lazy_pattern("(A)+")

    assert "[1]" == json.dumps([1])
    assert "dumps" in vars(json)
    with pytest.raises(AttributeError):
        _ = json.missing
    assert pattern.fullmatch("AA") is not None
    assert pattern.search("b") is None
