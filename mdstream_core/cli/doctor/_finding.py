"""What is known, and what was found: the values that checks take and give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mdstream_core.cli._asking import Target
from mdstream_core.cli._parser import Options
from mdstream_core.cli._places import Place
from mdstream_core.cli._signing import Signing
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply
from mdstream_core.platforms import Platform

#: Seconds that a look at the network may take.
LIMIT = 10.0


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # it works, but somebody should know
    WRONG = "wrong"
    NONE = "none"  # an ability that is not there, which is no illness
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        state: How it came out.
        text: What there is, or what is wrong.
        cure: What to do.
        facts: The same as numbers and names, for `--json`.
        learned: Fields of `Known` that later checks go by.
    """

    state: State
    text: str = ""
    cure: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a short question went.

    Attributes:
        reply: The answer, whole or as far as it came.
        error: What broke it.
        first: Seconds to the first token.
        seconds: To the end.
        pieces: In how many pieces it came.
        spoken: The dialect that was heard.
        content_type: How the answer was labelled.
        warned: What our own code warned of.
        whole: How the same question went when a whole answer was asked for, where the service said that what the
            container wrote is no stream; then only the container's own words tell why.
    """

    reply: Reply
    error: MDStreamError | None = None
    first: float | None = None
    seconds: float = 0.0
    pieces: int = 0
    spoken: str = ""
    content_type: str = ""
    warned: tuple[str, ...] = ()
    whole: "Asked | None" = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known so far.

    Attributes:
        options: The command line.
        place: What ENDPOINT says.
        signing: Who signs.
        platform: Where to ask.
        proxy: Host and port of the proxy on the way.
        skew: How many seconds this clock is ahead of the service's.
        model: Who is asked.
        asked: How the first question went.
        vectors: How a word was embedded, where the endpoint embeds and does not chat; `None` elsewhere.
    """

    options: Options = field(repr=False)
    place: Place
    signing: Signing | None = None
    platform: Platform | None = None
    proxy: tuple[str, int] | None = None
    skew: float = 0.0
    model: str = ""
    asked: Asked | None = None
    vectors: Asked | None = None

    @property
    def target(self) -> Target:
        """Ready to be asked; only where who signs and where to ask are known."""
        if self.signing is None or self.platform is None:
            raise RuntimeError("a check that asks must need 'credentials' and 'endpoint'")
        return Target.made(self.place, self.platform, self.signing, self.options)

    @property
    def answer(self) -> Asked:
        """How the first question went; only where it was asked."""
        if self.asked is None:
            raise RuntimeError("a check of the answer must need 'accepted'")
        return self.asked


#: How our messages say at their end what to do.
_WITH_CURE = (
    r"(.+?) \(((?:[^()]|\([^()]*\))+)\)",
    r"(.+?)[;.] ((?:check that|Run|Give) .+)",
)


def wrong(error: MDStreamError, otherwise: str = "") -> Finding:
    """What an error says is wrong, and its cure: our messages end with it, in brackets."""
    return Finding(State.WRONG, *parted(str(error), otherwise), facts_of(error))


def parted(message: str, otherwise: str = "") -> tuple[str, str]:
    """A message and the cure at its end.

    >>> parted("404: no model (check its name)"), parted("a page; check that it is a model's")
    (('404: no model', 'check its name'), ('a page', "check that it is a model's"))
    """
    found = (re.fullmatch(form, message, re.DOTALL) for form in _WITH_CURE)
    match = next(filter(None, found), None)
    return (match[1], match[2]) if match else (message, otherwise)


def facts_of(error: MDStreamError) -> dict[str, Any]:
    """The facts of an error."""
    names = ("code", "status", "request_id")
    return {"error": type(error).__name__} | {name: value for name in names if (value := getattr(error, name))}
