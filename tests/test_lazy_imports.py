"""Names that packages import when they are first read: the same names as type checkers see, and no more than needed."""

import ast
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import langchain_mdstream.chat_models
import llamaindex_mdstream
from mdstream_core._lazy import LazyModule, lazy_pattern

ROOT = Path(__file__).parent.parent

#: Packages with lazy exports, and names that they import at once.
PACKAGES = {
    "mdstream_core": {"__version__"},
    "mdstream_core.dialects": set(),
    "mdstream_core.platforms": set(),
    "langchain_mdstream.chat_models": set(),
    "llamaindex_mdstream": {
        "MDStreamLLM",
        "ModelArts",
        "OCIDataScience",
        "OCIGenAI",
        "RequestNotSent",
        "SageMakerLLM",
        "StructuredOutputError",
    },
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
        "langchain_mdstream._sagemaker",
        "langchain_mdstream._modelarts",
        "langchain_mdstream._structured",
    ),
    "from llamaindex_mdstream import OCIDataScience": (
        "mdstream_core.client",
        "mdstream_core.batching",
        "mdstream_core.platforms.oci_genai",
        "mdstream_core.rate_limit",
        "mdstream_core.transport",
        "llamaindex_mdstream.embeddings",
        "llamaindex_mdstream.rerankers",
    ),
    "import mdstream_core": ("mdstream_core.errors", "httpx", "pydantic"),
}


@pytest.mark.parametrize(("statement", "modules"), UNNEEDED.items(), ids=UNNEEDED)
def test_an_import_needs_no_other_modules(statement: str, modules: tuple[str, ...]) -> None:
    """In a fresh interpreter."""
    loaded = f"import sys; {statement}; print([name for name in {modules!r} if name in sys.modules])"

    assert "[]" == run(loaded)


def test_a_saved_embedding_is_loaded_before_its_module_is_imported() -> None:
    """LlamaIndex's table has an entry for it."""
    code = (
        "import llamaindex_mdstream, sys\n"
        "from llama_index.core.embeddings.loading import load_embed_model\n"
        "assert 'llamaindex_mdstream.embeddings' not in sys.modules\n"
        "saved = {'class_name': 'mdstream_oci_model_deployment_embedding', 'endpoint': 'http://127.0.0.1:1/ocid1.x',\n"
        "         'auth_type': 'none'}\n"
        "print(type(load_embed_model(saved)).__name__)"
    )

    assert "OCIDataScienceEmbedding" == run(code)


def test_the_table_of_embeddings_is_complete() -> None:
    """`class_name` of each class is its key."""
    from llamaindex_mdstream._registration import EMBEDDINGS  # noqa: PLC0415

    classes = [getattr(llamaindex_mdstream, name) for name in EMBEDDINGS.values()]

    assert {cls.class_name(): cls.__name__ for cls in classes} == EMBEDDINGS
    concrete = [name for name in llamaindex_mdstream.__all__ if name.endswith(("Embedding", "Embeddings"))]
    assert {*EMBEDDINGS.values()} == {*concrete} - {"MDStreamEmbedding"}


@pytest.mark.parametrize("name", langchain_mdstream.chat_models.__all__)
def test_the_module_of_a_chat_model_is_public(name: str) -> None:
    """It is part of pickles and of LangChain's serialized form."""
    cls = getattr(langchain_mdstream.chat_models, name)

    assert "langchain_mdstream.chat_models" == cls.__module__
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
