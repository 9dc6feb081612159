"""The LLMs, one class for each platform."""

from typing import Any

from llama_index.core.llms.llm import LLM
from llama_index.core.llms.loading import RECOGNIZED_LLMS
from pydantic import Field

from llamaindex_mdstream._base import MDStreamLLM
from mdstream_core import OCIModelDeployment, Platform
from mdstream_core.auth import oci


class OCIDataScience(MDStreamLLM):
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
        temperature: How freely tokens are chosen; `None` leaves it to the server.
        max_tokens: The most tokens of an answer; `None` leaves it to the server.
        top_p: The share of likely tokens to choose from.
        stop: Where an answer ends.
        timeout: The longest silence in seconds, or a `mdstream_core.Timeout`.
        max_retries: How often to ask again before the first token; 0 means one request.
        default_headers: Further headers of each request.
        additional_kwargs: Further parameters of each question; those of a call count more.
        extra_body: Merged into each question as it is; counts most.
        context_window: How many tokens question and answer may have.
        is_chat_model: `False` asks the completions route with prompts.
        is_function_calling_model: `False` keeps agents and programs from using tools.
        strict: Whether the server shall hold tool calls and schemas to the letter.
        should_use_structured_outputs: Whether structured predictions ask for JSON by schema instead of a tool call.
        http_client: An `httpx.Client` of your own; build it with `mdstream_core.transport.http_client()`, or HTTP
            trailers, in which OCI reports a broken stream, cannot be seen. Likewise `http_async_client`.
        verify: Of TLS: `False` trusts everybody, a string names a file of authorities.
        proxy: The proxy's URL. `trust_env`: whether `HTTPS_PROXY` and the like count.
        hooks: Told of each attempt, the first event and the end: `mdstream_core.tracing`.

    Raises:
        ValueError: A field is wrong; the message names it and shows no other.

    Example:
        >>> import httpx
        >>> llm = OCIDataScience(endpoint="http://127.0.0.1:8080/ocid1.x", auth=httpx.Auth(), temperature=0)
        >>> llm.metadata.model_name
        'odsc-llm'
    """

    endpoint: str = Field(description="The deployment's URL or OCID.")
    region: str | None = Field(default=None, description="The region of a bare OCID.")
    route: str | None = Field(default=None, description="The container's path.")
    auth_type: str | None = Field(default=None, description="Which principal signs.")
    auth_profile: str | None = Field(default=None, description="The profile of the config file.")
    auth_file_location: str | None = Field(default=None, description="The config file.")

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_model_deployment_llm"

    def _platform(self) -> Platform:
        return OCIModelDeployment(self.endpoint, self.region, self.route)

    def _auth(self) -> Any:
        return oci.signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=self._bearer() if self.api_key or self.auth_type in {None, "bearer"} else None,
        )

    def _origin(self) -> tuple[Any, ...]:
        who = (self.auth_type, self.auth_profile, self.auth_file_location)
        return (self.endpoint, self.region, self.route, *who)


def _register(*kinds: type[LLM]) -> None:
    """Make `llama_index.core.llms.loading.load_llm` know them."""
    RECOGNIZED_LLMS.update({kind.class_name(): kind for kind in kinds})


_register(OCIDataScience)
