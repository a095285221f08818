"""What differs from before is said; what the weights do not allow is refused."""

from typing import Any

import pytest

from hrda_lit.runs.resume import differences, format_changes, refuse_fixed

CONFIG = {
    "run_dir": "/a/run",
    "data_root": "/a",
    "cache_dir": "/a/cache",
    "s_T": 2,
    "lambda_d": 0.1,
    "optim": {"lr": 0.1, "betas": [0.9, 0.99]},
    "network": {"head": {"channels": 16}, "segmentor": {"lambda_d": 0.1}, "backbone": {"weights": "/a/w.pth"}},
    "method": {"_target_": "x.SelfTraining", "tau": 0.9, "masked": None},
    "source": {"root": "/a/gta", "classes": ["road", "sky"]},
    "callbacks": {"checkpoint": {"folder": "/a/run/checkpoints"}},
    "trainer": {"max_steps": 10},
}


def changed(**values: Any) -> dict[str, tuple[Any, Any]]:
    def merged(node: Any, more: Any) -> Any:
        if not isinstance(node, dict) or not isinstance(more, dict):
            return more
        return {**node, **{key: merged(node.get(key), value) for key, value in more.items()}}

    return differences(CONFIG, merged(CONFIG, values))


def test_where_things_lie_is_no_difference() -> None:
    elsewhere = {
        "run_dir": "/b/again", "data_root": "/data", "resume": "auto",
        "source": {"root": "/data/gta"}, "callbacks": {"checkpoint": {"folder": "/b/again/checkpoints"}},
        "network": {"backbone": {"weights": "/data/w.pth"}},
    }  # fmt: skip
    assert changed(**elsewhere) == {}


def test_differences_are_told() -> None:
    found = changed(optim={"lr": 0.2, "betas": [0.9, 0.9]}, new={"key": 1})
    assert format_changes(found) == "optim.lr 0.1 -> 0.2, optim.betas [0.9, 0.99] -> [0.9, 0.9], new.key (none) -> 1"
    assert "\n" not in format_changes(found)


@pytest.mark.parametrize(
    "values",
    [
        {"optim": {"lr": 1}},
        {"trainer": {"max_steps": 20}},
        {"method": {"tau": 0.8}},
        {"lambda_d": 0.2, "network": {"segmentor": {"lambda_d": 0.2}}},
    ],
)
def test_what_can_be_applied_is_allowed(values: dict[str, Any]) -> None:
    refuse_fixed(changed(**values), "last.ckpt")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"network": {"head": {"channels": 32}}}, "network.head.channels 16 -> 32"),
        ({"s_T": 1}, "s_T 2 -> 1"),
        ({"method": {"_target_": "x.Supervised"}}, "method._target_"),
        ({"method": {"masked": {"_target_": "x.Masked"}}}, "method.masked"),
        ({"source": {"classes": ["road"]}}, "source.classes"),
    ],
)
def test_what_the_weights_do_not_allow_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be resumed with") as caught:
        refuse_fixed(changed(**values), "last.ckpt")
    assert key in str(caught.value)
