"""`mdstream chat`: one question, or a conversation."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from mdstream_core._terminal import Terminal, harmless, json_text
from mdstream_core.cli._asking import Target, model_name, veiled
from mdstream_core.cli._parser import FAILED, INTERRUPTED, Options, Unusable
from mdstream_core.display import Summary, View, show, view
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Reply, Sum
from mdstream_core.service import Service

Messages = list[dict[str, Any]]

_UNNAMED = "the server lists no models, so the request named none; name one with --model"


class _Silent:
    """A view that shows nothing and keeps what is told: for `--json`."""

    def __init__(self) -> None:
        self.summary = Summary(0.0)
        self.received = Sum()

    def begin(self, now: Callable[[], Summary]) -> None:
        """Nothing to show."""

    def tell(self, event: Event) -> None:
        """Keep what was said."""
        self.received.add(event)

    def end(self, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary

    def broke(self, error: Exception, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary

    def stopped(self, summary: Summary) -> None:
        """Keep the numbers."""
        self.summary = summary


class _Chat:
    """Asks a model, and shows what it says."""

    def __init__(self, target: Target, service: Service) -> None:
        self.model = model_name(target)
        self._target = target
        self._service = service
        options = target.options
        self._more = {"max_tokens": options.max_tokens, "temperature": options.temperature}

    def opening(self) -> Messages:
        """What a conversation begins with."""
        told = self._target.options.system
        return [{"role": "system", "content": told}] if told else []

    def ask(self, messages: Messages, on: View) -> Reply:
        """One answer. Raises what broke it, when it was shown."""
        named = {"model": self.model} if self.model else {}
        more = {name: value for name, value in self._more.items() if value is not None}
        call = self._service.call(self._target.chats, {"messages": messages, **named, **more})
        hint = "" if named or self._target.place.platform == "sagemaker" else _UNNAMED
        events: Iterable[Event] = veiled(self._service.client.stream(call), self._target.options, hint)
        return show(events, on=on)


def run(options: Options) -> int:
    """One question, or as many as are asked at the prompt."""
    target = Target.of(options)
    asks = " ".join(options.question)
    if not asks and not sys.stdin.isatty():
        asks = sys.stdin.read().strip()
        if not asks:
            raise Unusable("there is no QUESTION, and standard input is empty")
    if not asks and options.json:
        raise Unusable("--json answers one QUESTION; there is none")
    service = target.service()
    try:
        chat = _Chat(target, service)
        return _once(chat, target, asks) if asks else _talk(chat)
    finally:
        service.close()


def _once(chat: _Chat, target: Target, question: str) -> int:
    messages = [*chat.opening(), {"role": "user", "content": question}]
    if target.options.json:
        return _document(chat, target, messages)
    try:
        chat.ask(messages, view())
    except MDStreamError:  # it was shown
        return FAILED
    return 0


def _document(chat: _Chat, target: Target, messages: Messages) -> int:
    silent = _Silent()
    found: dict[str, Any] = {"endpoint": target.place.endpoint, "platform": target.place.platform, "model": chat.model}
    try:
        reply = chat.ask(messages, silent)
    except MDStreamError as error:
        code = FAILED
        names = ("code", "status", "request_id", "retryable")
        facts = {name: getattr(error, name) for name in names}
        found |= {"ok": False, "error": {"type": type(error).__name__, "message": str(error), **facts}}
        found |= {"partial": error.partial.as_dict() if error.partial else None}
    except KeyboardInterrupt:
        code = INTERRUPTED
        found |= {"ok": False, "error": {"type": "KeyboardInterrupt", "message": "stopped by Ctrl-C"}}
        found |= {"partial": silent.received.reply().as_dict()}
    else:
        code = 0
        found |= {"ok": True, **reply.as_dict()}
    found |= {"seconds": round(silent.summary.seconds, 3), "first_token": _rounded(silent.summary.first)}
    Terminal().write(target.options.veil(json_text(found)) + "\n")
    return code


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _talk(chat: _Chat) -> int:
    """Ask until Ctrl-D. Ctrl-C stops an answer; at the prompt it ends us."""
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  # `input` then has a history; not on Windows
    terminal = Terminal(sys.stderr)
    terminal.write(f"{harmless(chat.model) or 'the model'} listens; Ctrl-C stops an answer, Ctrl-D ends.\n")
    messages = chat.opening()
    while True:
        try:
            question = input("> ").strip()
        except EOFError:
            terminal.write("\n")
            return 0
        if question:
            messages += _turn(chat, messages, question, terminal)


def _turn(chat: _Chat, before: Messages, question: str, terminal: Terminal) -> Messages:
    """A question and its answer; neither stays in the conversation if the answer is not whole."""
    asked = {"role": "user", "content": question}
    try:
        reply = chat.ask([*before, asked], view())
    except (MDStreamError, KeyboardInterrupt):
        terminal.write("This question and its answer are left out of the conversation: ask again.\n")
        return []
    return [asked, {"role": "assistant", "content": reply.text}]
