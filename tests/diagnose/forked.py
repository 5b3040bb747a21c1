"""Runs scripts that all import one Keras backend: imports it once, then forks for each script.

Each line of standard input is the path of a script; the answer is a line of JSON, {"code", "said"}. Nothing was
executed before a fork, so a script finds what a fresh interpreter has after its imports.
"""

import importlib
import json
import os
import sys
import tempfile
import traceback


def main() -> None:
    """Import, then serve."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as said:
            child = os.fork()
            if not child:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                os._exit(run(line.strip()))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.seek(0)
            answers.write(json.dumps({"code": code, "said": said.read()}) + "\n")
            answers.flush()


def run(path: str) -> int:
    """Execute a script; its exit code."""
    sys.stdout = os.fdopen(1, "w")
    os.chdir(os.path.dirname(path))
    try:
        with open(path) as file:
            exec(compile(file.read(), path, "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return 70
    finally:
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    main()
