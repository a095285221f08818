"""Errors that users see are one line with the path and the remedy."""

import os
import shlex
import signal
import subprocess
import sys

import pytest
import torch

from hrda_lit.system.errors import USER_ERRORS, exit_on_errors, explain_lost_process, format_error
from hrda_lit.system.signals import Stopped


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a\n  b"), "a b"),
        (FileNotFoundError("no checkpoint at x; give one."), "no checkpoint at x; give one."),
        (
            PermissionError(13, "Permission denied", "out/a.csv"),
            "out/a.csv cannot be read or written: permission denied; choose another path or mend it.",
        ),
        (ValueError("Caught ValueError in worker.\nTraceback\nValueError: x.png is broken"), "x.png is broken"),
    ],
)
def test_sentence(error: Exception, expected: str) -> None:
    assert format_error(error) == expected


@pytest.mark.parametrize(
    "words",
    [
        "[pair.cc:537] Connection closed by peer [127.0.0.1]:4711",
        "Connection reset by peer",
        "NCCL error: remote process exited or there was a network error",
        "[buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete",
    ],
)
def test_a_lost_process_is_told_in_one_sentence(words: str) -> None:
    with pytest.raises(USER_ERRORS, match="another process of this run has ended") as caught, explain_lost_process():
        raise RuntimeError(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of ..."),
        RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
)
def test_too_little_memory_is_one_line_with_the_keys_that_help(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_errors():
        raise error
    assert ended.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("error: memory ran out")
    assert line.count("\n") == 1
    for key in ("memory=small", "trainer.precision=bf16-mixed", "loading.accumulate", "data.crop", "inference.batch=1"):
        assert key in line
    assert ("20.00 MiB" in line) == ("20.00" in str(error))


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_lost_process():
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("x=1 does not fit;\n give 2."), 1, "error: x=1 does not fit; give 2."),
        (FloatingPointError("NaN"), 1, "error: NaN"),
        (ImportError("needs av; run: pip install av."), 1, "error: needs av; run: pip install av."),
        (KeyboardInterrupt(), 130, "SIGINT stopped the run; REMEDY"),
        (Stopped(15, "after step 3"), 143, "SIGTERM stopped the run after step 3; REMEDY"),
    ],
)
def test_a_command_ends_with_one_line_and_a_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_errors("REMEDY"):
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", line + "\n")


CLOSED = """
import sys
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.table import show
with exit_on_errors():
    {}
print("not reached", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "said",
    ["print('x'); sys.exit(1)", "print('x', flush=True)", "show('x')", "print('x', file=sys.stderr)", "print('x')"],
)
def test_output_that_nobody_reads_ends_silently_as_tools_do(said: str) -> None:
    command = f"{sys.executable} -c {shlex.quote(CLOSED.format('import time; time.sleep(0.2); ' + said))}"
    for joined in ["2>&1"] if "stderr" in said else ["2>&1", ""]:
        line = f"({command} {joined}; echo $? >&3) 3>&2 | true"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "141\n")


SAY = """
import gc, os, sys
assert sys.stdout is sys.stderr is None
from hrda_lit.runs.console import log_line
from hrda_lit.system import progress
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.table import show
progress.PATIENCE = 0.0
gc.freeze()  # else each process that ends looks through all that was imported
for there in (), ("stdout",), ("stderr",):
    if not os.fork():
        break
else:
    sys.exit([os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3)] != [7, 7, 7])
for stream in there:
    setattr(sys, stream, open(os.devnull, "w"))
with exit_on_errors():
    show("a line")
    log_line("a line")
    assert list(progress.track([1, 2], "counting")) == [1, 2]
    print("a line", file=sys.stderr)
sys.exit(7)
"""


def test_processes_without_output_say_nothing_and_work() -> None:
    line = f"{sys.executable} -c {shlex.quote(SAY)} >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], check=False).returncode == 0


def test_a_fault_of_the_library_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), exit_on_errors():
        raise KeyError("x")


def test_ctrl_c_ends_a_command_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_errors("it goes on"):
        os.kill(os.getpid(), signal.SIGINT)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "SIGINT stopped the run; it goes on\n"
