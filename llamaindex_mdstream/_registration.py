"""Register the LLMs and embeddings with LlamaIndex before they are imported.

LlamaIndex's tables are in modules that import its packages for OpenAI and HuggingFace where these are installed, which
takes half a second. So the classes are added when a program imports these modules.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import wrapt
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms.llm import LLM
from llama_index.core.schema import BaseComponent

#: Classes by the name in a serialized model, which `class_name` of the class returns.
LLMS = {
    "mdstream_oci_model_deployment_llm": "OCIDataScience",
    "mdstream_oci_genai_llm": "OCIGenAI",
    "mdstream_sagemaker_llm": "SageMakerLLM",
    "mdstream_modelarts_llm": "ModelArts",
}
EMBEDDINGS = {
    "mdstream_oci_model_deployment_embedding": "OCIDataScienceEmbedding",
    "mdstream_oci_genai_embedding": "OCIGenAIEmbeddings",
    "mdstream_sagemaker_embedding": "SageMakerEmbedding",
    "mdstream_modelarts_embedding": "ModelArtsEmbedding",
}


class LazyClass:
    """Entry of LlamaIndex's tables for a class that is not imported yet; its module replaces it by the class.

    Args:
        module: The module of this package that exports the class.
        name: The name of the class.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def from_dict(self, data: dict[str, Any], **kwargs: Any) -> BaseComponent:
        """Import the class and create an object from a dict, as `load_llm` and `load_embed_model` do."""
        cls: type[BaseComponent] = getattr(import_module(f"{__package__}.{self._module}"), self._name)
        return cls.from_dict(data, **kwargs)


#: LlamaIndex's tables by their modules, the module of this package that has the classes, and their names.
_TABLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "llama_index.core.llms.loading": ("RECOGNIZED_LLMS", "llms", LLMS),
    "llama_index.core.embeddings.loading": ("RECOGNIZED_EMBEDDINGS", "embeddings", EMBEDDINGS),
}

#: Classes that are imported, by their class name.
_imported: dict[str, type[LLM | BaseEmbedding]] = {}


def register_lazily() -> None:
    """Let `load_llm` and `load_embed_model` find the classes."""
    for module in _TABLES:
        wrapt.register_post_import_hook(_add_classes, module)  # now, if it is imported already


def register(*classes: type[LLM | BaseEmbedding]) -> None:
    """Put classes that are imported now into LlamaIndex's tables."""
    _imported.update({cls.class_name(): cls for cls in classes})
    for name in _TABLES:
        if (module := sys.modules.get(name)) is not None:
            _add_classes(module)


def _add_classes(module: ModuleType) -> None:
    """Add the classes of one table: those that are imported, and entries that import the others."""
    table_name, package, names = _TABLES[module.__name__]
    table: dict[str, Any] | None = getattr(module, table_name, None)
    if table is None:  # another thread is importing it, and the hook follows
        return
    for class_name, name in names.items():
        cls = _imported.get(class_name)
        if cls is None:
            table.setdefault(class_name, LazyClass(package, name))
        else:
            table[class_name] = cls
