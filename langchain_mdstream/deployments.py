"""Models on OCI model deployments with the options and defaults of vLLM or TGI.

They extend `ChatOCIModelDeployment` and `OCIModelDeploymentLLM` for code that comes from langchain-oci or
langchain-community. As there, each field is sent with its default; `None` is not sent.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from langchain_mdstream.chat_models import ChatOCIModelDeployment
from langchain_mdstream.llms import OCIModelDeploymentLLM
from mdstream_core import Call, OCIModelDeployment

#: Fields that are sent in the payload besides those of every model.
_VLLM_CHAT = (
    "logit_bias",
    "use_beam_search",
    "length_penalty",
    "early_stopping",
    "ignore_eos",
    "min_tokens",
    "stop_token_ids",
    "skip_special_tokens",
    "spaces_between_special_tokens",
)
_TGI_CHAT = ("logit_bias",)
_VLLM_TEXT = ("use_beam_search", "ignore_eos")


def _merge_parameters(model: Any, params: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Add fields of a model to the parameters of its base class."""
    return {**params, **{name: value for name in names if (value := getattr(model, name)) is not None}}


class ChatOCIModelDeploymentVLLM(ChatOCIModelDeployment):
    """Chat model on an OCI model deployment of vLLM, with vLLM's own options.

    Fields that are not `None` are sent with each request, as in langchain-oci. For setup, usage and streaming errors
    see `ChatOCIModelDeployment`.

    Instantiate:
        >>> chat = ChatOCIModelDeploymentVLLM(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", repetition_penalty=1.1
        ... )
    """

    temperature: float | None = 0.2
    """Sampling temperature."""
    top_p: float | None = 1.0
    """Probability mass of the tokens that are sampled from (nucleus sampling), from 0 to 1."""
    max_tokens: int | None = 256
    """Maximum number of tokens to generate."""
    n: int | None = 1
    """Number of choices to generate."""
    frequency_penalty: float | None = 0.0
    """Penalty for tokens in proportion to how often they already occur in the text."""
    presence_penalty: float | None = 0.0
    """Penalty for tokens that already occur in the text."""
    logit_bias: dict[str, float] | None = None
    """Bias added to the logits of tokens, by token id. Example: `{"1734": -100}`."""
    use_beam_search: bool | None = False
    """Whether to use beam search."""
    length_penalty: float | None = 1.0
    """Penalty for long sequences in beam search."""
    early_stopping: bool | None = False
    """Whether beam search stops once there are enough complete sequences."""
    top_k: int | None = -1
    """Number of most likely tokens that are sampled from; -1 means all."""
    min_p: float | None = 0.0
    """Minimum probability of a token, relative to the most likely one, from 0 to 1."""
    repetition_penalty: float | None = 1.0
    """Penalty for repeated tokens; values above 1 discourage repetition."""
    ignore_eos: bool | None = False
    """Whether to continue after the end-of-sequence token."""
    min_tokens: int | None = 0
    """Minimum number of tokens to generate."""
    stop_token_ids: list[int] | None = None
    """Ids of tokens that end the generation."""
    skip_special_tokens: bool | None = True
    """Whether to omit special tokens from the output."""
    spaces_between_special_tokens: bool | None = True
    """Whether to put spaces between special tokens in the output."""

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _VLLM_CHAT)


class ChatOCIModelDeploymentTGI(ChatOCIModelDeployment):
    """Chat model on an OCI model deployment of TGI.

    Fields that are not `None` are sent with each request, as in langchain-oci. For setup, usage and streaming errors
    see `ChatOCIModelDeployment`.

    Instantiate:
        >>> chat = ChatOCIModelDeploymentTGI(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", seed=42
        ... )
    """

    temperature: float | None = 0.2
    """Sampling temperature."""
    max_tokens: int | None = 256
    """Maximum number of tokens to generate."""
    n: int | None = 1
    """Number of choices to generate."""
    logit_bias: dict[str, float] | None = None
    """Bias added to the logits of tokens, by token id. Example: `{"1734": -100}`."""

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _TGI_CHAT)


class OCIModelDeploymentVLLM(OCIModelDeploymentLLM):
    """Completion model on an OCI model deployment of vLLM, with vLLM's own options.

    Fields that are not `None` are sent with each request, as in langchain-oci. For setup, usage and streaming errors
    see `OCIModelDeploymentLLM`.

    Instantiate:
        >>> llm = OCIModelDeploymentVLLM(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", n=3, best_of=3
        ... )
    """

    temperature: float | None = 0.2
    """Sampling temperature."""
    top_p: float | None = 0.75
    """Probability mass of the tokens that are sampled from (nucleus sampling), from 0 to 1; also accepted as `p`."""
    max_tokens: int | None = 256
    """Maximum number of tokens to generate."""
    n: int | None = 1
    """Number of choices to generate."""
    frequency_penalty: float | None = 0.0
    """Penalty for tokens in proportion to how often they already occur in the text."""
    presence_penalty: float | None = 0.0
    """Penalty for tokens that already occur in the text."""
    best_of: int | None = 1
    """Number of sequences to generate, of which the best are returned."""
    top_k: int | None = -1
    """Number of most likely tokens that are sampled from; -1 means all; also accepted as `k`."""
    use_beam_search: bool | None = False
    """Whether to use beam search."""
    ignore_eos: bool | None = False
    """Whether to continue after the end-of-sequence token."""

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _VLLM_TEXT)


