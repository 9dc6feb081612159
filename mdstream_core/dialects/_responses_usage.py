"""Token counts of OpenAI's Responses API."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._limits import read_count
from mdstream_core.events import Usage


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Read the usage of a response; a field that is no count is left out."""
    prompt, output = (read_count(usage.get(name)) or 0 for name in ("input_tokens", "output_tokens"))
    input_details, output_details = (usage.get(f"{name}_tokens_details") or {} for name in ("input", "output"))
    return Usage(
        input=prompt,
        output=output,
        total=read_count(usage.get("total_tokens")) or prompt + output,
        cached=read_count(input_details.get("cached_tokens")),
        reasoning=read_count(output_details.get("reasoning_tokens")),
        input_audio=read_count(input_details.get("audio_tokens")),
        output_audio=read_count(output_details.get("audio_tokens")),
    )
