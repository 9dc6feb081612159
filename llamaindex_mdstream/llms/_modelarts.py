"""LLMs of Huawei ModelArts."""

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._modelarts import ModelArtsMixin
from llamaindex_mdstream._registration import register


class ModelArts(ModelArtsMixin, MDStreamLLM):
    """LLM for Huawei ModelArts real-time services (HTTPS or WebSocket) and ModelArts Studio (MaaS).

    Every field is a constructor argument and has its own description.

    Install:
        `pip install "mdstream-llm[llamaindex]"`

    Authentication:
        The credential that is given: `token`; `user`, `password`, `domain`, `project`; `ak`, `sk`; `app_code`;
        `app_key`, `app_secret`; or `api_key`. Without one: `MDSTREAM_API_KEY`, then an access key from
        `HUAWEICLOUD_SDK_AK` and `HUAWEICLOUD_SDK_SK` or from `~/.huaweicloud/credentials`, then `MODELARTS_API_KEY` or
        `MAAS_API_KEY`.

    Streaming errors:
        A stream that fails raises a subclass of `mdstream_core.MDStreamError` where it is read, such as `StreamFailure`
        or `StreamInterrupted`. `error.partial_response` holds what was received.

    Raises:
        ValueError: A field is missing or invalid. The message names the field and shows no other value.

    Example:
        >>> from llama_index.core.llms import ChatMessage
        >>> llm = ModelArts(endpoint="https://api.modelarts-maas.com/v1", model="DeepSeek-V3", api_key="...")
        >>> llm.metadata.model_name
        'DeepSeek-V3'

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
        return "mdstream_modelarts_llm"


register(ModelArts)
