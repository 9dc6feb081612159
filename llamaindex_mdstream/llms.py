"""The LLMs, one class for each platform."""

from typing import Any, ClassVar

from llama_index.core.llms.llm import LLM
from llama_index.core.llms.loading import RECOGNIZED_LLMS
from pydantic import Field

from llamaindex_mdstream._aliases import OCIGenerativeAIAliases
from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._platforms import (
    ModelArtsMixin,
    ModelKind,
    OCIGenerativeAIMixin,
    OCIModelDeploymentMixin,
    SageMakerMixin,
)
from mdstream_core import oci_dialect_name
from mdstream_core.options import ModelFamily


class OCIDataScience(OCIModelDeploymentMixin, MDStreamLLM):
    """A model deployed on OCI Data Science, with the names of `llama-index-llms-oci-data-science`.

    Args:
        endpoint: What you have of the deployment: its URL, its `/predict` or `/predictWithResponseStream` URL (with
            the path of an inference endpoint behind it or not), a private endpoint's URL, or the bare OCID.
        region: For a bare OCID, such as `us-ashburn-1`; default: the OCID's own.
        route: The container's path, if the deployment does not use the OpenAI ones; `""` sends none.
        auth: Who signs: an `oracle-ads` dict, a signer of the `oci` SDK or of `mdstream_core.auth`, an `httpx.Auth`.
            Default: what `auth_type` says, or else what is found (resource principal, config file).
        auth_type: `api_key`, `session_token`, `resource_principal`, `instance_principal`, `oke_workload`, `none` …
        auth_profile: The profile of the config file.
        auth_file_location: The config file.
        api_key: A bearer key, for a gateway in front of the deployment; default: `MDSTREAM_API_KEY`.

        model: The model's name, as the server knows it.
        dialect: What the container speaks, if it is not the OpenAI API: `tgi`, `lmi` …
        temperature: How freely tokens are chosen; `None` leaves it to the server.
        max_tokens: The most tokens of an answer; `None` leaves it to the server.
        top_p: The share of likely tokens to choose from.
        stop: Where an answer ends.
        timeout: The longest silence in seconds, or a `mdstream_core.Timeout`; by default the platform's own limits.
        max_retries: How often to ask again before the first token; 0 means one request.
        default_headers: Further headers of each request.
        additional_kwargs: Further parameters of each question; those of a call count more.
        extra_body: Merged into each question as it is; counts most.
        resume: Whether to go on with an answer of text that broke after it had begun (`True`: up to 3 times), on
            servers that continue an answer when asked to: vLLM and SGLang in a chat, any server in a completion. The
            joint is told in the last response's `additional_kwargs["resumed"]`.
        tool_call_parser: How the model writes tool calls, for a server that runs without a parser and passes them on
            as text: `hermes`, `mistral`, `llama3_json`, `pythonic`, as vLLM names them.
        reasoning_parser: The same for thoughts: `think` where an answer may begin with `<think>`, `open` where it
            begins inside of the thought.
        send_reasoning: Of which earlier responses the reasoning (their `ThinkingBlock`s) is sent back to the model:
            `never`; `tool_turns`, of those that called tools since the user's last message; or `always`. Default: by
            the model's family (DeepSeek V3.2 and V4, Kimi K2 Thinking and later: always; GLM 4.5 and later, MiniMax M2,
            gpt-oss: tool turns; others: never), and a server that refuses a request because reasoning is missing is
            asked again with it, and so from then on. Signed blocks of other providers are never sent.
        context_window: How many tokens question and answer may have.
        is_chat_model: `False` asks the completions route with prompts.
        is_function_calling_model: `False` keeps agents and programs from using tools.
        strict: Whether the server shall hold tool calls and schemas to the letter.
        should_use_structured_outputs: Whether structured predictions ask for JSON by schema instead of a tool call.
        http_client: An `httpx.Client` of your own; build it with `mdstream_core.transport.http_client()`, or HTTP
            trailers, in which OCI reports a broken stream, cannot be seen. Likewise `http_async_client`.
        verify: Of TLS: `False` trusts everybody, a string names a file of authorities.
        proxy: The proxy's URL. `trust_env`: whether `HTTPS_PROXY` and the like count.
        hooks: Told of each attempt, the first event and the end: `mdstream_core.hooks`.

    Raises:
        ValueError: A field is wrong; the message names it and shows no other.

    Example:
        >>> import httpx
        >>> llm = OCIDataScience(endpoint="http://127.0.0.1:8080/ocid1.x", auth=httpx.Auth(), temperature=0)
        >>> llm.metadata.model_name
        'odsc-llm'
    """

    model: str = Field(default="odsc-llm", description="The model's name, as the server knows it.")

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_model_deployment_llm"


