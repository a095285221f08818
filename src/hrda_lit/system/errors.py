"""Errors that a user can fix, as one line."""

import os
import re
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrda_lit.system.signals import Stopped, watch
from hrda_lit.system.text import printable, reason_of

USER_ERRORS = (ValueError, OSError, FloatingPointError)
# What torch says when memory runs out: of its GPU allocator, of CUDA and its libraries, of a CPU.
MEMORY = ("out of memory", "cublas_status_alloc_failed", "can't allocate memory", "not enough memory")
SMALLER = (
    "hold less at once: in training by memory=small, trainer.precision=bf16-mixed, a smaller loading.batch_size with "
    "more loading.accumulate, or a smaller data.crop; in evaluation and prediction by inference=slide "
    "inference.batch=1, a smaller inference.window, inference.bf16=true or device=cpu"
)
# What gloo and NCCL say when the other side is gone.
LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "socket closed",
    "remote process exited",
    "timed out waiting",
)


def format_error(error: BaseException) -> str:
    """Return the message of an error as one printable line, also of one that a loader process sent."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        reason = error.strerror.lower()
        text = f"{error.filename} cannot be read or written: {reason}; choose another path or mend it."
    elif text.startswith("Caught "):
        # A loader process sends its whole traceback as the message; the last line is the error itself.
        text = text.splitlines()[-1].split(": ", 1)[-1]
    elif is_out_of_memory(error):
        size = re.search(r"tried to allocate ([\d.]+ \w+)", text, re.IGNORECASE)
        text = f"memory ran out{f' ({size[1]} more were needed)' if size else ''}; {SMALLER}."
    return printable(" ".join(text.split()))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a GPU or this machine had too little memory."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY)
    )


def can_be_mended(error: BaseException) -> bool:
    """Return whether a user can mend an error, so that its sentence is enough without a traceback."""
    # ImportError: a library may be optional.
    return isinstance(error, (*USER_ERRORS, ImportError)) or is_out_of_memory(error)


@contextmanager
def exit_on_errors(remedy: str = "the same command starts again") -> Iterator[None]:
    """End the process with one line and an exit code after an error that a user can mend, or a signal.

    Args:
        remedy: how to continue after a signal, as a part of a sentence.

    Raises:
        SystemExit: with 1 after an error, 128 + the number of the signal after a signal: 130 for Ctrl-C.
    """
    with _end_with_reader():
        try:
            with watch.handle_signals():
                yield
        except (Stopped, KeyboardInterrupt) as stopped:
            stopped = stopped if isinstance(stopped, Stopped) else Stopped(signal.SIGINT)
            print(f"{stopped}; {remedy}", file=sys.stderr)
            sys.exit(stopped.code)
        except Exception as error:
            if not can_be_mended(error) or (isinstance(error, BrokenPipeError) and _is_unread()):
                raise
            print(f"error: {format_error(error)}", file=sys.stderr)
            sys.exit(1)


@contextmanager
def _end_with_reader() -> Iterator[None]:
    """End silently, as the shell's tools do, where whoever read the output is gone, e.g. `head -1`."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # of a process without a standard output
                sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # what is left in buffers is written when Python ends
            os.dup2(nowhere, stream)
        sys.exit(128 + 13)  # SIGPIPE


def _is_unread() -> bool:
    """Return whether the other end of standard output or of standard error is closed."""
    streams = select.poll()
    streams.register(1, 0)
    streams.register(2, 0)
    return bool(streams.poll(0))  # errors and hang-ups are reported unasked


@contextmanager
def name_in_errors(path: str | Path) -> Iterator[None]:
    """Name the file in every error that its content leads to, also in those that only a programmer could read."""
    try:
        yield
    except USER_ERRORS as error:
        reason = format_error(error)
        raise ValueError(reason if str(path) in reason else f"{path} cannot be used: {reason}") from error
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(f"{path} cannot be used ({kind}: {reason_of(error)}); give another.") from error


@contextmanager
def explain_lost_process() -> Iterator[None]:
    """Say in one sentence that this process ends because another of the same run has ended.

    Raises:
        ConnectionAbortedError: if a collective finds that the other side is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error).lower() for words in LOST):
            raise ConnectionAbortedError(
                "another process of this run has ended, so this one ends too; mend what that one reports, and start "
                "again from the last checkpoint."
            ) from error
        raise
