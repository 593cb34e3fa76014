"""`python -m fer_fast.bench` is `fer-fast bench`."""

import importlib
import sys

sys.argv.insert(1, "bench")
importlib.import_module("fer_fast.__main__").main()  # it stands above this room, which knows it by name alone
