"""Registration of the classes with LangChain's factories and loader."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from langchain_core.load.load import ALL_SERIALIZABLE_MAPPINGS

from langchain_mdstream._content_blocks import register_provider
from mdstream_core import MissingExtra

#: Class names by provider, as in `ls_provider` and in a message's `model_provider`.
_CHAT = {
    "oci_model_deployment": "ChatOCIModelDeployment",
    "oci_genai": "ChatOCIGenAI",
    "sagemaker": "ChatSagemakerEndpoint",
    "modelarts": "ChatModelArts",
}
_EMBEDDINGS = {
    "oci_model_deployment": "OCIModelDeploymentEmbeddings",
    "oci_genai": "OCIGenAIEmbeddings",
    "sagemaker": "SagemakerEndpointEmbeddings",
    "modelarts": "ModelArtsEmbeddings",
}
_TABLES = {"langchain.chat_models.base": _CHAT, "langchain.embeddings.base": _EMBEDDINGS}


def register_loadable(modules: Mapping[str, str]) -> None:
    """Add classes to LangChain's table of classes that `langchain_core.load.load` may instantiate.

    Args:
        modules: The module of each class, within this package.
    """
    for name, module in modules.items():
        path = ("langchain_mdstream", module, name)
        ALL_SERIALIZABLE_MAPPINGS[path] = path


def register_translators() -> None:
    """Register how messages of each provider are converted to standard content blocks."""
    for provider in _CHAT:
        register_provider(provider)


def register() -> None:
    """Register the models with LangChain's `init_chat_model` and `init_embeddings`.

    The providers are `oci_model_deployment`, `oci_genai`, `sagemaker` (with the name of the endpoint behind the
    colon) and `modelarts`. Further arguments are those of the class. LangChain has no extension point for packages
    outside its repository, so this changes its own tables, and on request only. It can be called repeatedly.

    Raises:
        MissingExtra: The package `langchain` is not installed.

    Example:
        >>> register()
        >>> from langchain.chat_models import init_chat_model
        >>> init_chat_model("oci_model_deployment:odsc-llm", endpoint="http://127.0.0.1:1/ocid1.x").model
        'odsc-llm'
    """
    for module, classes in _TABLES.items():
        try:
            table: dict[str, Any] = import_module(module)._BUILTIN_PROVIDERS
        except ImportError:
            raise MissingExtra("langchain") from None
        for provider, name in classes.items():
            table[provider] = (
                "langchain_mdstream",
                name,
                _build_endpoint_model if provider == "sagemaker" else _build_model,
            )


def _build_model(cls: Any, **options: Any) -> Any:
    return cls(**options)


def _build_endpoint_model(cls: Any, model: str, **options: Any) -> Any:
    """Build a model of a SageMaker endpoint, whose name is given as the model."""
    name = "model" if "endpoint_name" in options else "endpoint_name"
    return cls(**{name: model}, **options)
