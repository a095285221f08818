"""Errors that users see are one line with the path and the remedy."""

import pytest

from hrda_lit.guards.errors import sentence


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
    assert sentence(error) == expected