class OCIGenAI(OCIGenerativeAIAliases, OCIGenerativeAIMixin, MDStreamLLM):
    """A model of OCI Generative AI, on demand or dedicated, with the names of `llama-index-llms-oci-genai`.

    The model's name decides which of the service's formats is spoken. With `is_chat_model=False` the older operation
    `generateText` is asked.

    Args:
        model: A model's name, or the OCID of a dedicated cluster's endpoint.
        compartment_id: OCID of the compartment that pays; needed but for `dialect="openai-chat"` with a bearer key.
        region: Such as `us-chicago-1`; default: the one of the profile, or of who signs.
        service_endpoint: The service's URL instead of the region's.
        family: Whose model answers under an OCID or a name of its own: `cohere`, `google`, `meta`, `openai` or
            `generic`; also accepted as `provider`. Default: what the model's name says.
        api_format: `GENERIC`, `COHERE` or `COHEREV2`, for models and endpoints whose name does not say it.
        dialect: `openai-chat` or `openai-completions` asks the service's OpenAI-compatible base.
        openai_base: That base's path.
        client: An `oci` client `GenerativeAiInferenceClient` as the source of the address, the signer and the timeout.
        auth: Who signs; this and `auth_type`, `auth_profile`, `auth_file_location` and `api_key` as for
            `OCIDataScience`.
        context_window: How many tokens question and answer may have; also accepted as `context_size`.

    The other fields are those of `OCIDataScience`.

    Raises:
        ValueError: A field is missing or wrong; the message names it and shows no other.

    Example:
        >>> compartment = "ocid1.compartment.oc1..aaaa"
        >>> llm = OCIGenAI(model="xai.grok-4", region="us-chicago-1", compartment_id=compartment)
        >>> llm.metadata.model_name
        'xai.grok-4'
    """

    family: ModelFamily | None = Field(
        default=None, description="Whose model answers under an OCID or a name of its own."
    )

    _aliases: ClassVar[dict[str, str]] = {**OCIGenerativeAIMixin._aliases, "provider": "family"}

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_genai_llm"

    def _default_dialect(self, model: str, kind: ModelKind) -> str:
        if kind == "chat":
            return oci_dialect_name(model, self.api_format, self.family)
        family = self.family or ("cohere" if model.lower().startswith("cohere.") else "")
        return "oci-generate-text-cohere" if family.lower() == "cohere" else "oci-generate-text-llama"

    def _dialect_name(self, body: dict[str, Any]) -> str:
        """Of Cohere's formats, a question with an image needs the second."""
        name = super()._dialect_name(body)
        said = self.dialect is not None or self.api_format is not None
        return "oci-cohere-v2" if name == "oci-cohere" and not said and _has_image(body) else name

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if self.family and self.dialect:
            raise ValueError("family and dialect both say what is spoken: drop one of them")
        oci_dialect_name(self.model, self.api_format, self.family)  # tells unknown names
        if not self.model:
            raise ValueError(
                "model is missing: give a model's name such as 'xai.grok-4', or a dedicated endpoint's OCID"
            )
        if not self.compartment_id and not (self.dialect or "").startswith("openai-"):
            raise ValueError("compartment_id is missing: the service bills a compartment, ocid1.compartment.oc1..…")


