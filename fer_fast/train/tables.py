"""`python -m fer_fast.train.tables` is `fer-fast tables`."""

import sys

from fer_fast.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "tables")
    main()
