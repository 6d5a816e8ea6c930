"""Runs scripts in forks of a Python that has imported the package already.

Importing takes a tool longer than its work on the data of a test.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

IMPORTS = (
    'mmaction_videomambapro.apis.train',
    'mmaction_videomambapro.apis.features',
    'mmaction_videomambapro.apis.vjepa_yaml',
    'mmaction_videomambapro.zoo.check',
    'mmaction.apis',
    'torch._dynamo',
)
TIMEOUT = 300  # seconds


class WarmPython:
    """A process that forks for each script.

    Args:
        env (dict[str, str]): Added to the environment of the process.
    """

    def __init__(self, env: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, __file__], env={**os.environ, **env}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, args: list[str], cwd: Path) -> subprocess.CompletedProcess:
        """Run ``python *args``, as ``subprocess.run`` does with ``capture_output``."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, 'out'), Path(folder, 'err')
            request = dict(args=args, cwd=str(cwd), out=str(out), err=str(err))
            print(json.dumps(request), file=self._process.stdin, flush=True)
            code = self._process.stdout.readline()
            if not code:
                raise RuntimeError('the warm Python has ended; its error is above')
            return subprocess.CompletedProcess(
                args, int(code), out.read_text(), err.read_text()
            )

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> dict:
    """Fork for each line of the input; the child returns with its request."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            return json.loads(line)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(code, flush=True)
    os._exit(0)


def become(args: list[str], cwd: str, out: str, err: str) -> str:
    """Take the place of a new process, and return the path of the script to run."""
    signal.alarm(TIMEOUT)
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    sys.argv[:] = args
    sys.path[0] = os.path.dirname(args[0])
    return args[0]


def run_whole(path: str) -> int:
    """Run a script, and what is registered for the end; return the exit code."""
    try:
        runpy.run_path(path, run_name='__main__')
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == '__main__':
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # forks need not copy what they do not change
    path = become(**serve())
    os._exit(run_whole(path))  # taking all modules down would take a second
