"""Rerankers (node postprocessors). A platform's module is imported when one of its classes is first used."""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from llamaindex_mdstream.rerankers._base import MDStreamRerank
    from llamaindex_mdstream.rerankers._modelarts import ModelArtsRerank
    from llamaindex_mdstream.rerankers._oci_genai import OCIGenAIRerank
    from llamaindex_mdstream.rerankers._oci_model_deployment import OCIDataScienceRerank
    from llamaindex_mdstream.rerankers._sagemaker import SageMakerRerank

__all__ = ["MDStreamRerank", "ModelArtsRerank", "OCIDataScienceRerank", "OCIGenAIRerank", "SageMakerRerank"]

_MODULES = {
    "MDStreamRerank": "_base",
    "ModelArtsRerank": "_modelarts",
    "OCIDataScienceRerank": "_oci_model_deployment",
    "OCIGenAIRerank": "_oci_genai",
    "SageMakerRerank": "_sagemaker",
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, _MODULES)
