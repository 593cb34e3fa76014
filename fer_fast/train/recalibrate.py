"""`python -m fer_fast.train.recalibrate` is `fer-fast recalibrate`."""

import sys

from fer_fast.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "recalibrate")
    main()
