"""Models on OCI model deployments with the options and defaults of one server, vLLM or TGI.

They are `ChatOCIModelDeployment` and `OCIModelDeploymentLLM` with more fields, for code that comes from langchain-oci
or langchain-community: there each field is sent, its default too, and so it is here. `None` is not sent.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from langchain_mdstream._registration import register_loadable
from langchain_mdstream.chat_models import ChatOCIModelDeployment
from langchain_mdstream.llms import OCIModelDeploymentLLM
from mdstream_core import Call, OCIModelDeployment

#: Fields that go into the question beside those of every model.
_VLLM_CHAT = (
    "logit_bias",
    "best_of",
    "use_beam_search",
    "length_penalty",
    "early_stopping",
    "top_k",
    "min_p",
    "repetition_penalty",
    "ignore_eos",
    "min_tokens",
    "stop_token_ids",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "tool_choice",
    "chat_template",
)
_TGI_CHAT = ("logit_bias",)
_VLLM_TEXT = (
    "best_of",
    "top_k",
    "use_beam_search",
    "ignore_eos",
)


def _merge_parameters(model: Any, known: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What every model sends, and the further fields of this one."""
    return {**known, **{name: value for name in names if (value := getattr(model, name)) is not None}}


class ChatOCIModelDeploymentVLLM(ChatOCIModelDeployment):
    """A chat model of vLLM on an OCI model deployment, with vLLM's own options.

    Example:
        >>> chat = ChatOCIModelDeploymentVLLM(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", repetition_penalty=1.1
        ... )
    """

    temperature: float | None = 0.2
    """Randomness."""
    top_p: float | None = 1.0
    """Nucleus sampling."""
    max_tokens: int | None = 256
    """The longest answer, in tokens."""
    n: int | None = 1
    """How many answers to give."""
    frequency_penalty: float | None = 0.0
    """Against repeating what was said often."""
    presence_penalty: float | None = 0.0
    """Against repeating what was mentioned."""
    logit_bias: dict[str, float] | None = None
    """How much more likely a token is made, by its id."""
    best_of: int | None = None
    """Of how many answers the best is given."""
    use_beam_search: bool | None = False
    """Whether to search by beams."""
    length_penalty: float | None = 1.0
    """Against long answers, of beams."""
    early_stopping: bool | None = False
    """When the search by beams is over."""
    top_k: int | None = -1
    """Of how many tokens the next one is drawn; -1 is all."""
    min_p: float | None = 0.0
    """The least probability of a token, as a part of the best one's."""
    repetition_penalty: float | None = 1.0
    """Against repeating; above 1 is less."""
    ignore_eos: bool | None = False
    """Whether to go on behind the token that ends an answer."""
    min_tokens: int | None = 0
    """The shortest answer, in tokens."""
    stop_token_ids: list[int] | None = None
    """Ids of tokens that end the answer."""
    skip_special_tokens: bool | None = True
    """Whether special tokens are left out of the text."""
    spaces_between_special_tokens: bool | None = True
    """Whether there are spaces between those that are not."""
    tool_choice: str | None = None
    """Which tool to call, where a call says nothing of it."""
    chat_template: str | None = None
    """A Jinja template in place of the model's own."""

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _VLLM_CHAT)


class ChatOCIModelDeploymentTGI(ChatOCIModelDeployment):
    """A chat model of TGI on an OCI model deployment.

    Example:
        >>> chat = ChatOCIModelDeploymentTGI(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", seed=42
        ... )
    """

    temperature: float | None = 0.2
    """Randomness."""
    max_tokens: int | None = 256
    """The longest answer, in tokens."""
    n: int | None = 1
    """How many answers to give."""
    logit_bias: dict[str, float] | None = None
    """How much more likely a token is made, by its id."""

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _TGI_CHAT)


