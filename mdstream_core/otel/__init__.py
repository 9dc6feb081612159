"""Traces and metrics of each call, by OpenTelemetry's conventions for generative AI; see docs/logging-and-tracing.md.

    from mdstream_core.otel import telemetry

    chat = ChatOCIModelDeployment(endpoint="https://…", hooks=(telemetry(),))

One call is one span, however often it is asked again or gone on with. Prompts and answers are left out unless they are
asked for; credentials are never in it.

The conventions are those of open-telemetry/semantic-conventions-genai, whose status is *development*: a name that
changes there changes here in a minor version.
"""

from mdstream_core.errors import MissingExtra

try:
    import opentelemetry.trace  # noqa: F401
except ImportError:
    raise MissingExtra("opentelemetry-api", "otel") from None

from mdstream_core.otel._telemetry import Telemetry, create_telemetry, instrument, uninstrument

__all__ = ["Telemetry", "create_telemetry", "instrument", "uninstrument"]
