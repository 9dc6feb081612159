"""What `mdstream check` looks at: a list of small checks, each a function from what is known to a finding.

A check that needs another one is skipped where that one went wrong, so the first line that is wrong names the cause.
A new check is a function and a row of `CHECKS`.
"""

from mdstream_core.cli.doctor._examining import CHECKS, examine
from mdstream_core.cli.doctor._finding import Finding, Known, State

__all__ = ["CHECKS", "Finding", "Known", "State", "examine"]
