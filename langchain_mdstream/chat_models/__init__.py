"""Chat models. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_mdstream.chat_models._modelarts import ChatModelArts
    from langchain_mdstream.chat_models._oci_genai import ChatOCIGenAI, ChatOCIOpenAI
    from langchain_mdstream.chat_models._oci_model_deployment import ChatOCIModelDeployment
    from langchain_mdstream.chat_models._sagemaker import ChatSagemakerEndpoint

__all__ = ["ChatModelArts", "ChatOCIGenAI", "ChatOCIModelDeployment", "ChatOCIOpenAI", "ChatSagemakerEndpoint"]

_MODULES = {
    "ChatModelArts": "_modelarts",
    "ChatOCIGenAI": "_oci_genai",
    "ChatOCIModelDeployment": "_oci_model_deployment",
    "ChatOCIOpenAI": "_oci_genai",
    "ChatSagemakerEndpoint": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
