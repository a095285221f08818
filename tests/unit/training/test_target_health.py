"""The measures on unlabelled target crops, and that measuring changes nothing."""

import copy
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.module import UDAModule
from hrda_lit.ops.rng import generator
from hrda_lit.training.health import TargetHealth, inference_mode_of

pytestmark = pytest.mark.slow

Make, Fit = Callable[..., UDAModule], Callable[..., L.Trainer]


class Rows(L.Callback):
    """What a checkpoint could be chosen by after every step."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.rows.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_measuring_changes_nothing(make_module: Make, fit: Fit) -> None:
    module = make_module()
    plain = copy.deepcopy(module)
    fit(module, 4, TargetHealth(every=1, count=2))
    fit(plain, 4)
    for name, value in plain.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_measures_are_those_of_both_networks_on_the_crops(make_module: Make, fit: Fit) -> None:
    module, rows = make_module(), Rows()
    trainer = fit(module, 3, TargetHealth(every=2, count=2), rows)
    assert ["target/entropy" in row for row in rows.rows] == [False, True, True]
    assert rows.rows[1] != rows.rows[2], "the last step is measured too"
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    entropies, same, pixels = 0.0, 0, 0
    for index in range(2):
        crop = datamodule.unseen_target_crop(index)
        with torch.no_grad():
            teacher, student = (n.eval().predict(crop["image"][None])[0] for n in (module.teacher, module.student))  # type: ignore[union-attr]
        trusted = crop["valid"].bool()
        shares = teacher.softmax(0)[:, trusted]
        entropies += float(-(shares * shares.log()).sum() / torch.tensor(3.0).log())
        same += int((teacher.argmax(0) == student.argmax(0))[trusted].sum())
        pixels += int(trusted.sum())
    assert pixels == 64 * 64 * 3 // 2
    assert rows.rows[2]["target/entropy"] == pytest.approx(entropies / pixels, rel=1e-5)
    assert rows.rows[2]["target/agreement"] == pytest.approx(same / pixels)


def test_a_network_that_predicts_no_numbers_is_refused(make_module: Make, fit: Fit) -> None:
    class Break(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
            next(pl_module.teacher.head.parameters()).data.fill_(torch.nan)

    with pytest.raises(FloatingPointError, match="crops of the target"):
        fit(make_module(), 1, Break(), TargetHealth(every=1))


def test_every_module_is_left_in_its_mode(make_module: Make) -> None:
    module = make_module()
    teacher = batch_statistics_mode(module.teacher)  # type: ignore[arg-type]
    before = [part.training for part in module.modules()]
    with inference_mode_of(module.student, teacher, None):
        assert not any(part.training for part in (*module.student.modules(), *teacher.modules()))
        teacher.predict(torch.randn(1, 3, 64, 64, generator=generator(0)))
    assert [part.training for part in module.modules()] == before
    assert len(set(before)) == 2


def test_what_an_encoder_keeps_is_let_go() -> None:
    class Cached(nn.Module):
        kept = False

        def train(self, mode: bool = True) -> "Cached":
            self.kept = self.kept and not mode
            return super().train(mode)

    network = Cached()
    with inference_mode_of(network):
        network.kept = True
    assert not network.kept


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": 1, "count": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="=0: expected"):
        TargetHealth(**wrong)
