"""What is said when another process of the same run is gone."""

import pytest

from hrda_lit.guards.errors import USER_ERRORS, together


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
    with pytest.raises(USER_ERRORS, match="another process of this run has ended") as caught, together():
        raise RuntimeError(words)
    assert "\n" not in str(caught.value)


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shape"), together():
        raise RuntimeError("shape mismatch")
