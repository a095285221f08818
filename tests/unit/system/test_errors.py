"""Errors that users see are one line with the path and the remedy."""

import pytest

from hrda_lit.system.errors import USER_ERRORS, explain_lost_process, format_error


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


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_lost_process():
        raise RuntimeError("shape mismatch")
