"""`mdstream record`: one prompt like `mdstream chat`, recorded to a file that the emulator plays back."""

import sys

from mdstream_core._terminal import Terminal
from mdstream_core.cli import _chat
from mdstream_core.cli._options import Options, UsageError
from mdstream_core.hooks import local_hook
from mdstream_core.recording import Recorder

_REMOVED = "credentials, query strings and unknown headers"
_REPLACED = "prompts, responses and error messages (placeholders of the same length)"


def run(options: Options) -> int:
    """Run `mdstream record`. The exit code is that of the request."""
    if not options.prompt and sys.stdin.isatty():
        raise UsageError("PROMPT is missing (hint: pass the prompt as an argument or on standard input)")
    try:
        recorder = Recorder(options.output, keep_text=options.keep_text)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot write --output {options.output}: {reason} (hint: choose another path)") from None
    with recorder, local_hook(recorder):
        code = _chat.run(options)
    terminal = Terminal(sys.stderr)
    terminal.write(f"\nRecorded to {options.output}{' (truncated at the limit)' if recorder.is_truncated else ''}.\n")
    terminal.write(f"Removed:  {_REMOVED}{'' if options.keep_text else '; replaced: ' + _REPLACED}\n")
    if options.keep_text:
        terminal.write("Kept:     prompts, responses and error messages: look through the file before you share it\n")
    terminal.write(f"Replay:   mdstream emulate --replay {options.output}\n")
    return code
