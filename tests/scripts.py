"""The commands in scripts/, run as a user runs them, but in this process, which has imported everything already."""

import argparse
import contextlib
import io
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
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


class _Parsed(BaseException):
    """What the arguments of a script came to, thrown out of it before it does anything."""


def parsed(name: str, *arguments: str) -> argparse.Namespace:
    """Return what the argument parser of scripts/<name>.py makes of a command line; it exits if it refuses that."""
    methods = {name: getattr(argparse.ArgumentParser, name) for name in ("parse_args", "parse_intermixed_args")}

    def stop(method: str, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        raise _Parsed(methods[method](parser, *given))

    with contextlib.ExitStack() as stack:
        for method in methods:
            patched = lambda parser, *given, method=method: stop(method, parser, *given)  # noqa: E731
            stack.enter_context(mock.patch.object(argparse.ArgumentParser, method, patched))
        stack.enter_context(mock.patch.object(sys, "argv", [name, *arguments]))
        try:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        except _Parsed as done:
            namespace: argparse.Namespace = done.args[0]
            return namespace
    raise AssertionError(f"{name} read no arguments")
