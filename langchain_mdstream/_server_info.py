"""Token counts and model profiles, as reported by the model server."""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.language_models import ModelProfile
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import PrivateAttr

import mdstream_core
from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._errors import map_errors
from mdstream_core.errors import InvalidRequest, MalformedStream, NotFound

if TYPE_CHECKING:
    from mdstream_core import Call, ModelResponse

#: The platforms that forward such requests to the model server.
_SUPPORTED_PROVIDERS = frozenset({"oci_model_deployment", "modelarts"})

#: Why the other platforms cannot count tokens.
_UNSUPPORTED_REASONS = {
    "sagemaker": "a SageMaker endpoint accepts invocations only",
    "oci_genai": "OCI Generative AI has no operation that counts them",
}

#: Errors of a server without such a route, or with one of another kind (llama.cpp's `/tokenize` has no count).
_NO_SUCH_ROUTE = (NotFound, InvalidRequest, MalformedStream)

#: Names of the context window, prompt and response together, in tokens (vLLM and SGLang; gateways).
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_input_tokens")

#: Input modalities as gateways and llama.cpp name them, and LangChain's names.
_INPUTS = {
    "image": "image_inputs",
    "multimodal": "image_inputs",
    "vision": "image_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
    "file": "pdf_inputs",
}
_CAPABILITIES = {
    "tools": "tool_calling",
    "tool_choice": "tool_choice",
    "structured_outputs": "structured_output",
    "reasoning": "reasoning_output",
}


class ServerInfoMixin(ConnectionFields):
    """Token counting and model profiles by requests to the model server."""

    count_tokens: Literal["server", "approximate"] = "server"
    """How `get_num_tokens` and related methods count: `server` uses the model server's `/tokenize` (OCI model
    deployments and ModelArts), `approximate` estimates 4 characters per token. Without such a route `server` falls back
    to the estimate, with one warning."""

    _no_count_reason: str | None = PrivateAttr(default=None)  # why the server cannot count, once known
    _has_warned: bool | None = PrivateAttr(default=None)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, from the model server or `custom_get_token_ids`.

        Raises:
            ValueError: The endpoint has no such route.
        """
        custom = getattr(self, "custom_get_token_ids", None)
        if custom is not None:
            return list(custom(text))
        response = self._tokenize({"prompt": text, "add_special_tokens": False})
        if response is None or not isinstance(response.get("tokens"), list):
            raise ValueError(
                "this endpoint returns no token ids (hint: set custom_get_token_ids= to a function from text to ids)"
            )
        return list(response["tokens"])

    def get_num_tokens(self, text: str) -> int:
        """Return the number of tokens of a text: counted by the model server where possible, else estimated."""
        if getattr(self, "custom_get_token_ids", None) is not None:
            return len(self.get_token_ids(text))
        response = self._tokenize({"prompt": text, "add_special_tokens": False})
        if response:
            return int(response["count"])
        self._warn_about_estimates()
        return approximate_tokens(text)

    def _tokenize(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Send a request to `/tokenize`; `None` if there is no such route or it is disabled."""
        if (
            self.provider_name not in _SUPPORTED_PROVIDERS
            or self.count_tokens == "approximate"
            or self._no_count_reason is not None
        ):
            return None
        try:
            with map_errors():
                return _read_response(
                    "tokenize", self.service.client.complete(self._server_info_call("tokenize", params))
                )
        except _NO_SUCH_ROUTE as error:
            self._no_count_reason = str(error)
            return None

    def _warn_about_estimates(self) -> None:
        """Warn once that token counts are estimates, unless `count_tokens` is `approximate`."""
        if self.count_tokens == "approximate" or self._has_warned:
            return
        self._has_warned = True
        why = self._no_count_reason or _UNSUPPORTED_REASONS.get(self.provider_name, "this platform cannot count them")
        hint = "count_tokens='approximate' accepts the estimate, custom_get_token_ids= counts with a tokenizer"
        text = f"tokens are estimated, about 4 characters each: {why} (hint: {hint})"
        warnings.warn(text, RuntimeWarning, stacklevel=3)

    def _server_profile(self) -> ModelProfile:
        """Request the model's profile. A bare endpoint on OCI accepts no GET and reports its context window only."""
        with map_errors():
            for name, params, read in self._profile_requests:
                with suppress(*_NO_SUCH_ROUTE):
                    return read(
                        _read_response(name, self.service.client.complete(self._server_info_call(name, params)))
                    )
        return ModelProfile()

    async def _aserver_profile(self) -> ModelProfile:
        """Request the model's profile asynchronously."""
        await self._prepare_service()
        with map_errors():
            for name, params, read in self._profile_requests:
                with suppress(*_NO_SUCH_ROUTE):
                    call = self._server_info_call(name, params)
                    return read(_read_response(name, await self.service.async_client.complete(call)))
        return ModelProfile()

    @property
    def _profile_requests(self) -> list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], ModelProfile]]]:
        """The requests to try in turn, each with the function that reads its response."""
        if self.provider_name not in _SUPPORTED_PROVIDERS:
            return []
        return [("models", {}, partial(build_profile, self.model)), ("tokenize", {"prompt": "a"}, _context_window)]

    def _server_info_call(self, name: str, params: Mapping[str, Any]) -> "Call":
        return self.service.call(mdstream_core.dialect(name), {"model": self.model or None, **params}, stream=False)


def _read_response(name: str, response: "ModelResponse") -> dict[str, Any]:
    return dict(response.choices[0].provider_data[name])


def build_profile(model: str, metadata: Mapping[str, Any]) -> ModelProfile:
    """Build a profile from the response of `/v1/models`.

    Args:
        model: The model's name. It is ignored if the server has only one model.
        metadata: The response.
    """
    entries = [entry for entry in metadata.get("data") or () if isinstance(entry, dict)]
    matches = [entry for entry in entries if entry.get("id") == model] or (entries if len(entries) == 1 else [])
    profile: dict[str, Any] = {}
    for entry in matches:
        window = next((entry[name] for name in _CONTEXT_FIELDS if isinstance(entry.get(name), int)), None)
        profile |= {"max_input_tokens": window} if window else {}
        profile |= _matching(_INPUTS, _list_field(entry, "input_modalities"), entry.get("capabilities"))
        profile |= _matching(_CAPABILITIES, entry.get("supported_parameters"), entry.get("capabilities"))
    return cast(ModelProfile, profile)


def _list_field(entry: Mapping[str, Any], name: str) -> Any:
    architecture = entry.get("architecture")
    return entry.get(name) or (architecture.get(name) if isinstance(architecture, dict) else None)


def _matching(names: Mapping[str, str], *lists: Any) -> dict[str, bool]:
    reported = {item for items in lists if isinstance(items, list) for item in items if isinstance(item, str)}
    return {field: True for name, field in names.items() if name in reported}


def _context_window(response: Mapping[str, Any]) -> ModelProfile:
    window = response.get("max_model_len")
    return ModelProfile(max_input_tokens=window) if isinstance(window, int) else ModelProfile()


def approximate_tokens(text: str) -> int:
    """Estimate the number of tokens of a text, at about 4 characters each."""
    return count_tokens_approximately([HumanMessage(text)]) if text else 0
