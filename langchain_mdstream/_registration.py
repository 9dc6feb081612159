"""`register()`: our models under LangChain's factories `init_chat_model` and `init_embeddings`."""

from importlib import import_module
from typing import Any

from langchain_core.load.load import ALL_SERIALIZABLE_MAPPINGS
from langchain_core.load.serializable import Serializable

from mdstream_core import MissingExtra

# What `langchain_core.load.load` may build again.


def register_loadable(*classes: type[Serializable]) -> None:
    """Enter classes into core's table of what can be loaded."""
    for cls in classes:
        path = tuple(cls.lc_id())
        ALL_SERIALIZABLE_MAPPINGS[path] = path


#: A provider's name, and its classes. They are those of `ls_provider` and of a message's `model_provider`.
_CHAT = {
    "oci_model_deployment": "ChatOCIModelDeployment",
    "oci_generative_ai": "ChatOCIGenAI",
    "sagemaker": "ChatSagemakerEndpoint",
    "modelarts": "ChatModelArts",
}
_EMBEDDINGS = {
    "oci_model_deployment": "OCIModelDeploymentEmbeddings",
    "oci_generative_ai": "OCIGenAIEmbeddings",
    "sagemaker": "SagemakerEndpointEmbeddings",
    "modelarts": "ModelArtsEmbeddings",
}
_TABLES = {"langchain.chat_models.base": _CHAT, "langchain.embeddings.base": _EMBEDDINGS}


def register() -> None:
    """Let `init_chat_model("oci_model_deployment:odsc-llm", …)` and `init_embeddings` build our models.

    The providers are `oci_model_deployment`, `oci_generative_ai`, `sagemaker` (what stands behind the colon is the
    endpoint's name) and `modelarts`; further arguments are those of the class. LangChain has no other way in for
    packages outside its repository than its own tables, so this is done on request only. Doing it again changes
    nothing.

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
    """An endpoint of SageMaker is what its users call a model."""
    named = {"model": model} if "endpoint_name" in options else {"endpoint_name": model}
    return cls(**named, **options)
