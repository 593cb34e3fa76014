"""`python -m fer_fast.train` is `fer-fast train`."""

import sys

from fer_fast.cli import main

sys.argv.insert(1, "train")
main()
