"""The commands in scripts/, run as a user runs them, but in this process, which has imported everything already."""

import contextlib
import io
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run scripts/<name>.py to its end, whatever its exit code."""
    command = [str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):
                print(stop.code, file=err)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