class OCIModelDeploymentVLLM(OCIModelDeploymentLLM):
    """A completion model of vLLM on an OCI model deployment, with vLLM's own options.

    Example:
        >>> llm = OCIModelDeploymentVLLM(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", n=3, best_of=3
        ... )
    """

    temperature: float | None = 0.2
    """Randomness."""
    top_p: float | None = 0.75
    """Nucleus sampling; also accepted as `p`."""
    max_tokens: int | None = 256
    """The longest answer, in tokens."""
    n: int | None = 1
    """How many answers to give."""
    frequency_penalty: float | None = 0.0
    """Against repeating what was said often."""
    presence_penalty: float | None = 0.0
    """Against repeating what was mentioned."""
    best_of: int | None = 1
    """Of how many answers the best is given."""
    top_k: int | None = -1
    """Of how many tokens the next one is drawn; -1 is all; also accepted as `k`."""
    use_beam_search: bool | None = False
    """Whether to search by beams."""
    ignore_eos: bool | None = False
    """Whether to go on behind the token that ends an answer."""

    aliases: ClassVar[Mapping[str, str]] = {**OCIModelDeploymentLLM.aliases, "p": "top_p", "k": "top_k"}

    def _parameters(self) -> dict[str, Any]:
        return _merge_parameters(self, super()._parameters(), _VLLM_TEXT)


class OCIModelDeploymentTGI(OCIModelDeploymentLLM):
    """A completion model of TGI on an OCI model deployment, by OpenAI's route or TGI's own.

    Example:
        >>> llm = OCIModelDeploymentTGI(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", api="/v1/completions"
        ... )
    """

    api: Literal["/generate", "/v1/completions"] = "/v1/completions"
    """Which of TGI's two formats is spoken. Of the defaults each sends those that it knows."""
    temperature: float | None = 0.2
    """Randomness."""
    top_p: float | None = 0.75
    """Nucleus sampling; also accepted as `p`."""
    max_tokens: int | None = 256
    """The longest answer, in tokens."""
    frequency_penalty: float | None = 0.0
    """Against repeating what was said often; of `/v1/completions`."""
    top_k: int | None = -1
    """Of how many tokens the next one is drawn, -1 is all; of `/generate`; also accepted as `k`."""
    best_of: int | None = 1
    """Of how many answers the best is given; of `/generate`."""
    repetition_penalty: float | None = None
    """Against repeating; above 1 is less; of `/v1/completions`."""
    suffix: str | None = None
    """What comes behind the answer; of `/v1/completions`."""
    do_sample: bool | None = True
    """Whether to draw tokens at all; of `/generate`."""
    watermark: bool | None = True
    """Whether the answer is watermarked; of `/generate`."""
    return_full_text: bool | None = False
    """Whether the prompt stands before the answer; of `/generate`."""

    aliases: ClassVar[Mapping[str, str]] = {**OCIModelDeploymentLLM.aliases, "p": "top_p", "k": "top_k"}

    def _parameters(self) -> dict[str, Any]:
        """What was given, and of the defaults those that the format knows. Greedy is without a temperature."""
        fields = {**super()._parameters(), **{name: getattr(self, name) for name in _FIELDS_BY_FORMAT}}
        unsaid = _FIELDS_BY_FORMAT.keys() - self.model_fields_set
        foreign = {name for name in unsaid if self.api not in _FIELDS_BY_FORMAT[name]}
        if self.top_k is not None and self.top_k < 1:
            foreign.add("top_k")
        if self.do_sample is False:
            foreign.add("temperature")
        return {name: value for name, value in fields.items() if value is not None and name not in foreign}

    def to_json(self) -> Any:
        """Serialize without defaults that were not set: a loaded model would send them to every format."""
        serialized: dict[str, Any] = dict(super().to_json())
        unsaid = _FIELDS_BY_FORMAT.keys() - self.model_fields_set
        given = {name: value for name, value in serialized.get("kwargs", {}).items() if name not in unsaid}
        return {**serialized, "kwargs": given} if given else serialized

    def _default_dialect(self, model: str) -> str:
        return "tgi" if self.api == _GENERATE else super()._default_dialect(model)

    def _create_call(
        self, params: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, stream: bool
    ) -> Call:
        """TGI's own format has a path for each way to answer; a bare endpoint is told which."""
        chosen = (
            self.route is not None or "route" in self.default_headers or OCIModelDeployment(self.endpoint).path_suffix
        )
        if self.api == _GENERATE and not chosen:
            headers = {"route": "/generate_stream" if stream else _GENERATE, **(headers or {})}
        return super()._create_call(params, headers, stream=stream)


_GENERATE, _COMPLETIONS = "/generate", "/v1/completions"

#: To which of TGI's formats the default of a field belongs.
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

register_loadable(
    ChatOCIModelDeploymentVLLM,
    ChatOCIModelDeploymentTGI,
    OCIModelDeploymentVLLM,
    OCIModelDeploymentTGI,
)
