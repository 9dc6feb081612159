"""Chat models of Huawei ModelArts."""

from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream._modelarts import ModelArtsMixin


class ChatModelArts(ModelArtsMixin, ChatModel):
    """Chat model on a Huawei ModelArts real-time service, over HTTPS or a WebSocket, or on MaaS.

    Setup:
        Install `mdstream-llm`.

        ```bash
        pip install -U "mdstream-llm[langchain]"
        export MODELARTS_API_KEY="…"  # or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK
        ```

    Instantiate:
        >>> chat = ChatModelArts(
        ...     endpoint="https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be", token="..."
        ... )

    Invoke:
        ```python
        chat.invoke("Name three rivers.").text
        ```

    Stream:
        ```python
        for chunk in chat.stream("Name three rivers."):
            print(chunk.text, end="", flush=True)
        ```

    Tool calling:
        ```python
        chat.bind_tools([get_weather]).invoke("What is the weather in Paris?").tool_calls
        ```

    Structured output:
        ```python
        chat.with_structured_output(Joke).invoke("Tell me a joke about cats.")
        ```

    Streaming errors:
        An error event in the stream, or a WebSocket that is closed with an error, raises `StreamFailure`. Interrupted
        streams raise `StreamInterrupted`. Errors have `error.partial` (the output so far), `error.code` and
        `error.request_id`, and `on_llm_error` gets the partial output too.
    """

    __module__ = "langchain_mdstream.chat_models"  # where it is imported from, pickled and serialized
