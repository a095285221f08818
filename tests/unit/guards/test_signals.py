"""Signals wait for the end of a step where someone looks, and stop at once where nobody does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hrda_lit.guards.signals import Stopped, leave_to_the_parent, watch

TWICE = """
import os, signal
from hrda_lit.guards.signals import watch
with watch.obeyed():
    watch.can_wait = True
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    print("not reached")
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_at_once_where_nobody_looks(signum: int, code: int) -> None:
    with pytest.raises(Stopped, match="stopped the run before its first step") as caught, watch.obeyed():
        os.kill(os.getpid(), signum)
    assert caught.value.code == code


def test_a_signal_waits_where_someone_looks() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watch.obeyed():
        watch.can_wait = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_second_signal_stops_at_once(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "a second signal stops it at once" in done.stderr


def test_a_handler_of_something_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object) -> None:
        """As submitit's."""

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    before = signal.signal(signal.SIGUSR1, other)
    try:
        with watch.obeyed():
            assert signal.getsignal(signal.SIGUSR1) is other
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        with watch.obeyed():
            assert signal.getsignal(signal.SIGUSR1) == watch._receive
        monkeypatch.delenv("SLURM_JOB_ID")
        with watch.obeyed():
            assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_loader_ignores_what_is_sent_to_the_group() -> None:
    if process := os.fork():
        os.kill(process, signal.SIGINT)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 5
        return
    leave_to_the_parent()
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(5)
