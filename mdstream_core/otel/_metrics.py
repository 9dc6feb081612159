"""Histograms with the names and buckets of the conventions."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, MeterProvider, get_meter

from mdstream_core._version import __version__
from mdstream_core.events import Usage

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))

#: For clients the conventions define the time per chunk, for model servers the time per token. This metric is the mean
#: time per token of a call, under a name of our own, with the buckets of the servers' metric.
_SECONDS_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

_TOKEN_TYPES = ("input", "output")


class Metrics:
    """The four histograms of calls."""

    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = get_meter("mdstream", __version__, provider)

        def histogram(name: str, unit: str, description: str, buckets: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=buckets)

        self.duration = histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
        self.tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS
        )
        self.first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time to receive the first chunk.", _SECONDS
        )
        self.per_token = histogram(
            "mdstream.client.operation.time_per_output_token",
            "s",
            "Mean time per output token after the first chunk.",
            _SECONDS_PER_TOKEN,
        )

    def record_tokens(self, usage: Usage, attributes: Mapping[str, Any], context: Context) -> None:
        """Record the token counts of a response."""
        for kind in _TOKEN_TYPES:
            if tokens := getattr(usage, kind):
                self.tokens.record(tokens, {**attributes, "gen_ai.token.type": kind}, context)

    def record_time_per_token(
        self, seconds: float, usage: Usage | None, attributes: Mapping[str, Any], context: Context
    ) -> None:
        """Record the mean time per output token; `seconds` is the time of all tokens but the first."""
        if usage and usage.output > 1:
            self.per_token.record(seconds / (usage.output - 1), attributes, context)
