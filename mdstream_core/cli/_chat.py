"""`mdstream chat`: one question, or a conversation."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from mdstream_core._terminal import Terminal, json_text, strip_control_characters
from mdstream_core.cli._parser import FAILED, INTERRUPTED, Options, UsageError
from mdstream_core.cli._target import Target, model_name, redact_errors
from mdstream_core.display import Summary, View, create_view, show
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, ResponseAccumulator
from mdstream_core.service import Service

Messages = list[dict[str, Any]]

_NO_MODEL_HINT = "the server lists no models, so the request named none; name one with --model"


class _SilentView:
    """A view that shows nothing and keeps what is told: for `--json`."""

    def __init__(self) -> None:
        self.summary = Summary(0.0)
        self.received = ResponseAccumulator()

    def start(self, now: Callable[[], Summary]) -> None:
        """Nothing to show."""

    def show_event(self, event: Event) -> None:
        """Keep what was said."""
        self.received.add(event)

    def finish(self, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary

    def fail(self, error: Exception, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary

    def cancel(self, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary


class _ChatSession:
    """Asks a model, and shows what it says."""

    def __init__(self, target: Target, service: Service) -> None:
        self.model = model_name(target)
        self._target = target
        self._service = service
        options = target.options
        self._parameters = {"max_tokens": options.max_tokens, "temperature": options.temperature}

    def initial_messages(self) -> Messages:
        """What a conversation begins with."""
        told = self._target.options.system
        return [{"role": "system", "content": told}] if told else []

    def send(self, messages: Messages, view: View) -> ModelResponse:
        """One answer. Raises what broke it, when it was shown."""
        named = {"model": self.model} if self.model else {}
        more = {name: value for name, value in self._parameters.items() if value is not None}
        call = self._service.call(self._target.chat_dialect, {"messages": messages, **named, **more})
        hint = "" if named or self._target.endpoint_info.platform == "sagemaker" else _NO_MODEL_HINT
        events: Iterable[Event] = redact_errors(self._service.client.stream(call), self._target.options, hint)
        return show(events, view=view)


def run(options: Options) -> int:
    """One question, or as many as are asked at the prompt."""
    target = Target.from_options(options)
    asks = " ".join(options.question)
    if not asks and not sys.stdin.isatty():
        asks = sys.stdin.read().strip()
        if not asks:
            raise UsageError("there is no QUESTION, and standard input is empty")
    if not asks and options.json:
        raise UsageError("--json answers one QUESTION; there is none")
    service = target.create_service()
    try:
        chat = _ChatSession(target, service)
        return _run_once(chat, target, asks) if asks else _run_interactive(chat)
    finally:
        service.close()


def _run_once(chat: _ChatSession, target: Target, question: str) -> int:
    messages = [*chat.initial_messages(), {"role": "user", "content": question}]
    if target.options.json:
        return _run_json(chat, target, messages)
    try:
        chat.send(messages, create_view())
    except MDStreamError:  # it was shown
        return FAILED
    return 0


def _run_json(chat: _ChatSession, target: Target, messages: Messages) -> int:
    silent = _SilentView()
    found: dict[str, Any] = {
        "endpoint": target.endpoint_info.endpoint,
        "platform": target.endpoint_info.platform,
        "model": chat.model,
    }
    try:
        response = chat.send(messages, silent)
    except MDStreamError as error:
        code = FAILED
        names = ("code", "status", "request_id", "retryable")
        facts = {name: getattr(error, name) for name in names}
        found |= {"ok": False, "error": {"type": type(error).__name__, "message": str(error), **facts}}
        found |= {"partial": error.partial.to_dict() if error.partial else None}
    except KeyboardInterrupt:
        code = INTERRUPTED
        found |= {"ok": False, "error": {"type": "KeyboardInterrupt", "message": "stopped by Ctrl-C"}}
        found |= {"partial": silent.received.response().to_dict()}
    else:
        code = 0
        found |= {"ok": True, **response.to_dict()}
    found |= {"seconds": round(silent.summary.seconds, 3), "first_token": _round(silent.summary.time_to_first_token)}
    Terminal().write(target.options.redact(json_text(found)) + "\n")
    return code


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _run_interactive(chat: _ChatSession) -> int:
    """Ask until Ctrl-D. Ctrl-C stops an answer; at the prompt it ends us."""
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  # `input` then has a history; not on Windows
    terminal = Terminal(sys.stderr)
    terminal.write(
        f"{strip_control_characters(chat.model) or 'the model'} listens; Ctrl-C stops an answer, Ctrl-D ends.\n"
    )
    messages = chat.initial_messages()
    while True:
        try:
            question = input("> ").strip()
        except EOFError:
            terminal.write("\n")
            return 0
        if question:
            messages += _run_turn(chat, messages, question, terminal)


def _run_turn(chat: _ChatSession, before: Messages, question: str, terminal: Terminal) -> Messages:
    """A question and its answer; neither stays in the conversation if the answer is not whole."""
    asked = {"role": "user", "content": question}
    try:
        response = chat.send([*before, asked], create_view())
    except (MDStreamError, KeyboardInterrupt):
        terminal.write("This question and its answer are left out of the conversation: ask again.\n")
        return []
    return [asked, {"role": "assistant", "content": response.text}]
