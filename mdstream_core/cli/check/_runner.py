"""The list of checks, and the loop that runs them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mdstream_core.cli.check import _capabilities, _local, _network, _service
from mdstream_core.cli.check._finding import CheckContext, Finding, Status


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: The name in the output.
        run: Performs the check.
        needs: Names of the checks without which this one is skipped.
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
    Check("authentication", _service.check_authentication, ("credentials", "tls")),
    Check("model", _service.check_model, ("authentication",)),
    Check("streaming", _service.check_streaming, ("model",)),
    Check("dialect", _service.check_dialect, ("model",)),
    Check("first token", _service.check_first_token, ("streaming",)),
    Check("tools", _capabilities.check_tools, ("streaming",)),
    Check("embeddings", _capabilities.check_embeddings, ("authentication",)),
    Check("models", _capabilities.check_models, ("authentication",)),
)


def run_checks(
    check_context: CheckContext, on_start: Callable[[str], object] = lambda name: None
) -> Iterator[tuple[str, Finding]]:
    """Run the checks in order and yield the name and finding of each.

    Args:
        check_context: What is known before the first check.
        on_start: Called with the name of each check before it runs.
    """
    causes: dict[str, str] = {}  # the failed check that is the cause, by each check that failed or was not run
    for check in CHECKS:
        on_start(check.name)
        if cause := next((causes[need] for need in check.needs if need in causes), None):
            causes[check.name] = cause
            finding = Finding(Status.SKIP, f"{cause} failed", facts={"failed_check": cause})
        else:
            finding = check.run(check_context)
        if finding.status is Status.FAIL:
            causes[check.name] = check.name
        check_context = replace(check_context, **finding.updates)
        yield check.name, finding
