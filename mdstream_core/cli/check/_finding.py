"""What is known, and what was found: the values that checks take and give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mdstream_core.cli._credentials import Credentials
from mdstream_core.cli._endpoints import EndpointInfo
from mdstream_core.cli._parser import Options
from mdstream_core.cli._target import Target
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse
from mdstream_core.platforms import Platform

#: Seconds that a look at the network may take.
MAX_SECONDS = 10.0


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "note"  # it works, but somebody should know
    FAIL = "wrong"
    UNAVAILABLE = "none"  # an ability that is not there, which is no illness
    SKIP = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        status: How it came out.
        text: What there is, or what is wrong.
        hint: What to do.
        facts: The same as numbers and names, for `--json`.
        updates: Fields of `CheckContext` that later checks go by.
    """

    status: Status
    text: str = ""
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    updates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a short question went.

    Attributes:
        response: The answer, whole or as far as it came.
        error: What broke it.
        time_to_first_token: Seconds to the first token.
        seconds: To the end.
        chunk_count: In how many pieces it came.
        dialect: The dialect that was heard.
        content_type: How the answer was labelled.
        warnings: What our own code warned of.
        without_streaming: How the same question went when a whole answer was asked for, where the service said that
        what the
            container wrote is no stream; then only the container's own words tell why.
    """

    response: ModelResponse
    error: MDStreamError | None = None
    time_to_first_token: float | None = None
    seconds: float = 0.0
    chunk_count: int = 0
    dialect: str = ""
    content_type: str = ""
    warnings: tuple[str, ...] = ()
    without_streaming: "ProbeResult | None" = None


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What is known so far.

    Attributes:
        options: The command line.
        endpoint_info: What ENDPOINT says.
        credentials: Who signs.
        platform: Where to ask.
        proxy: Host and port of the proxy on the way.
        clock_skew: How many seconds this clock is ahead of the service's.
        model: Who is asked.
        probe: How the first question went.
        embedding_probe: How a word was embedded, where the endpoint embeds and does not chat; `None` elsewhere.
    """

    options: Options = field(repr=False)
    endpoint_info: EndpointInfo
    credentials: Credentials | None = None
    platform: Platform | None = None
    proxy: tuple[str, int] | None = None
    clock_skew: float = 0.0
    model: str = ""
    probe: ProbeResult | None = None
    embedding_probe: ProbeResult | None = None

    @property
    def target(self) -> Target:
        """Ready to be asked; only where who signs and where to ask are known."""
        if self.credentials is None or self.platform is None:
            raise RuntimeError("a check that asks must need 'credentials' and 'endpoint'")
        return Target.from_parts(self.endpoint_info, self.platform, self.credentials, self.options)

    @property
    def probe_result(self) -> ProbeResult:
        """How the first question went; only where it was asked."""
        if self.probe is None:
            raise RuntimeError("a check of the answer must need 'accepted'")
        return self.probe


#: How our messages say at their end what to do.
_HINT_PATTERNS = (
    r"(.+?) \(hint: (.+)\)",
    r"(.+?) \(((?:[^()]|\([^()]*\))+)\)",
    r"(.+?)[;.] ((?:check that|Run|Give) .+)",
)


def failure_from_error(error: MDStreamError, default_hint: str = "") -> Finding:
    """What an error says is wrong, and its cure: our messages end with it, in brackets."""
    return Finding(Status.FAIL, *split_hint(str(error), default_hint), error_facts(error))


def split_hint(message: str, default_hint: str = "") -> tuple[str, str]:
    """A message and the cure at its end.

    >>> split_hint("404: no model (check its name)"), split_hint("a page; check that it is a model's")
    (('404: no model', 'check its name'), ('a page', "check that it is a model's"))
    """
    found = (re.fullmatch(form, message, re.DOTALL) for form in _HINT_PATTERNS)
    match = next(filter(None, found), None)
    return (match[1], match[2]) if match else (message, default_hint)


def error_facts(error: MDStreamError) -> dict[str, Any]:
    """The facts of an error."""
    names = ("code", "status", "request_id")
    return {"error": type(error).__name__} | {name: value for name in names if (value := getattr(error, name))}
