"""All commands end alike: an error is one line and exit code 1, Ctrl-C one line and 130."""

import functools
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMANDS = {
    "train": ["experiment=hrda_demo", "hydra.run.dir=run"],
    "evaluate": ["checkpoint=x.ckpt", "hydra.run.dir=run"],
    "predict": ["checkpoint=x.ckpt", "input=photos"],
    "inspect": ["experiment=hrda_demo", "hydra.run.dir=run"],
}


@pytest.fixture(params=COMMANDS)
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], None]], int]:
    """Return what runs a command that does something else, and returns its exit code."""
    name = request.param
    module = importlib.import_module(f"hrda_lit.{name}")

    def run(what: Callable[[], None]) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *COMMANDS[name]])
        monkeypatch.setattr(module, name, lambda config: what())
        with pytest.raises(SystemExit) as ended:
            module.main()
        return ended.value.code

    return run


def test_ctrl_c_is_one_line_and_130(
    run: Callable[[Callable[[], None]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lambda: os.kill(os.getpid(), signal.SIGINT)) == 130
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("SIGINT stopped the run; ")


def test_ctrl_c_during_the_imports_is_one_line_and_130(tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "hrda_lit.train"]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    # A shell's background job, as this test may be, ignores Ctrl-C.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    done = subprocess.run(command, env=env, preexec_fn=listen, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "SIGINT stopped the start; the same command starts again\n"


def test_an_error_is_one_printable_line_and_1(
    run: Callable[[Callable[[], None]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("x=[/x]\n\x1b[2J does not fit;\n give another.")

    assert run(fail) == 1
    assert capsys.readouterr().err == "error: x=[/x] \\x1b[2J does not fit; give another.\n"


def test_a_fault_of_the_library_is_not_hidden(run: Callable[[Callable[[], None]], int]) -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fail)
