"""`mdstream chat`: one prompt, or an interactive conversation."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from mdstream_core._terminal import Terminal, json_text, strip_control_characters
from mdstream_core.cli._options import EXIT_FAILURE, EXIT_INTERRUPTED, Options, UsageError
from mdstream_core.cli._platform_names import SAGEMAKER
from mdstream_core.cli._target import Target, model_name, redact_errors
from mdstream_core.display import Summary, View, create_view, show
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, ResponseAccumulator
from mdstream_core.service import Service

Messages = list[dict[str, Any]]

_NO_MODEL_HINT = "the server lists no models, so the request named none; set --model"


class _SilentView:
    """A view for `--json`: displays nothing, and accumulates the response and its summary."""

    def __init__(self) -> None:
        self.summary = Summary(0.0)
        self.received = ResponseAccumulator()

    def start(self, now: Callable[[], Summary]) -> None:
        """Do nothing."""

    def show_event(self, event: Event) -> None:
        """Accumulate the event."""
        self.received.add(event)

    def finish(self, summary: Summary) -> None:
        """Store the summary of a complete response."""
        self.summary = summary

    def fail(self, error: Exception, summary: Summary) -> None:
        """Store the summary of a failed response."""
        self.summary = summary

    def cancel(self, summary: Summary) -> None:
        """Store the summary of an interrupted response."""
        self.summary = summary


class _ChatSession:
    """Sends messages to a model and displays the responses."""

    def __init__(self, target: Target, service: Service) -> None:
        self.model = model_name(target)
        self._target = target
        self._service = service
        options = target.options
        params = {"model": self.model or None, "max_tokens": options.max_tokens, "temperature": options.temperature}
        self._params = {name: value for name, value in params.items() if value is not None}

    def initial_messages(self) -> Messages:
        """Return the system message, if there is one."""
        system = self._target.options.system
        return [{"role": "system", "content": system}] if system else []

    def send(self, messages: Messages, view: View) -> ModelResponse:
        """Send the messages and display the response. An error is displayed and raised."""
        call = self._service.call(self._target.chat_dialect, {"messages": messages, **self._params})
        hint = "" if self.model or self._target.endpoint_info.platform == SAGEMAKER else _NO_MODEL_HINT
        events: Iterable[Event] = redact_errors(self._service.client.stream(call), self._target.options, hint)
        return show(events, view=view)


def run(options: Options) -> int:
    """Run `mdstream chat`."""
    target = Target.from_options(options)
    prompt = " ".join(options.prompt)
    if not prompt and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise UsageError("PROMPT is missing and standard input is empty (hint: pass the prompt as an argument)")
    if not prompt and options.json:
        raise UsageError("--json needs a PROMPT (hint: pass the prompt as an argument or on standard input)")
    service = target.create_service()
    try:
        chat = _ChatSession(target, service)
        return _run_once(chat, target, prompt) if prompt else _run_interactive(chat)
    finally:
        service.close()


def _run_once(chat: _ChatSession, target: Target, prompt: str) -> int:
    messages = [*chat.initial_messages(), {"role": "user", "content": prompt}]
    if target.options.json:
        return _run_json(chat, target, messages)
    try:
        chat.send(messages, create_view())
    except MDStreamError:  # the view displayed it
        return EXIT_FAILURE
    return 0


def _run_json(chat: _ChatSession, target: Target, messages: Messages) -> int:
    view = _SilentView()
    document: dict[str, Any] = {
        "endpoint": target.endpoint_info.endpoint,
        "platform": target.endpoint_info.platform,
        "model": chat.model,
    }
    try:
        response = chat.send(messages, view)
    except MDStreamError as error:
        code = EXIT_FAILURE
        names = ("code", "status", "request_id", "retryable")
        facts = {name: getattr(error, name) for name in names}
        document |= {"ok": False, "error": {"type": type(error).__name__, "message": str(error), **facts}}
        document |= {"partial": error.partial.to_dict() if error.partial else None}
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        document |= {"ok": False, "error": {"type": "KeyboardInterrupt", "message": "interrupted with Ctrl-C"}}
        document |= {"partial": view.received.response().to_dict()}
    else:
        code = 0
        document |= {"ok": True, **response.to_dict()}
    document |= {"seconds": round(view.summary.seconds, 3), "first_token": _round(view.summary.time_to_first_token)}
    Terminal().write(target.options.redact(json_text(document)) + "\n")
    return code


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _run_interactive(chat: _ChatSession) -> int:
    """Read prompts until Ctrl-D. Ctrl-C stops a response, or ends the conversation at the prompt."""
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  # gives `input` a history; not available on Windows
    terminal = Terminal(sys.stderr)
    model = strip_control_characters(chat.model) or "the model"
    terminal.write(f"Chatting with {model}. Ctrl-C stops a response, Ctrl-D ends the conversation.\n")
    messages = chat.initial_messages()
    while True:
        try:
            prompt = input("> ").strip()
        except EOFError:
            terminal.write("\n")
            return 0
        if prompt:
            messages += _run_turn(chat, messages, prompt, terminal)


def _run_turn(chat: _ChatSession, history: Messages, prompt: str, terminal: Terminal) -> Messages:
    """Send one prompt. Returns the messages that it adds to the history: none unless the response is complete."""
    message = {"role": "user", "content": prompt}
    try:
        response = chat.send([*history, message], create_view())
    except (MDStreamError, KeyboardInterrupt):
        terminal.write("This turn was not added to the conversation. Send the prompt again to retry.\n")
        return []
    return [message, {"role": "assistant", "content": response.text}]
