"""The commands, run as a user runs them, but forked from one process that has imported everything and computed nothing.

A command of its own imports torch and its kin for 8 seconds before it does anything. `python -m tests.commands` is that
process: it reads requests from stdin, one JSON object a line, and answers each with a number.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIRST = ("hrda_lit.train", "hrda_lit.evaluate", "hrda_lit.predict", "hrda_lit.inspect", "hrda_lit.init")


class Command:
    """A command that runs, as far as tests need what `subprocess.Popen` offers.

    Args:
        words: a module and its arguments, what would follow `python -m`.
        cwd: where it runs.
    """

    def __init__(self, *words: object, cwd: Path = ROOT) -> None:
        self.args = [str(word) for word in words]
        self.returncode: int | None = None
        with tempfile.NamedTemporaryFile(delete=False) as out, tempfile.NamedTemporaryFile(delete=False) as err:
            self._said = Path(out.name), Path(err.name)
        places = {"cwd": str(cwd), "out": str(self._said[0]), "err": str(self._said[1])}
        self.pid = ask({"words": self.args, "env": dict(os.environ), **places})

    def poll(self) -> int | None:
        if self.returncode is None and (code := ask({"pid": self.pid})) is not None:
            self.returncode = code
        return self.returncode

    def wait(self, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        """Return how it ended and what it said."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                os.killpg(self.pid, 9)
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        assert self.returncode is not None
        out, err = (path.read_text() for path in self._said)
        for path in self._said:
            path.unlink()
        return subprocess.CompletedProcess(self.args, self.returncode, out, err)


def run(*words: object, cwd: Path = ROOT, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    """Run `python -m words` in a folder to its end, whatever its exit code."""
    return Command(*words, cwd=cwd).wait(timeout)


def ask(request: dict[str, Any]) -> Any:
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@functools.cache
def _process() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.commands"]
    # A request brings its own, and that of the test which happens to be the first is not for all others.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # ends its input, and with that the process
    return process


def import_everything() -> None:
    """Import what the commands import, but leave the commands themselves to be run."""
    import hrda_lit

    gc.disable()  # all of it stays
    for module in pkgutil.walk_packages(hrda_lit.__path__, "hrda_lit."):
        if module.name != "hrda_lit.dashboards.trackio_run":  # Trackio chooses its folder when it is imported
            importlib.import_module(module.name)
    importlib.import_module("matplotlib.pyplot")
    importlib.import_module("PIL.Image").init()  # its formats
    importlib.import_module("tests.shortcuts").take()
    compose_once()
    for name in FIRST:
        del sys.modules[name]
        delattr(hrda_lit, name.rpartition(".")[2])
    gc.freeze()  # what lies here is looked through by no collection of a forked process
    gc.enable()


def compose_once() -> None:
    """Let Hydra find its plugins, read what nearly every command reads, and learn its grammar."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        compose("train", ["experiment=hrda_demo", "debug=smoke", "run_dir=."])


def serve() -> dict[str, Any]:
    """Answer requests until stdin ends; return, in a forked process, what it shall run."""
    for line in sys.stdin:
        request = json.loads(line)
        if "pid" in request:
            done, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if done else None
        elif answer := os.fork():
            os.setpgid(answer, answer)  # here too, so that it is done when the answer comes
        else:
            return request
        print(json.dumps(answer), flush=True)
    sys.exit()


def become(request: dict[str, Any]) -> None:
    """Make this process what a shell would have started."""
    os.setpgid(0, 0)
    for number, flags, path in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY, "out"), (2, os.O_WRONLY, "err")):
        os.dup2(os.open(request.get(path, path), flags), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:1] = ["", *filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = request["words"]
    random.seed()
    # W&B makes a folder for pictures when it is imported, here once for all; the first to end must not remove it.
    from wandb.sdk.data_types._private import MEDIA_TMP

    atexit.unregister(MEDIA_TMP.cleanup)
    MEDIA_TMP._finalizer.detach()  # type: ignore[attr-defined]
    import torch

    torch.set_num_threads(1)  # makes torch's pool anew here, which threads of a forked process cannot do at once


if __name__ == "__main__":
    import_everything()
    wanted = serve()
    become(wanted)
    runpy.run_module(wanted["words"][0], run_name="__main__", alter_sys=True)
