"""Signals wait for the end of a step where someone looks, and stop at once where nobody does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrda_lit.system.signals import Stopped, watch

TWICE = """
import os, signal
from hrda_lit.system.signals import watch
with watch.handle_signals():
    watch.can_wait = True
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    print("not reached")
"""

DEAF = """
import os, signal, sys
from hrda_lit.system.signals import ignore_signals
ignore_signals()
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(5)
"""
BORN_DEAF = """
import os, signal
from hrda_lit.system.signals import block_signals
with block_signals():
    if (child := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        print("the child is well", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
os.kill(os.getpid(), signal.SIGTERM)
print("not reached")
"""
PARENT_GONE = """
import os
from multiprocessing import connection, process, resource_sharer, util
from hrda_lit.system.signals import ignore_signals
ignore_signals()
for answers in (0, 1):
    address, _ = resource_sharer.DupFd(0)._id
    if answers:
        connection.Client(address, authkey=process.current_process().authkey).close()
    else:
        connection.SocketClient(address).close()
resource_sharer._resource_sharer.stop(timeout=10)
print("served")
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_at_once_where_nobody_looks(signum: int, code: int) -> None:
    with pytest.raises(Stopped, match=r"SIG(TERM|INT) stopped the run$") as caught, watch.handle_signals():
        os.kill(os.getpid(), signum)
    assert caught.value.code == code


def test_a_signal_waits_where_someone_looks() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watch.handle_signals():
        watch.can_wait = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_comes_amid_a_finaliser_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    class Finalised:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def run() -> None:
        with watch.handle_signals():
            thing = Finalised()
            del thing
            time.sleep(20)

    with pytest.raises(Stopped, match="SIGTERM"):
        run()
    assert "ignored" not in capfd.readouterr().err


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
        with watch.handle_signals():
            assert signal.getsignal(signal.SIGUSR1) is other
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        with watch.handle_signals():
            assert signal.getsignal(signal.SIGUSR1) == watch._receive
        monkeypatch.delenv("SLURM_JOB_ID")
        with watch.handle_signals():
            assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_loader_ignores_what_is_sent_to_the_group() -> None:
    done = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_a_loader_is_silent_when_its_parent_is_killed_while_it_takes_a_tensor() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT_GONE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "")


def test_a_process_that_is_started_while_signals_are_block_signals_never_gets_them() -> None:
    done = subprocess.run([sys.executable, "-c", BORN_DEAF], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "the child is well\n")
