"""`mdstream check`: a list of small checks, each a function from what is known so far to a finding.

A check is skipped if a check that it needs failed, so that the first failure is the cause. To add a check, write a
function and add a row to `CHECKS`.
"""

from mdstream_core.cli.check._finding import CheckContext, Finding, Status
from mdstream_core.cli.check._report import run
from mdstream_core.cli.check._runner import CHECKS, run_checks

__all__ = ["CHECKS", "CheckContext", "Finding", "Status", "run", "run_checks"]
