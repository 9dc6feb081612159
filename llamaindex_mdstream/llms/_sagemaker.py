"""LLMs of Amazon SageMaker."""

from typing import TYPE_CHECKING, Any

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._content_handlers import handler_dialect
from llamaindex_mdstream._registration import register
from llamaindex_mdstream._sagemaker import SageMakerMixin

if TYPE_CHECKING:
    from mdstream_core import Dialect


class SageMakerLLM(SageMakerMixin, MDStreamLLM):
    """LLM for Amazon SageMaker endpoints.

    Field names follow `llama-index-llms-sagemaker-endpoint`. Every field is a constructor argument and has its own
    description. The API format of the container (vLLM, SGLang, TGI, LMI, JumpStart) is detected from its first
    response; `dialect` sets it.

    Install:
        `pip install "mdstream-llm[llamaindex,aws]"`

    Authentication:
        AWS credentials from the fields, `boto3_session` or `client`, else from botocore's default chain
        (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, `~/.aws`, roles). They are resolved when the first request is sent. The
        region comes from `region_name`, `AWS_REGION`, `AWS_DEFAULT_REGION` or the profile.

    Streaming errors:
        A stream that fails raises a subclass of `mdstream_core.MDStreamError` where it is read, such as `StreamFailure`
        or `StreamInterrupted`. `error.partial_response` holds what was received.

    Raises:
        ValueError: A field is missing or invalid. The message names the field and shows no other value.

    Example:
        >>> from llama_index.core.llms import ChatMessage
        >>> llm = SageMakerLLM(endpoint_name="my-endpoint", region_name="us-east-1")
        >>> llm.metadata.model_name
        'my-endpoint'

        Complete a prompt:

        >>> print(llm.complete("The capital of France is").text)  # doctest: +SKIP

        Stream a chat response:

        >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
        ...     print(response.delta, end="", flush=True)

        Call a tool:

        >>> response = llm.chat_with_tools([tool], user_msg="What is 2 + 3?")  # doctest: +SKIP
        >>> llm.get_tool_calls_from_response(response)  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.llms"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_sagemaker_llm"

    def _resolve_dialect(self, params: dict[str, Any], *, stream: bool) -> "Dialect":
        if self.content_handler is None:
            return super()._resolve_dialect(params, stream=stream)
        resolved: Dialect = handler_dialect(self.content_handler, params, stream=stream)
        return resolved

    def _reported_model_name(self) -> str:
        return self.model or self.endpoint_name


register(SageMakerLLM)
