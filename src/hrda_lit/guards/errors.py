"""What a user can mend is told in one sentence."""

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
