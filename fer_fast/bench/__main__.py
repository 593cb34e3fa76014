"""`python -m fer_fast.bench` is `fer-fast bench`."""

import sys

from fer_fast.cli import main

sys.argv.insert(1, "bench")
main()
