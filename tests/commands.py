"""Runs the command line again and again: imports it once, then forks for each command.

Each line of standard input is JSON, {"arguments", "cwd", "environment", "out", "err"}, the last two paths of files; the
answers are a line with the process id and, when it has ended, one with the exit code. Nothing of ours was executed
before a fork, so a command finds what a fresh interpreter has after its imports.
"""

import atexit
import importlib
import json
import os
import random
import runpy
import sys
import tempfile
import traceback

IMPORTED = ("qparity.cli", "qparity.api", "qparity.runner.capture", "qparity.store.merge", "qparity.summary")


def main() -> None:
    """Import, then serve."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(run(**json.loads(line)))
        answers.write(f"{pid}\n")
        answers.flush()
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        answers.flush()


def run(arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> int:
    """`python -m qparity.cli` with these arguments; its exit code."""
    for number, (path, mode) in enumerate(((os.devnull, "r"), (out, "w"), (err, "w"))):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    random.seed()
    sys.argv = ["", *arguments]
    code = 0
    try:
        runpy.run_module("qparity.cli", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
