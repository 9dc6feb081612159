"""What `mdstream check` looks at: a list of small checks, each a function from what is known to a finding.

A check that needs another one is skipped where that one went wrong, so the first line that is wrong names the cause.
A new check is a function and a row of `CHECKS`.
"""

from mdstream_core.cli.check._finding import CheckContext, Finding, Status
from mdstream_core.cli.check._runner import CHECKS, run_checks

__all__ = ["CHECKS", "CheckContext", "Finding", "Status", "run_checks"]
