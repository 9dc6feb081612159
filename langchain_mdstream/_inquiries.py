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

from langchain_mdstream._endpoint import Endpoint
from langchain_mdstream._errors import langchain_errors
from mdstream_core import Call, Reply, dialect
from mdstream_core.errors import InvalidRequest, MalformedStream, NotFound

#: The platforms that let such questions through to the model server.
_TELLING = frozenset({"oci_model_deployment", "modelarts"})

#: Why nothing counts tokens on the other platforms.
_UNCOUNTED = {
    "sagemaker": "a SageMaker endpoint answers invocations only",
    "oci_generative_ai": "OCI Generative AI counts none before a request",
}

#: How it is told that a server has no such route, or one of another kind (llama.cpp's `/tokenize` counts nothing).
_NO_SUCH_ROUTE = (NotFound, InvalidRequest, MalformedStream)

#: Under which names servers tell how many tokens question and answer may have (vLLM and SGLang; gateways).
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_input_tokens")

#: What gateways and llama.cpp call what a model takes, and LangChain's name for it.
_INPUTS = {
    "image": "image_inputs",
    "multimodal": "image_inputs",
    "vision": "image_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
    "file": "pdf_inputs",
}
_ABILITIES = {
    "tools": "tool_calling",
    "tool_choice": "tool_choice",
    "structured_outputs": "structured_output",
    "reasoning": "reasoning_output",
}


class Telling(Endpoint):
    """What can be asked of the server about itself. Mixed into models."""

    count_tokens: Literal["server", "approximate"] = "server"
    """Who counts tokens before a question is asked: the model server's `/tokenize` on OCI model deployments and
    ModelArts, or an estimate of about 4 characters a token. A server without such a route is asked once. A warning says
    once that tokens are estimated, unless `approximate` was chosen."""

    _uncounted: str | None = PrivateAttr(default=None)  # why the server does not count, once it is known
    _has_warned: bool | None = PrivateAttr(default=None)

    @property
    def _built(self) -> set[str]:
        """Whether the server counts is found out anew, too, when a field was changed."""
        return super()._built | {"_uncounted", "_has_warned"}

    def get_token_ids(self, text: str) -> list[int]:
        """The numbers of a text's tokens, from the model server.

        Raises:
            ValueError: There is no server that tells them.
        """
        custom = getattr(self, "custom_get_token_ids", None)
        if custom is not None:
            return list(custom(text))
        answer = self._tokenized({"prompt": text, "add_special_tokens": False})
        if answer is None or not isinstance(answer.get("tokens"), list):
            raise ValueError(
                "this endpoint tells no tokens; give custom_get_token_ids=, a function from a text to its token ids"
            )
        return list(answer["tokens"])

    def get_num_tokens(self, text: str) -> int:
        """How many tokens a text is: counted by the model server where it does that, else an estimate."""
        if getattr(self, "custom_get_token_ids", None) is not None:
            return len(self.get_token_ids(text))
        answer = self._tokenized({"prompt": text, "add_special_tokens": False})
        if answer:
            return int(answer["count"])
        self._warn_of_estimates()
        return approximated(text)

    def _tokenized(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `/tokenize` answers; `None` where there is no such route, or it is not to be asked."""
        if self.provider not in _TELLING or self.count_tokens == "approximate" or self._uncounted is not None:
            return None
        try:
            with langchain_errors():
                return _told("tokenize", self.service.client.complete(self._inquiry("tokenize", question)))
        except _NO_SUCH_ROUTE as error:
            self._uncounted = str(error)
            return None

    def _warn_of_estimates(self) -> None:
        """Say once that tokens are estimated, unless that was chosen."""
        if self.count_tokens == "approximate" or self._has_warned:
            return
        self._has_warned = True
        why = self._uncounted or _UNCOUNTED.get(self.provider, "this platform counts none")
        hint = "count_tokens='approximate' accepts the estimate, custom_get_token_ids= counts with a tokenizer"
        text = f"tokens are estimated, about 4 characters each: {why} (hint: {hint})"
        warnings.warn(text, RuntimeWarning, stacklevel=3)

    def _server_profile(self) -> ModelProfile:
        """What the server tells of the model; of a bare endpoint on OCI, which takes no GET, its window alone."""
        with langchain_errors():
            for name, question, read in self._about:
                with suppress(*_NO_SUCH_ROUTE):
                    return read(_told(name, self.service.client.complete(self._inquiry(name, question))))
        return ModelProfile()

    async def _aserver_profile(self) -> ModelProfile:
        """The same, for asynchronous code."""
        await self._ready()
        with langchain_errors():
            for name, question, read in self._about:
                with suppress(*_NO_SUCH_ROUTE):
                    call = self._inquiry(name, question)
                    return read(_told(name, await self.service.async_client.complete(call)))
        return ModelProfile()

    @property
    def _about(self) -> list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], ModelProfile]]]:
        """What to ask, one after the other, and how to read the answer."""
        if self.provider not in _TELLING:
            return []
        return [("models", {}, partial(profile_of, self.model)), ("tokenize", {"prompt": "a"}, _window)]

    def _inquiry(self, name: str, question: Mapping[str, Any]) -> Call:
        return self.service.call(dialect(name), {"model": self.model or None, **question}, stream=False)


def _told(name: str, reply: Reply) -> dict[str, Any]:
    return dict(reply.choices[0].extras[name])


def profile_of(model: str, served: Mapping[str, Any]) -> ModelProfile:
    """What `/v1/models` tells of a model.

    Args:
        model: Its name; where the server has one model only, that is it.
        served: The server's answer.
    """
    entries = [one for one in served.get("data") or () if isinstance(one, dict)]
    named = [one for one in entries if one.get("id") == model] or (entries if len(entries) == 1 else [])
    found: dict[str, Any] = {}
    for entry in named:
        window = next((entry[name] for name in _WINDOWS if isinstance(entry.get(name), int)), None)
        found |= {"max_input_tokens": window} if window else {}
        found |= _those(_INPUTS, _listed(entry, "input_modalities"), entry.get("capabilities"))
        found |= _those(_ABILITIES, entry.get("supported_parameters"), entry.get("capabilities"))
    return cast(ModelProfile, found)


def _listed(entry: Mapping[str, Any], name: str) -> Any:
    architecture = entry.get("architecture")
    return entry.get(name) or (architecture.get(name) if isinstance(architecture, dict) else None)


def _those(names: Mapping[str, str], *lists: Any) -> dict[str, bool]:
    words = {word for words in lists if isinstance(words, list) for word in words if isinstance(word, str)}
    return {ours: True for theirs, ours in names.items() if theirs in words}


def _window(answer: Mapping[str, Any]) -> ModelProfile:
    window = answer.get("max_model_len")
    return ModelProfile(max_input_tokens=window) if isinstance(window, int) else ModelProfile()


def approximated(text: str) -> int:
    """An estimate, of about 4 characters a token."""
    return count_tokens_approximately([HumanMessage(text)]) if text else 0
