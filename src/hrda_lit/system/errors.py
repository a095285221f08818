"""What a user can mend is told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

USER_ERRORS = (ValueError, OSError, FloatingPointError)


def sentence(error: Exception) -> str:
    """Return the message of an error on one line, also of one that a loader process sent."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename} cannot be read or written: {error.strerror.lower()}; choose another path or mend it."
    text = str(error).strip()
    if not text.startswith("Caught "):
        return " ".join(text.split())
    # A loader process sends its whole traceback as the message; the last line is the error itself.
    return text.splitlines()[-1].split(": ", 1)[-1]


@contextmanager
def together() -> Iterator[None]:
    """Say in one sentence that this process ends because another of the same run has ended.

    Raises:
        ConnectionAbortedError: if a collective finds that the other side is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error).lower() for words in GONE):
            raise ConnectionAbortedError(
                "another process of this run has ended, so this one ends too; mend what that one says, and start again "
                "from the last checkpoint."
            ) from error
        raise


# What gloo and NCCL say when the other side is gone.
GONE = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "socket closed",
    "remote process exited",
    "timed out waiting",
)
