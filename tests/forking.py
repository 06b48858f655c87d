"""Processes that need not import JAX, which takes seconds: copies of one that has imported it.

JAX must not have been used in that one: a copy has none of the threads that it would need.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
import importlib, json, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    code, args, *files = json.loads(line)
    copy = os.fork()
    if not copy:
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["-c", *args]
        exec(code, {"__name__": "__main__"})
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def forking(*modules, env=None):
    """Starts a process that imports the modules, and yields what runs code in copies of it.

    (code, *args) -> what `subprocess.run` of `python -c` would return, with output and errors as text.
    """
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", PROGRAM, *modules]
        process = stack.enter_context(subprocess.Popen(command, env=env, **pipes))

        def run(code, *args):
            files = [place / name for name in ("output", "errors")]
            print(json.dumps([code, args, *map(str, files)]), file=process.stdin, flush=True)
            exit_code = int(process.stdout.readline())
            return subprocess.CompletedProcess(args, exit_code, *(file.read_text() for file in files))

        yield run
