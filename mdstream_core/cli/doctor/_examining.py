"""The checks in their order, and how they are gone through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mdstream_core.cli.doctor import _abilities, _local, _network, _service
from mdstream_core.cli.doctor._finding import Finding, Known, State


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: What it is called.
        look: Looks at it.
        needs: Without which checks it would find nothing new.
    """

    name: str
    look: Callable[[Known], Finding]
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("credentials", _local.credentials),
    Check("endpoint", _local.endpoint),
    Check("dns", _network.dns, ("endpoint",)),
    Check("tcp", _network.tcp, ("dns",)),
    Check("tls", _network.tls, ("tcp",)),
    Check("clock", _network.clock, ("tls",)),
    Check("accepted", _service.accepted, ("credentials", "tls")),
    Check("model", _service.model, ("accepted",)),
    Check("stream", _service.stream, ("model",)),
    Check("dialect", _service.dialect, ("model",)),
    Check("first token", _service.first_token, ("stream",)),
    Check("tools", _abilities.tools, ("stream",)),
    Check("embeddings", _abilities.embeddings, ("accepted",)),
    Check("models", _abilities.models, ("accepted",)),
)


def examine(known: Known, begin: Callable[[str], object] = lambda name: None) -> Iterator[tuple[str, Finding]]:
    """Go through the checks.

    Args:
        known: What is known before.
        begin: Told the name of each check before it is made.
    """
    lost: set[str] = set()
    for check in CHECKS:
        begin(check.name)
        if missing := next((need for need in check.needs if need in lost), None):
            finding = Finding(State.SKIPPED, f"because of {missing}")
        else:
            finding = check.look(known)
        if finding.state in {State.WRONG, State.SKIPPED}:
            lost.add(check.name)
        known = replace(known, **finding.learned)
        yield check.name, finding
