"""Finds out what a container speaks: asks as most do, and goes by the first payload that comes back."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._native import NativeDecoder
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._parameter_fallback import relaxed_inside
from mdstream_core.dialects._spoken import NATIVE, misfit, spoken
from mdstream_core.dialects.openai import OpenAIChat
from mdstream_core.dialects.tgi import TGI
from mdstream_core.errors import ContextOverflow, InvalidRequest, MalformedStream, MDStreamError, ServiceError, words_of
from mdstream_core.events import Event

#: How servers say that they want `inputs` where messages were sent (serde, pydantic, LMI's input parser).
_WANTS_INPUTS = re.compile(
    r"(missing|required|expected|must (have|contain)|no)\b.{0,40}\binputs\b"
    r"|\binputs\b.{0,60}\b(missing|required|not found|not provided|field required)",
    re.IGNORECASE | re.DOTALL,
)


class AutoDecoder:
    """Reads the first payload's dialect, then the answer in it."""

    def __init__(self) -> None:
        self._inner: Decoder | None = None
        #: The dialect that was found out.
        self.spoken: str | None = None
        self._openai = OpenAIDecoder()  # errors, [DONE] and an empty answer are spelled the same in all of them

    @property
    def broken(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return (self._inner or self._openai).broken

    @property
    def over(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).over

    @property
    def finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).finished

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        if self._inner is None:
            try:
                self._inner = self._chosen(data, event)
            except RecursionError as error:
                shown = data[:300].decode("utf-8", "replace")
                raise MalformedStream(f"a payload that is nested too deeply: {shown}", raw=shown) from error
        if self._inner is None:
            return self._openai.feed(data, event)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to find out
        return self._inner.feed(data, event)

    def end(self) -> list[Event]:
        """Check that the answer is whole."""
        return (self._inner or self._openai).end()

    def held(self) -> list[Event]:
        """What has come and was not told yet."""
        return self._openai.held()

    def _chosen(self, data: bytes, event: str) -> Decoder | None:
        try:
            payload = _json.loads(data)
        except ValueError:
            return None
        name = self.spoken = spoken(payload)
        if name in NATIVE:
            return NativeDecoder(name or "auto")
        if name:
            return self._openai
        if event != "error" and payload not in ({}, []) and words_of(payload) is None:
            text = data[:2000].decode("utf-8", "replace")
            raise misfit("auto", payload, text if len(text) <= 300 else text[:300] + "…")
        return None


class Auto(OpenAIChat):
    """Asks in the OpenAI chat shape (or with `prompt`); a container that wants `inputs` is asked once more with them.

    That second question is written without the model's chat template, so a warning says so.
    """

    name = "auto"
    route = "/invocations"

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without what is refused; or as `inputs`, if the container says that these are missing."""
        if "inputs" in body and "parameters" in body:
            return relaxed_inside(body, error)
        return super().simpler(body, error) or _as_inputs(body, error)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return AutoDecoder()


def _as_inputs(body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    said = f"{error} {error.raw or ''}"
    if not isinstance(error, ServiceError) or isinstance(error, ContextOverflow) or "inputs" in body:
        return None
    if body.get("tools") or not _WANTS_INPUTS.search(said):
        return None
    try:
        native = TGI().body(body, stream=bool(body.get("stream")))
    except InvalidRequest:  # it has parts that this format has no place for: the first refusal stands
        return None
    warnings.warn(
        "the container takes no messages but `inputs`: they are sent as plain text, without the model's chat template; "
        "set dialect='tgi' or dialect='lmi' to ask so at once",
        RuntimeWarning,
        stacklevel=2,
    )
    return native