class SageMakerLLM(SageMakerMixin, MDStreamLLM):
    """A model on an Amazon SageMaker endpoint, with the names of `llama-index-llms-sagemaker-endpoint`.

    What the container speaks (vLLM, SGLang, TGI, LMI, JumpStart) is found out from its first words. Needs
    `pip install 'mdstream-llm[llamaindex,aws]'` for botocore's signer and its chain of credentials, which are looked
    for when the first question is asked.

    Args:
        endpoint_name: The endpoint's name.
        region_name: Default: the client's, the session's, `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's.
        endpoint_url: The runtime's URL, where it is not the one of botocore's rules.
        dialect: What the container speaks, if it cannot be found out: `openai-chat`, `tgi`, `lmi` …
        model: The model's name; not sent where it is empty, as most containers serve one model.
        inference_component_name: Of several components on the endpoint, the one to ask. Likewise `target_model`,
            `target_variant`, `target_container_hostname`.
        session_id: A stateful session.
        inference_id: Your id of the requests.
        custom_attributes: Up to 1,024 characters that reach the container, such as `accept_eula=true`.
        enable_explanations: For an endpoint with an explainer; not streamed.
        prefix_aware_id: A routing hint.
        endpoint_kwargs: The same under `InvokeEndpoint`'s names, `{"CustomAttributes": "accept_eula=true"}`.
        profile_name: A profile of `~/.aws`.
        aws_access_key_id: A key, with `aws_secret_access_key`, and `aws_session_token` if it is temporary.
        boto3_session: A `boto3.WebSocketSession` as the source of region and credentials.
        client: A boto3 client `sagemaker-runtime` as the source of region, endpoint and credentials.
        auth: A signer of `mdstream_core.auth.aws`, or an `httpx.Auth`.
        auth_type: `none` sends unsigned requests.
        additional_kwargs: Further parameters of each question; also accepted as `model_kwargs`.

    The other fields are those of `OCIDataScience`.

    Raises:
        ValueError: A field is missing or wrong; the message names it and shows no other.

    Example:
        >>> SageMakerLLM(endpoint_name="my-endpoint", region_name="us-east-1").metadata.model_name
        'my-endpoint'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_sagemaker_llm"

    def _observed_name(self) -> str:
        return self.model or self.endpoint_name


class ModelArts(ModelArtsMixin, MDStreamLLM):
    """A model on a Huawei ModelArts real-time service, over HTTPS or a WebSocket, or on MaaS.

    Args:
        endpoint: The service's address as the console shows it, or MaaS's base; with `wss://` it is asked over a
            WebSocket.
        route: The image's path behind the address, if it is not the OpenAI one.
        model: The model's name; MaaS needs it, and it is not sent where it is empty.
        token: An IAM token.
        user: With `password`, `domain` and `project`: fetches an IAM token, again before it expires, from
            `iam_endpoint` if that is given.
        ak: An access key, with `sk`, and `security_token` and `project_id` where there are any.
        app_code: The AppCode of App authentication.
        app_key: The key of App authentication, with `app_secret`.
        api_key: Of inference 2.0 or MaaS; default: `MDSTREAM_API_KEY`, where nothing else is given. With
            `bare_api_key` it is sent without the word Bearer.
        auth: A signer of `mdstream_core.auth.huawei`, or an `httpx.Auth`. Without any of these the environment and
            the credentials file of Huawei's SDK are searched.
        auth_type: `token`, `password`, `aksk`, `appcode`, `app`, `api_key` or `none`.

    The other fields are those of `OCIDataScience`.

    Raises:
        ValueError: A field is missing or wrong; the message names it and shows no other.

    Example:
        >>> llm = ModelArts(endpoint="https://api.modelarts-maas.com/v1", model="DeepSeek-V3", api_key="...")
        >>> llm.metadata.model_name
        'DeepSeek-V3'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_modelarts_llm"


def _has_image(body: dict[str, Any]) -> bool:
    """Whether there is an image in the conversation."""
    contents = [message.get("content") for message in body["messages"]]
    return any(part.get("type") == "image_url" for content in contents if isinstance(content, list) for part in content)


def _register(*kinds: type[LLM]) -> None:
    """Make `llama_index.core.llms.loading.load_llm` know them."""
    RECOGNIZED_LLMS.update({kind.class_name(): kind for kind in kinds})


_register(OCIDataScience, OCIGenAI, SageMakerLLM, ModelArts)
