"""Chat models of Amazon SageMaker."""

from typing import Any

from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream._content_handler_dialect import HandlerChunkBuilder
from langchain_mdstream._responses import ChunkBuilder
from langchain_mdstream._sagemaker import SageMakerMixin


class ChatSagemakerEndpoint(SageMakerMixin, ChatModel):
    """Chat model on an Amazon SageMaker endpoint: vLLM, SGLang, TGI, LMI or JumpStart.

    The API format of the container is detected with the first request; `dialect` or `content_handler` sets it.

    Setup:
        Install `mdstream-llm` with the extra `aws`, which brings botocore's credential chain and signer.

        ```bash
        pip install -U "mdstream-llm[langchain,aws]"
        export AWS_PROFILE="my-profile"  # or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …
        ```

    Instantiate:
        >>> chat = ChatSagemakerEndpoint(endpoint_name="my-endpoint", region_name="us-east-1")

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
        An exception frame in the event stream raises `StreamFailure`. Interrupted streams raise `StreamInterrupted`.
        Errors have `error.partial` (the output so far), `error.code` and `error.request_id`, and `on_llm_error` gets
        the partial output too.
    """

    __module__ = "langchain_mdstream.chat_models"  # where it is imported from, pickled and serialized

    def _create_chunk_builder(self, kwargs: dict[str, Any]) -> ChunkBuilder | HandlerChunkBuilder:
        if self.content_handler is None:
            return super()._create_chunk_builder(kwargs)
        return HandlerChunkBuilder(self.provider_name, self._model_name(kwargs))

    @property
    def _stream_chat_model_events(self) -> Any:
        """`None` with a content handler: LangChain converts its chunks."""
        return None if self.content_handler is not None else super()._stream_chat_model_events

    @property
    def _astream_chat_model_events(self) -> Any:
        """Async variant."""
        return None if self.content_handler is not None else super()._astream_chat_model_events
