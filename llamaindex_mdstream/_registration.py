"""Register the LLMs and embeddings with LlamaIndex before they are imported."""

from importlib import import_module
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS
from llama_index.core.llms.llm import LLM
from llama_index.core.llms.loading import RECOGNIZED_LLMS
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


def register_lazily() -> None:
    """Let `load_llm` and `load_embed_model` find the classes."""
    llms: dict[str, Any] = RECOGNIZED_LLMS
    embeddings: dict[str, Any] = RECOGNIZED_EMBEDDINGS
    for class_name, name in LLMS.items():
        llms.setdefault(class_name, LazyClass("llms", name))
    for class_name, name in EMBEDDINGS.items():
        embeddings.setdefault(class_name, LazyClass("embeddings", name))


def register(*classes: type[LLM | BaseEmbedding]) -> None:
    """Put classes that are imported now into LlamaIndex's tables."""
    for cls in classes:
        table: dict[str, Any] = RECOGNIZED_LLMS if issubclass(cls, LLM) else RECOGNIZED_EMBEDDINGS
        table[cls.class_name()] = cls
