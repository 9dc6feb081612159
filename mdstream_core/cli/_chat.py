"""`mdstream chat`: one prompt, or an interactive conversation."""

import sys
from collections.abc import Callable
from typing import Any

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._chat_session import ChatSession, Messages
from mdstream_core.cli._conversation import Conversation
from mdstream_core.cli._options import EXIT_FAILURE, EXIT_INTERRUPTED, Options, UsageError
from mdstream_core.cli._target import Target
from mdstream_core.display import Summary, create_view
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ResponseAccumulator


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
        chat = ChatSession(target, service)
        return _run_once(chat, target, prompt) if prompt else Conversation(chat).run()
    finally:
        service.close()


def _run_once(chat: ChatSession, target: Target, prompt: str) -> int:
    messages = [*chat.initial_messages(), {"role": "user", "content": prompt}]
    if target.options.json:
        return _run_json(chat, target, messages)
    try:
        chat.send(messages, create_view(markdown=target.options.markdown))
    except MDStreamError:  # the view displayed it
        return EXIT_FAILURE
    return 0


def _run_json(chat: ChatSession, target: Target, messages: Messages) -> int:
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
