"""Models on OCI, Amazon SageMaker and Huawei ModelArts for LangChain; a stream that failed is never a success.

>>> from langchain_mdstream import ChatOCIModelDeployment
>>> chat = ChatOCIModelDeployment(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x")
"""

from mdstream_core import MissingExtra, __version__

try:
    import langchain_core  # noqa: F401
except ImportError:
    raise MissingExtra("langchain-core", "langchain") from None

from langchain_mdstream.chat_models import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from langchain_mdstream.llms import ModelArtsLLM, OCIGenAI, OCIModelDeploymentLLM, SagemakerEndpoint

__all__ = [
    "ChatModelArts",
    "ChatOCIGenAI",
    "ChatOCIModelDeployment",
    "ChatSagemakerEndpoint",
    "ModelArtsLLM",
    "OCIGenAI",
    "OCIModelDeploymentLLM",
    "SagemakerEndpoint",
    "__version__",
]
