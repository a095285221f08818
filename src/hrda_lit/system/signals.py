"""Signals that ask a run to stop: noted at once, handled between two steps; a second one ends the process."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

# What Slurm sends before it takes a job's machine away, if asked to: sbatch --signal=USR1@120.
REQUEUE = getattr(signal, "SIGUSR1", None)


class Stopped(BaseException):
    """A signal ended the run at what it had `reached`; not an Exception, since it is not a failure."""

    def __init__(self, signum: int, reached: str = "") -> None:
        super().__init__(signum, reached)
        self.signum, self.reached = signum, reached

    @property
    def code(self) -> int:
        """Return the exit code by the shell's custom: 143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"{signal.Signals(self.signum).name} stopped the run {self.reached}".rstrip()


class SignalWatch:
    """The signal that came, and whether it can wait for the end of a step.

    Attributes:
        received: first signal, or None.
        reached: progress of the run, as a part of a sentence.
        can_wait: whether `received` is polled between steps; else a signal raises `Stopped` at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.can_wait, self.reached = False, ""
        self._active = False
        self._process = os.getpid()

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle signals until the block ends; does nothing in threads and inside another such block."""
        if self._active or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._active, self._process = True, os.getpid()
        self.received, self.can_wait, self.reached = None, False, ""
        before = {signum: signal.getsignal(signum) for signum in _own_signals()}
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
            return  # a loader process that was forked with this handler: its parent ends it
        if self.received is not None:
            os._exit(128 + signum)
        self.received = signum
        if not self.can_wait:
            raise Stopped(signum, self.reached)
        os.write(2, b"\nthe run stops after this step; a second signal stops it at once\n")

    def _send_again(self, swallowed: "sys.UnraisableHookArgs") -> None:
        if not isinstance(swallowed.exc_value, Stopped):
            sys.__unraisablehook__(swallowed)
            return
        # The signal came while Python was in a __del__ or the like, out of which nothing can be raised.
        self.received, signum = None, swallowed.exc_value.signum
        threading.Timer(0.01, os.kill, (os.getpid(), signum)).start()


watch = SignalWatch()


def exit_on_ctrl_c() -> None:
    """End this process with one line and 130 at a Ctrl-C, until `SignalWatch.handle_signals`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def _exit(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"SIGINT stopped the start; the same command starts again\n")
    os._exit(128 + signum)


def ignore_signals(worker: int = 0) -> None:
    """Ignore what is sent to a whole process group; a loader ends when its parent says so or is gone."""
    for signum in _own_signals():
        signal.signal(signum, signal.SIG_IGN)
    sys.excepthook = _report_unless_parent_left


def _report_unless_parent_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Python's thread that hands tensors over reports a parent that was killed while it took one.
    if not isinstance(error, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def block_signals() -> Iterator[None]:
    """Deliver signals only after the block; a process that is started inside never gets them.

    So what is sent to a whole process group does not kill a loader before it can ignore it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _own_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _own_signals() -> list[int]:
    names = [signal.SIGTERM, signal.SIGINT]
    if REQUEUE is not None and "SLURM_JOB_ID" in os.environ:
        names.append(REQUEUE)
    # Handlers of others, such as submitit's, stay.
    ours = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, _exit, watch._receive)
    return [signum for signum in names if signal.getsignal(signum) in ours]