class OCIModelDeploymentTGI(OCIModelDeploymentLLM):
    """Completion model on an OCI model deployment of TGI, with OpenAI's API or TGI's own.

    For setup, usage and streaming errors see `OCIModelDeploymentLLM`.

    Instantiate:
        >>> llm = OCIModelDeploymentTGI(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", api="/v1/completions"
        ... )
    """

    api: Literal["/generate", "/v1/completions"] = "/v1/completions"
    """Route of the requests: TGI's own `/generate` or OpenAI's `/v1/completions`. Defaults are sent to the API that
    accepts them."""
    temperature: float | None = 0.2
    """Sampling temperature."""
    top_p: float | None = 0.75
    """Probability mass of the tokens that are sampled from (nucleus sampling), from 0 to 1; also accepted as `p`."""
    max_tokens: int | None = 256
    """Maximum number of tokens to generate."""
    frequency_penalty: float | None = 0.0
    """Penalty for tokens in proportion to how often they already occur (`/v1/completions` only)."""
    top_k: int | None = -1
    """Number of most likely tokens that are sampled from; -1 means all (`/generate` only); also accepted as `k`."""
    best_of: int | None = 1
    """Number of sequences to generate, of which the best is returned (`/generate` only)."""
    repetition_penalty: float | None = None
    """Penalty for repeated tokens; values above 1 discourage repetition (`/v1/completions` only)."""
    suffix: str | None = None
    """Text that follows the generated text (`/v1/completions` only)."""
    do_sample: bool | None = True
    """Whether to sample tokens instead of greedy decoding (`/generate` only)."""
    watermark: bool | None = True
    """Whether to watermark the output (`/generate` only)."""
    return_full_text: bool | None = False
    """Whether the output begins with the prompt (`/generate` only)."""

    def _parameters(self) -> dict[str, Any]:
        """Return the fields that were set, and of the defaults those that the API accepts.

        Greedy decoding is requested without a temperature.
        """
        fields = {**super()._parameters(), **{name: getattr(self, name) for name in _FIELDS_BY_FORMAT}}
        unset = _FIELDS_BY_FORMAT.keys() - self.model_fields_set
        unsupported = {name for name in unset if self.api not in _FIELDS_BY_FORMAT[name]}
        if self.top_k is not None and self.top_k < 1:
            unsupported.add("top_k")
        if self.do_sample is False:
            unsupported.add("temperature")
        return {name: value for name, value in fields.items() if value is not None and name not in unsupported}

    def to_json(self) -> Any:
        """Serialize without the defaults, which the loaded model would send to either API."""
        serialized: dict[str, Any] = dict(super().to_json())
        unset = _FIELDS_BY_FORMAT.keys() - self.model_fields_set
        arguments = {name: value for name, value in serialized.get("kwargs", {}).items() if name not in unset}
        return {**serialized, "kwargs": arguments} if arguments else serialized

    def _default_dialect(self, model: str) -> str:
        return "tgi" if self.api == _GENERATE else super()._default_dialect(model)

    def _create_call(
        self, params: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, stream: bool
    ) -> Call:
        """Add the route to requests of TGI's own API, which has separate paths for streams and whole responses."""
        has_route = (
            self.route is not None or "route" in self.default_headers or OCIModelDeployment(self.endpoint).path_suffix
        )
        if self.api == _GENERATE and not has_route:
            headers = {"route": "/generate_stream" if stream else _GENERATE, **(headers or {})}
        return super()._create_call(params, headers, stream=stream)


_GENERATE, _COMPLETIONS = "/generate", "/v1/completions"

#: The APIs of TGI that accept a field, if it has its default.
_FIELDS_BY_FORMAT: Mapping[str, tuple[str, ...]] = {
    "frequency_penalty": (_COMPLETIONS,),
    "repetition_penalty": (_COMPLETIONS,),
    "suffix": (_COMPLETIONS,),
    "top_k": (_GENERATE,),
    "best_of": (_GENERATE,),
    "do_sample": (_GENERATE,),
    "watermark": (_GENERATE,),
    "return_full_text": (_GENERATE,),
}
