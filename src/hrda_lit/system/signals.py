"""Signals that ask a run to stop: noticed at once, obeyed between two steps, the second one on the spot."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What Slurm sends before it takes a job's machine away, where it was asked to: sbatch --signal=USR1@120.
REQUEUE = getattr(signal, "SIGUSR1", None)

BEFORE = "before its first step"


class Stopped(BaseException):
    """A signal ended the run; no Exception, so that nothing takes it for a failure.

    Args:
        signum: the signal.
        told: what the run had reached, as a part of a sentence.
    """

    def __init__(self, signum: int, told: str = BEFORE) -> None:
        super().__init__(signum, told)
        self.signum, self.told = signum, told

    @property
    def code(self) -> int:
        """Return the exit code by the shell's custom: 143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"{signal.Signals(self.signum).name} stopped the run {self.told}"


class Watch:
    """What has come in, and whether it can wait for the end of a step.

    Attributes:
        received: the first signal, or None.
        told: how far the run is, as a part of a sentence.
        can_wait: whether someone looks at `received` between steps; else a signal raises `Stopped` where it comes in.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.can_wait, self.told = False, BEFORE
        self._active = False
        self._process = os.getpid()

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Take the signals over until the block ends; in threads and inside another such block nothing is changed."""
        if self._active or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._active, self._process = True, os.getpid()
        self.received, self.can_wait, self.told = None, False, BEFORE
        before = {signum: signal.getsignal(signum) for signum in _wanted()}
        for signum in before:
            signal.signal(signum, self._receive)
        unraisable, sys.unraisablehook = sys.unraisablehook, self._send_again
        try:
            yield
        finally:
            self._active, sys.unraisablehook = False, unraisable
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a loader process that was forked with this handler: its parent tells it when to end
        if self.received is not None:
            os._exit(128 + signum)
        self.received = signum
        if not self.can_wait:
            raise Stopped(signum, self.told)
        os.write(2, b"\nthe run stops after this step; a second signal stops it at once\n")

    def _send_again(self, swallowed: "sys.UnraisableHookArgs") -> None:
        if not isinstance(swallowed.exc_value, Stopped):
            sys.__unraisablehook__(swallowed)
            return
        # The signal came while Python was in a __del__ or the like, out of which nothing can be raised.
        self.received, signum = None, swallowed.exc_value.signum
        threading.Timer(0.01, os.kill, (os.getpid(), signum)).start()


watch = Watch()


def leave_to_the_parent(worker: int = 0) -> None:
    """Ignore what is sent to a whole process group; a loader ends when its parent says so or is gone."""
    for signum in _wanted():
        signal.signal(signum, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals come in only after the block; a process that is started inside never gets them.

    So what is sent to a whole process group does not kill a loader before it can ignore it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _wanted())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wanted() -> list[int]:
    names = [signal.SIGTERM, signal.SIGINT]
    if REQUEUE is not None and "SLURM_JOB_ID" in os.environ:
        names.append(REQUEUE)
    # A handler that something else has set, such as submitit's, knows better.
    ours = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, watch._receive)
    return [signum for signum in names if signal.getsignal(signum) in ours]
