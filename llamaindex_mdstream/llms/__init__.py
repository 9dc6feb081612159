"""LLMs. A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from llamaindex_mdstream.llms._modelarts import ModelArts
    from llamaindex_mdstream.llms._oci_genai import OCIGenAI
    from llamaindex_mdstream.llms._oci_model_deployment import OCIDataScience
    from llamaindex_mdstream.llms._sagemaker import SageMakerLLM

__all__ = ["ModelArts", "OCIDataScience", "OCIGenAI", "SageMakerLLM"]

_MODULES = {
    "ModelArts": "_modelarts",
    "OCIDataScience": "_oci_model_deployment",
    "OCIGenAI": "_oci_genai",
    "SageMakerLLM": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
