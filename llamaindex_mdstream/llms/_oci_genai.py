"""LLMs of OCI Generative AI."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

import mdstream_core
from llamaindex_mdstream._aliases import OCIGenerativeAIAliases
from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._oci_genai import OCIGenerativeAIMixin
from llamaindex_mdstream._platform_fields import ModelKind
from llamaindex_mdstream._registration import register
from mdstream_core.options import ModelFamily

if TYPE_CHECKING:
    from mdstream_core import OCIGenerativeAI


class OCIGenAI(OCIGenerativeAIAliases, OCIGenerativeAIMixin, MDStreamLLM):
    """LLM for OCI Generative AI, on demand or on a dedicated AI cluster.

    Field names follow `llama-index-llms-oci-genai`. Every field is a constructor argument and has its own description.
    The API format of the request (GENERIC, COHERE, …) follows from the model's name. With `is_chat_model=False`
    requests use the service's older `generateText` operation.

    Install:
        `pip install "mdstream-llm[llamaindex,oci-lite]"`; with `oci` instead of `oci-lite` for instance principals and
        OKE workload identity.

    Authentication:
        Without `auth`, `auth_type` and `api_key`: `MDSTREAM_API_KEY` as a bearer key, the method named by
        `OCI_IAM_TYPE`, the resource principal of the environment, or the OCI config file (`~/.oci/config`).

    Streaming errors:
        A stream that fails raises a subclass of `mdstream_core.MDStreamError` where it is read, such as `StreamFailure`
        or `StreamInterrupted`. `error.partial_response` holds what was received.

    Raises:
        ValueError: A field is missing or invalid. The message names the field and shows no other value.

    Example:
        >>> from llama_index.core.llms import ChatMessage
        >>> llm = OCIGenAI(
        ...     model="xai.grok-4", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
        >>> llm.metadata.model_name
        'xai.grok-4'

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

    family: ModelFamily | None = Field(
        default=None,
        description="Family of the model behind an endpoint OCID or an imported model's name: `cohere`, `google`, "
        "`meta`, `openai` or `generic`. Default: derived from the model's name. `provider` is an alias.",
    )

    conversation_store_id: str | None = Field(
        default=None,
        description="OCID of the conversation store in which the service stores the responses of OpenAI's Responses "
        'API (`dialect="openai-responses"`). Required unless requests have `store=False`.',
    )

    _aliases: ClassVar[dict[str, str]] = {**OCIGenerativeAIMixin._aliases, "provider": "family"}

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_genai_llm"

    def _build_platform(self) -> "OCIGenerativeAI":
        return replace(super()._build_platform(), conversation_store_id=self.conversation_store_id)

    def _default_dialect(self, model: str, kind: ModelKind) -> str:
        if kind == "chat":
            return mdstream_core.oci_dialect_name(model, self.api_format, self.family)
        family = self.family or ("cohere" if model.lower().startswith("cohere.") else "")
        return "oci-generate-text-cohere" if family.lower() == "cohere" else "oci-generate-text-llama"

    def _dialect_name(self, params: dict[str, Any]) -> str:
        """Name of the dialect of a request. Of Cohere's two formats, only the second supports images."""
        name = super()._dialect_name(params)
        is_explicit = self.dialect is not None or self.api_format is not None
        return "oci-cohere-v2" if name == "oci-cohere" and not is_explicit and _has_image(params) else name

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.family and self.dialect:
            raise ValueError("family and dialect both set the API format (hint: remove one of them)")
        mdstream_core.oci_dialect_name(self.model, self.api_format, self.family)  # raises for unknown names
        if not self.model:
            raise ValueError(
                "model is missing (hint: set a model's name such as 'xai.grok-4', or a dedicated endpoint's OCID)"
            )
        if not self.compartment_id and not (self.dialect or "").startswith("openai-"):
            raise ValueError(
                "compartment_id is missing (hint: set the OCID of the compartment to bill, ocid1.compartment.oc1..…)"
            )


def _has_image(params: dict[str, Any]) -> bool:
    """Return whether a message of the request contains an image."""
    contents = [message.get("content") for message in params["messages"]]
    return any(part.get("type") == "image_url" for content in contents if isinstance(content, list) for part in content)


register(OCIGenAI)
