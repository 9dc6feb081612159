"""The checks in their order, and how they are gone through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mdstream_core.cli.check import _capabilities, _local, _network, _service
from mdstream_core.cli.check._finding import CheckContext, Finding, Status


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: What it is called.
        run: Looks at it.
        needs: Without which checks it would find nothing new.
    """

    name: str
    run: Callable[[CheckContext], Finding]
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("credentials", _local.check_credentials),
    Check("endpoint", _local.check_endpoint),
    Check("dns", _network.check_dns, ("endpoint",)),
    Check("tcp", _network.check_tcp, ("dns",)),
    Check("tls", _network.check_tls, ("tcp",)),
    Check("clock", _network.check_clock, ("tls",)),
    Check("accepted", _service.check_authentication, ("credentials", "tls")),
    Check("model", _service.check_model, ("accepted",)),
    Check("stream", _service.check_streaming, ("model",)),
    Check("dialect", _service.check_dialect, ("model",)),
    Check("first token", _service.check_first_token, ("stream",)),
    Check("tools", _capabilities.check_tools, ("stream",)),
    Check("embeddings", _capabilities.check_embeddings, ("accepted",)),
    Check("models", _capabilities.check_models, ("accepted",)),
)


def run_checks(
    check_context: CheckContext, on_start: Callable[[str], object] = lambda name: None
) -> Iterator[tuple[str, Finding]]:
    """Go through the checks.

    Args:
        check_context: What is known before.
        on_start: Told the name of each check before it is made.
    """
    lost: set[str] = set()
    for check in CHECKS:
        on_start(check.name)
        if missing := next((need for need in check.needs if need in lost), None):
            finding = Finding(Status.SKIP, f"because of {missing}")
        else:
            finding = check.run(check_context)
        if finding.status in {Status.FAIL, Status.SKIP}:
            lost.add(check.name)
        check_context = replace(check_context, **finding.updates)
        yield check.name, finding
