"""`python -m mdstream_core.cli`: the same as `mdstream`."""

import sys

from mdstream_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
