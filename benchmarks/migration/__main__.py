"""`python -m benchmarks.migration`: record the installed packages, and write the tables of the migration pages.

With `--tables` only the tables are written, from what was recorded before; no other package is needed.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

RECORDED_FILE = ROOT / "tests/_migration_recorded.json"


def main(arguments: list[str]) -> None:
    """Record and write."""
    if arguments[:1] == ["--calls"]:
        from benchmarks.migration.kinds import run_calls  # noqa: PLC0415

        run_calls(arguments[1])
        return
    if "--tables" not in arguments:
        from benchmarks.migration.introspect import record  # noqa: PLC0415  # imports the other packages

        names = record()
        from benchmarks.migration.kinds import record_kinds  # noqa: PLC0415

        recorded = {"names": names, "kinds": record_kinds()}
        RECORDED_FILE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    from _migration_table import PAGES, with_tables  # noqa: PLC0415  # reads the file

    for page in PAGES:
        file = ROOT / page
        file.write_text(with_tables(page, file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
