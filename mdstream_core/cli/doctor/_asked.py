"""A short question, and how it goes."""

import warnings
from collections.abc import Mapping
from time import monotonic
from typing import Any

from mdstream_core.cli._asking import Target, veiled
from mdstream_core.cli.doctor._finding import Asked
from mdstream_core.dialects import Decoder, Dialect
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, Reply, TextDelta, ToolCallDelta
from mdstream_core.http import Timeout
from mdstream_core.tracing import Answered, Moment

_SAID = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: The question, and how long its answer may be, so that it costs next to nothing.
_QUESTION: Mapping[str, Any] = {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 64}

#: How long an answer may take. A cold start takes its time.
_PATIENCE = Timeout(connect=10.0, read=60.0, total=90.0)

NOTHING = Reply()


class _Heard:
    """A dialect that remembers which decoder read the answer."""

    def __init__(self, inner: Dialect) -> None:
        self.name, self.route = inner.name, inner.route
        self._inner = inner
        self._last: Decoder | None = None

    @property
    def spoken(self) -> str:
        """What the answer was written in."""
        found = getattr(self._last, "spoken", None)
        return f"{found}, found out from its first words" if found else self.name

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        return self._inner.body(question, stream=stream)

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        return self._inner.simpler(body, error)

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        return self._inner.continued(body, said)

    def decoder(self) -> Decoder:
        self._last = self._inner.decoder()
        return self._last


def ask(target: Target, model: str, *, stream: bool = True, dialect: Dialect | None = None, **more: Any) -> Asked:
    """Ask, and note how it went.

    Args:
        target: Whom.
        model: The model's name; empty is not sent.
        stream: Whether the answer is to come piece by piece.
        dialect: In what; by default as chats are asked there.
        more: Further fields of the question, or all of it where a dialect is given.
    """
    heads: list[str] = []

    def hook(moment: Moment) -> None:
        if isinstance(moment, Answered):
            heads.append(moment.head.content_type)

    heard = _Heard(dialect or target.chats)
    named = {"model": model} if model else {}
    service = target.service(hooks=(hook,), retries=1, timeout=_PATIENCE)
    events: list[tuple[float, Event]] = []
    error, begun = None, monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            asked = {**named, **more} if dialect else {**_QUESTION, **named, **more}
            call = service.call(heard, asked, stream=stream)
            events += ((monotonic(), event) for event in veiled(service.client.stream(call), target.options))
        except MDStreamError as failure:
            error = failure
        finally:
            service.close()
    said = [at for at, event in events if isinstance(event, _SAID)]
    return Asked(
        reply=(error.partial if error else None) or Reply.of(event for _, event in events),
        error=error,
        first=said[0] - begun if said else None,
        seconds=monotonic() - begun,
        pieces=len(said),
        spoken=heard.spoken,
        content_type=heads[-1] if heads else "",
        warned=tuple(str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)),
    )
