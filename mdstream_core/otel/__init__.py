"""OpenTelemetry traces and metrics of each call, by its semantic conventions; see docs/logging-and-tracing.md.

    from mdstream_core.otel import create_telemetry

    chat = ChatOCIModelDeployment(endpoint="https://…", hooks=(create_telemetry(),))

One call is one span, including its retries and resumptions. Prompts and outputs are recorded only with `content=True`;
credentials are never recorded.

The conventions (open-telemetry/semantic-conventions-genai) have the status *development*: a name that changes there
changes here in a minor version.
"""

from mdstream_core.errors import MissingExtra

try:
    import opentelemetry.trace  # noqa: F401
except ImportError:
    raise MissingExtra("opentelemetry-api", "otel") from None

from mdstream_core.otel._telemetry import Telemetry, create_telemetry, instrument, uninstrument

__all__ = ["Telemetry", "create_telemetry", "instrument", "uninstrument"]
