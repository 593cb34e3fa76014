"""`python -m fer_fast` is the `fer-fast` command."""

from fer_fast.cli import main

main()
