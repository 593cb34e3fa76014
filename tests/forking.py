"""The command with the shade classifier in fresh processes that start at once: forked from one that has all imported.

Each line on standard input is JSON, {"arguments": [...], "folder": ..., "environment": {...}, "kill_after": seconds or
null}; a line with the process' status is the answer, "-9" if it was killed before it had ended.
"""

import json
import os
import signal
import sys
import time

import shades

import fer_fast.cli.classify
import fer_fast.ops.native
import fer_fast.pipeline.run
import fer_fast.table.file_table


def child(order):
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    sys.argv[1:] = order["arguments"]
    shades.main()


def main():
    fer_fast.ops.native.core()
    for line in sys.stdin:
        order = json.loads(line)
        number = os.fork()
        if number == 0:
            child(order)
        if order["kill_after"] is not None:
            time.sleep(order["kill_after"])
            os.kill(number, signal.SIGKILL)  # until it is waited for, its number is its own
        _, status = os.waitpid(number, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
