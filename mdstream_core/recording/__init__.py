"""Recordings of calls: what was sent and received, without credentials, and without texts unless they are kept.

    with record("failure.jsonl"):
        chat.invoke("Hello")

`Emulator(replay="failure.jsonl")` plays a recording back. The format is JSON lines, described in `_format` and in
docs/record-and-replay.md.
"""

from mdstream_core.recording._format import (
    FORMAT_VERSION,
    MAX_RECORDING,
    Exchange,
    Recording,
    RecordingError,
    read_recording,
)
from mdstream_core.recording._recorder import MAX_BODY, Recorder, record

__all__ = [
    "FORMAT_VERSION",
    "MAX_BODY",
    "MAX_RECORDING",
    "Exchange",
    "Recorder",
    "Recording",
    "RecordingError",
    "read_recording",
    "record",
]
