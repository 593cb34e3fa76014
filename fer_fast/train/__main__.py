"""`python -m fer_fast.train` is `fer-fast train`."""

import importlib
import sys

sys.argv.insert(1, "train")
importlib.import_module("fer_fast.__main__").main()  # it stands above this room, which knows it by name alone
