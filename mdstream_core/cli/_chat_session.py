"""The requests of `mdstream chat`."""

from collections.abc import Iterable
from typing import Any

from mdstream_core.cli._platform_names import SAGEMAKER
from mdstream_core.cli._target import Target, model_name, redact_errors
from mdstream_core.display import View, show
from mdstream_core.events import Event, ModelResponse
from mdstream_core.service import Service

Messages = list[dict[str, Any]]

_NO_MODEL_HINT = "the server lists no models, so the request named none; set --model"


class ChatSession:
    """Sends messages to a model and displays the responses.

    Attributes:
        model: The model's name, or an empty text if the requests name none.
        target: The endpoint, with the options of the command line.
    """

    def __init__(self, target: Target, service: Service) -> None:
        self.model = model_name(target)
        self.target = target
        self._service = service

    def set_model(self, name: str) -> None:
        """Use another model from the next request on. On `oci-genai` it also selects the dialect."""
        self.model = self.target.options.model = name

    def initial_messages(self) -> Messages:
        """Return the system message, if there is one."""
        system = self.target.options.system
        return [{"role": "system", "content": system}] if system else []

    def send(self, messages: Messages, view: View) -> ModelResponse:
        """Send the messages and display the response. An error is displayed and raised."""
        options = self.target.options
        params = {"model": self.model or None, "max_tokens": options.max_tokens, "temperature": options.temperature}
        given = {name: value for name, value in params.items() if value is not None}
        call = self._service.call(self.target.chat_dialect, {"messages": messages, **self.target.chat_params, **given})
        hint = "" if self.model or self.target.endpoint_info.platform == SAGEMAKER else _NO_MODEL_HINT
        events: Iterable[Event] = redact_errors(self._service.client.stream(call), options, hint)
        return show(events, view=view)
