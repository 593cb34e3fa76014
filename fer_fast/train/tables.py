"""`python -m fer_fast.train.tables` is `fer-fast tables`."""

import importlib
import sys

if __name__ == "__main__":
    sys.argv.insert(1, "tables")
    importlib.import_module("fer_fast.__main__").main()  # it stands above this room, which knows it by name alone
