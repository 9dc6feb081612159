"""Chat models of OCI Generative AI."""

import re
from typing import Any

from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream._oci_genai import OCIGenerativeAIMixin
from langchain_mdstream._responses_fields import RESPONSES_DIALECT


class ChatOCIGenAI(OCIGenerativeAIMixin, ChatModel):
    """Chat model of OCI Generative AI: Cohere, Meta, xAI, OpenAI, Google and Mistral, on demand or dedicated.

    The API format is derived from the model's name; `api_format` overrides it.

    Setup:
        Install `mdstream-llm` with the extra `oci-lite`, or `oci` for instance principals and OKE workloads.

        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        oci setup config  # or auth_type=, for other methods to authenticate
        ```

    Instantiate:
        >>> chat = ChatOCIGenAI(
        ...     model="meta.llama-3.3-70b-instruct",
        ...     region="us-chicago-1",
        ...     compartment_id="ocid1.compartment.oc1..aaaa",
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
        An error event in the stream raises `StreamFailure`. Interrupted streams raise `StreamInterrupted`. Errors have
        `error.partial` (the output so far), `error.code` and `error.request_id`, and `on_llm_error` gets the partial
        output too.
    """

    __module__ = "langchain_mdstream.chat_models"  # where it is imported from, pickled and serialized


class ChatOCIOpenAI(ChatOCIGenAI):
    """Chat model of OCI Generative AI through OpenAI's Responses API, with the constructor of langchain-oci's class.

    `ChatOCIGenAI(dialect="openai-responses")` is the same; this class is for programs that use the other name.

    Setup:
        Install `mdstream-llm` with the extra `oci-lite`.

        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        ```

    Instantiate:
        >>> chat = ChatOCIOpenAI(
        ...     model="openai.gpt-4.1",
        ...     region="us-chicago-1",
        ...     compartment_id="ocid1.compartment.oc1..aaaa",
        ...     conversation_store_id="ocid1.generativeaiconversationstore.oc1..aaaa",
        ... )

    Tools that the service runs:
        ```python
        chat.bind_tools([{"type": "web_search"}]).invoke("What happened today?").content_blocks
        ```

    Stored responses:
        ```python
        first = chat.invoke("I am Bob.")
        chat.invoke("Who am I?", previous_response_id=first.response_metadata["id"])
        ```

    Streaming errors:
        `response.failed` and an error event raise `StreamFailure`. A stream without `response.completed` or
        `response.incomplete` raises `StreamInterrupted`. Errors have `error.partial` (the output so far).
    """

    __module__ = "langchain_mdstream.chat_models"  # where it is imported from, pickled and serialized

    use_responses_api: bool | None = True
    """Whether to use OpenAI's Responses API; `False` uses its chat completions, which are not stored: `store` and
    `conversation_store_id` are dropped then."""

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Read the base path of `base_url`, and choose the dialect by `use_responses_api`."""
        values = super()._translate_aliases(values)
        base = _BASE_PATH.search(str(values.get("service_endpoint") or ""))
        if base and "openai_base" not in values:
            values["openai_base"] = base[1]
        is_stored = values.get("use_responses_api") is not False
        values["dialect"] = values.get("dialect") or (RESPONSES_DIALECT if is_stored else "openai-chat")
        dropped = () if is_stored else ("store", "conversation_store_id")
        return {name: value for name, value in values.items() if name not in dropped}


#: The base path of a URL of OpenAI's API.
_BASE_PATH = re.compile(r"(?<=[^/])((?:/20231130/actions|/openai)/v1)/*$")
