"""What a model server tells of itself: how many tokens a question has, and what the model can do."""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal, cast

from langchain_core.language_models import ModelProfile
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import PrivateAttr

from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._errors import map_errors
from mdstream_core import Call, ModelResponse, dialect
from mdstream_core.errors import InvalidRequest, MalformedStream, NotFound

#: The platforms that let such questions through to the model server.
_SUPPORTED_PROVIDERS = frozenset({"oci_model_deployment", "modelarts"})

#: Why nothing counts tokens on the other platforms.
_UNSUPPORTED_REASONS = {
    "sagemaker": "a SageMaker endpoint answers invocations only",
    "oci_generative_ai": "OCI Generative AI counts none before a request",
}

#: How it is told that a server has no such route, or one of another kind (llama.cpp's `/tokenize` counts nothing).
_NO_SUCH_ROUTE = (NotFound, InvalidRequest, MalformedStream)

#: Under which names servers tell how many tokens question and answer may have (vLLM and SGLang; gateways).
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_input_tokens")

#: What gateways and llama.cpp call what a model takes, and LangChain's name for it.
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
    """What can be asked of the server about itself. Mixed into models."""

    count_tokens: Literal["server", "approximate"] = "server"
    """Who counts tokens before a question is asked: the model server's `/tokenize` on OCI model deployments and
    ModelArts, or an estimate of about 4 characters a token. A server without such a route is asked once. A warning says
    once that tokens are estimated, unless `approximate` was chosen."""

    _no_count_reason: str | None = PrivateAttr(default=None)  # why the server does not count, once it is known
    _has_warned: bool | None = PrivateAttr(default=None)

    @property
    def _cached_attributes(self) -> set[str]:
        """Whether the server counts is found out anew, too, when a field was changed."""
        return super()._cached_attributes | {"_no_count_reason", "_has_warned"}

    def get_token_ids(self, text: str) -> list[int]:
        """The numbers of a text's tokens, from the model server.

        Raises:
            ValueError: There is no server that tells them.
        """
        custom = getattr(self, "custom_get_token_ids", None)
        if custom is not None:
            return list(custom(text))
        answer = self._tokenize({"prompt": text, "add_special_tokens": False})
        if answer is None or not isinstance(answer.get("tokens"), list):
            raise ValueError(
                "this endpoint tells no tokens; give custom_get_token_ids=, a function from a text to its token ids"
            )
        return list(answer["tokens"])

    def get_num_tokens(self, text: str) -> int:
        """How many tokens a text is: counted by the model server where it does that, else an estimate."""
        if getattr(self, "custom_get_token_ids", None) is not None:
            return len(self.get_token_ids(text))
        answer = self._tokenize({"prompt": text, "add_special_tokens": False})
        if answer:
            return int(answer["count"])
        self._warn_about_estimates()
        return approximate_tokens(text)

    def _tokenize(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `/tokenize` answers; `None` where there is no such route, or it is not to be asked."""
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
        """Say once that tokens are estimated, unless that was chosen."""
        if self.count_tokens == "approximate" or self._has_warned:
            return
        self._has_warned = True
        why = self._no_count_reason or _UNSUPPORTED_REASONS.get(self.provider_name, "this platform counts none")
        hint = "count_tokens='approximate' accepts the estimate, custom_get_token_ids= counts with a tokenizer"
        text = f"tokens are estimated, about 4 characters each: {why} (hint: {hint})"
        warnings.warn(text, RuntimeWarning, stacklevel=3)

    def _server_profile(self) -> ModelProfile:
        """What the server tells of the model; of a bare endpoint on OCI, which takes no GET, its window alone."""
        with map_errors():
            for name, params, read in self._profile_requests:
                with suppress(*_NO_SUCH_ROUTE):
                    return read(
                        _read_response(name, self.service.client.complete(self._server_info_call(name, params)))
                    )
        return ModelProfile()

    async def _aserver_profile(self) -> ModelProfile:
        """The same, for asynchronous code."""
        await self._prepare_service()
        with map_errors():
            for name, params, read in self._profile_requests:
                with suppress(*_NO_SUCH_ROUTE):
                    call = self._server_info_call(name, params)
                    return read(_read_response(name, await self.service.async_client.complete(call)))
        return ModelProfile()

    @property
    def _profile_requests(self) -> list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], ModelProfile]]]:
        """What to ask, one after the other, and how to read the answer."""
        if self.provider_name not in _SUPPORTED_PROVIDERS:
            return []
        return [("models", {}, partial(build_profile, self.model)), ("tokenize", {"prompt": "a"}, _context_window)]

    def _server_info_call(self, name: str, params: Mapping[str, Any]) -> Call:
        return self.service.call(dialect(name), {"model": self.model or None, **params}, stream=False)


def _read_response(name: str, response: ModelResponse) -> dict[str, Any]:
    return dict(response.choices[0].provider_data[name])


def build_profile(model: str, metadata: Mapping[str, Any]) -> ModelProfile:
    """What `/v1/models` tells of a model.

    Args:
        model: Its name; where the server has one model only, that is it.
        metadata: The server's answer.
    """
    entries = [one for one in metadata.get("data") or () if isinstance(one, dict)]
    named = [one for one in entries if one.get("id") == model] or (entries if len(entries) == 1 else [])
    found: dict[str, Any] = {}
    for entry in named:
        window = next((entry[name] for name in _CONTEXT_FIELDS if isinstance(entry.get(name), int)), None)
        found |= {"max_input_tokens": window} if window else {}
        found |= _matching(_INPUTS, _list_field(entry, "input_modalities"), entry.get("capabilities"))
        found |= _matching(_CAPABILITIES, entry.get("supported_parameters"), entry.get("capabilities"))
    return cast(ModelProfile, found)


def _list_field(entry: Mapping[str, Any], name: str) -> Any:
    architecture = entry.get("architecture")
    return entry.get(name) or (architecture.get(name) if isinstance(architecture, dict) else None)


def _matching(names: Mapping[str, str], *lists: Any) -> dict[str, bool]:
    words = {word for words in lists if isinstance(words, list) for word in words if isinstance(word, str)}
    return {ours: True for theirs, ours in names.items() if theirs in words}


def _context_window(answer: Mapping[str, Any]) -> ModelProfile:
    window = answer.get("max_model_len")
    return ModelProfile(max_input_tokens=window) if isinstance(window, int) else ModelProfile()


def approximate_tokens(text: str) -> int:
    """An estimate, of about 4 characters a token."""
    return count_tokens_approximately([HumanMessage(text)]) if text else 0
