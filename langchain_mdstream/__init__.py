"""LangChain integrations for OCI model deployments, OCI Generative AI, Amazon SageMaker and Huawei ModelArts.

A stream that failed raises an error with the output so far; it is never reported as a success.

>>> from langchain_mdstream import ChatOCIModelDeployment
>>> chat = ChatOCIModelDeployment(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import mdstream_core
from mdstream_core import MissingExtra, __version__

try:
    import langchain_core  # noqa: F401
except ImportError:
    raise MissingExtra("langchain-core", "langchain") from None

from langchain_mdstream._registration import register, register_loadable, register_translators

if TYPE_CHECKING:
    from langchain_mdstream._content_handlers import (
        ChatModelContentHandler,
        ContentHandlerBase,
        EmbeddingsContentHandler,
        LLMContentHandler,
    )
    from langchain_mdstream.chat_models import (
        ChatModelArts,
        ChatOCIGenAI,
        ChatOCIModelDeployment,
        ChatOCIOpenAI,
        ChatSagemakerEndpoint,
    )
    from langchain_mdstream.deployments import (
        ChatOCIModelDeploymentTGI,
        ChatOCIModelDeploymentVLLM,
        OCIModelDeploymentTGI,
        OCIModelDeploymentVLLM,
    )
    from langchain_mdstream.embeddings import (
        ModelArtsEmbeddings,
        OCIDataScienceEmbedding,
        OCIGenAIEmbeddings,
        OCIModelDeploymentEmbeddings,
        OCIModelDeploymentEndpointEmbeddings,
        SagemakerEndpointEmbeddings,
    )
    from langchain_mdstream.guardrails import OCIGuardrails, OCIGuardrailsViolationError
    from langchain_mdstream.llms import ModelArtsLLM, OCIGenAI, OCIModelDeploymentLLM, SagemakerEndpoint
    from langchain_mdstream.middleware import OCIGuardrailsMiddleware
    from langchain_mdstream.rerankers import (
        ModelArtsRerank,
        OCIGenAIRerank,
        OCIModelDeploymentRerank,
        SagemakerEndpointRerank,
    )
    from langchain_mdstream.vision import (
        IMAGE_EMBEDDING_MODELS,
        VISION_MODELS,
        encode_image,
        is_vision_model,
        load_image,
        to_data_uri,
    )
    from mdstream_core import RateLimit

__all__ = [
    "IMAGE_EMBEDDING_MODELS",
    "VISION_MODELS",
    "ChatModelArts",
    "ChatModelContentHandler",
    "ChatOCIGenAI",
    "ChatOCIModelDeployment",
    "ChatOCIModelDeploymentTGI",
    "ChatOCIModelDeploymentVLLM",
    "ChatOCIOpenAI",
    "ChatSagemakerEndpoint",
    "ContentHandlerBase",
    "EmbeddingsContentHandler",
    "LLMContentHandler",
    "ModelArtsEmbeddings",
    "ModelArtsLLM",
    "ModelArtsRerank",
    "OCIDataScienceEmbedding",
    "OCIGenAI",
    "OCIGenAIEmbeddings",
    "OCIGenAIRerank",
    "OCIGuardrails",
    "OCIGuardrailsMiddleware",
    "OCIGuardrailsViolationError",
    "OCIModelDeploymentEmbeddings",
    "OCIModelDeploymentEndpointEmbeddings",
    "OCIModelDeploymentLLM",
    "OCIModelDeploymentRerank",
    "OCIModelDeploymentTGI",
    "OCIModelDeploymentVLLM",
    "RateLimit",
    "SagemakerEndpoint",
    "SagemakerEndpointEmbeddings",
    "SagemakerEndpointRerank",
    "__version__",
    "encode_image",
    "is_vision_model",
    "load_image",
    "register",
    "to_data_uri",
]

#: Names by module. A module is imported when one of its names is first used, as building pydantic's models takes
#: most of the time of an import.
_CLASSES = {
    "_content_handlers": (
        "ChatModelContentHandler",
        "ContentHandlerBase",
        "EmbeddingsContentHandler",
        "LLMContentHandler",
    ),
    "chat_models": (
        "ChatModelArts",
        "ChatOCIGenAI",
        "ChatOCIModelDeployment",
        "ChatOCIOpenAI",
        "ChatSagemakerEndpoint",
    ),
    "guardrails": ("OCIGuardrails", "OCIGuardrailsViolationError"),
    "middleware": ("OCIGuardrailsMiddleware",),
    "deployments": (
        "ChatOCIModelDeploymentTGI",
        "ChatOCIModelDeploymentVLLM",
        "OCIModelDeploymentTGI",
        "OCIModelDeploymentVLLM",
    ),
    "embeddings": (
        "ModelArtsEmbeddings",
        "OCIDataScienceEmbedding",
        "OCIGenAIEmbeddings",
        "OCIModelDeploymentEmbeddings",
        "OCIModelDeploymentEndpointEmbeddings",
        "SagemakerEndpointEmbeddings",
    ),
    "llms": ("ModelArtsLLM", "OCIGenAI", "OCIModelDeploymentLLM", "SagemakerEndpoint"),
    "rerankers": ("ModelArtsRerank", "OCIGenAIRerank", "OCIModelDeploymentRerank", "SagemakerEndpointRerank"),
    "vision": (
        "IMAGE_EMBEDDING_MODELS",
        "VISION_MODELS",
        "encode_image",
        "is_vision_model",
        "load_image",
        "to_data_uri",
    ),
}
_MODULES = {name: module for module, names in _CLASSES.items() for name in names}

register_translators()
_LOADABLE = ("chat_models", "llms", "deployments", "guardrails")
register_loadable({name: _MODULES[name] for module in _LOADABLE for name in _CLASSES[module]})


def __getattr__(name: str) -> Any:
    """Import an exported class, or a module, when it is first used."""
    if name in _CLASSES:
        return import_module(f"{__name__}.{name}")
    if name == "RateLimit":
        return mdstream_core.RateLimit
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the module, with those that are not imported yet."""
    return sorted({*globals(), *__all__})
