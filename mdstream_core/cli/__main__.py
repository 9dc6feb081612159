"""Run the command line with `python -m mdstream_core.cli`."""

import sys

from mdstream_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
