"""LangChain integrations for OCI model deployments, OCI Generative AI, Amazon SageMaker and Huawei ModelArts.

A stream that failed raises an error with the output so far; it is never reported as a success.

>>> from langchain_mdstream import ChatOCIModelDeployment
>>> chat = ChatOCIModelDeployment(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x")
"""

from mdstream_core import MissingExtra, RateLimit, __version__

try:
    import langchain_core  # noqa: F401
except ImportError:
    raise MissingExtra("langchain-core", "langchain") from None

from langchain_mdstream._content_handlers import (
    ChatModelContentHandler,
    ContentHandlerBase,
    EmbeddingsContentHandler,
    LLMContentHandler,
)
from langchain_mdstream._registration import register
from langchain_mdstream.chat_models import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from langchain_mdstream.deployments import (
    ChatOCIModelDeploymentTGI,
    ChatOCIModelDeploymentVLLM,
    OCIModelDeploymentTGI,
    OCIModelDeploymentVLLM,
)
from langchain_mdstream.embeddings import (
    ModelArtsEmbeddings,
    OCIGenAIEmbeddings,
    OCIModelDeploymentEmbeddings,
    OCIModelDeploymentEndpointEmbeddings,
    SagemakerEndpointEmbeddings,
)
from langchain_mdstream.llms import ModelArtsLLM, OCIGenAI, OCIModelDeploymentLLM, SagemakerEndpoint
from langchain_mdstream.rerankers import (
    ModelArtsRerank,
    OCIGenAIRerank,
    OCIModelDeploymentRerank,
    SagemakerEndpointRerank,
)

__all__ = [
    "ChatModelArts",
    "ChatModelContentHandler",
    "ChatOCIGenAI",
    "ChatOCIModelDeployment",
    "ChatOCIModelDeploymentTGI",
    "ChatOCIModelDeploymentVLLM",
    "ChatSagemakerEndpoint",
    "ContentHandlerBase",
    "EmbeddingsContentHandler",
    "LLMContentHandler",
    "ModelArtsEmbeddings",
    "ModelArtsLLM",
    "ModelArtsRerank",
    "OCIGenAI",
    "OCIGenAIEmbeddings",
    "OCIGenAIRerank",
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
    "register",
]
