"""The values that checks take and return: the context, findings and probes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mdstream_core.cli._credentials import Credentials
from mdstream_core.cli._endpoints import EndpointInfo
from mdstream_core.cli._options import Options
from mdstream_core.cli._target import Target
from mdstream_core.errors import MDStreamError, split_hint
from mdstream_core.events import ModelResponse
from mdstream_core.platforms import Platform

#: Timeout of each network check, in seconds.
NETWORK_TIMEOUT = 10.0


class Status(StrEnum):
    """The result of a check."""

    OK = "OK"
    WARN = "WARN"  # it works, but needs attention
    FAIL = "FAIL"
    SKIP = "SKIP"  # not run because another check failed, or not applicable to this endpoint


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        status: The result.
        text: What was found, or what is wrong.
        hint: What to do, in the imperative; empty if nothing.
        facts: The numbers and names of `text`, for `--json`.
        updates: Fields of `CheckContext` that later checks need.
    """

    status: Status
    text: str = ""
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    updates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a short request.

    Attributes:
        response: The response, complete or as far as it was received.
        error: The error, if the request failed.
        time_to_first_token: Seconds from the request to the first token; `None` if there was none.
        seconds: Seconds from the request to the end of the response.
        chunk_count: Number of chunks with output.
        dialect: Name of the dialect of the response.
        content_type: Content type of the response.
        warnings: Warnings that the library issued meanwhile.
        without_streaming: The result of the same request without streaming. It is sent only if the service rejected
            the model server's response as no stream, because only then does the model server's own error arrive.
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
        endpoint_info: The parsed ENDPOINT.
        credentials: The credentials, once they are found.
        platform: The platform with the endpoint's address, once it is known.
        proxy: Host and port of the proxy; `None` for a direct connection.
        clock_skew: Seconds that the local clock is ahead of the service's.
        model: Name of the model in the requests.
        probe: Result of the first request.
        embedding_probe: Result of an embedding request, if the endpoint serves embeddings and no chat; else `None`.
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
        """The endpoint to send requests to; needs the checks `credentials` and `endpoint`."""
        if self.credentials is None or self.platform is None:
            raise RuntimeError("a check that sends requests must need 'credentials' and 'endpoint'")
        return Target.from_parts(self.endpoint_info, self.platform, self.credentials, self.options)

    @property
    def probe_result(self) -> ProbeResult:
        """Result of the first request; needs the check `authentication`."""
        if self.probe is None:
            raise RuntimeError("a check of the response must need 'authentication'")
        return self.probe


def failure_from_error(error: MDStreamError, default_hint: str = "") -> Finding:
    """Create the finding of a failed request. The hint is the error's own, if it has one."""
    return Finding(Status.FAIL, *text_and_hint(str(error), default_hint), error_facts(error))


def text_and_hint(message: str, default_hint: str = "") -> tuple[str, str]:
    """Split a message into its text and the hint at its end.

    >>> text_and_hint("404: no model (hint: check its name)"), text_and_hint("500: failed", "read the log")
    (('404: no model', 'check its name'), ('500: failed', 'read the log'))
    """
    text, hint = split_hint(message)
    return (text, hint) if hint else (message, default_hint)


def error_facts(error: MDStreamError) -> dict[str, Any]:
    """Return the error's class, code, status and request id, as far as it has them."""
    names = ("code", "status", "request_id")
    return {"error": type(error).__name__} | {name: value for name in names if (value := getattr(error, name))}
