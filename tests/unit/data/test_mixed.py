"""Several sets as one: what is drawn of which, and with which rules."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from hrda_lit.build import build_dataset
from hrda_lit.checkpoints.trusted import plain_tree, require_buildable
from hrda_lit.data.datamodule import UDADataModule
from hrda_lit.data.draws import SourceDraws, TargetDraws
from hrda_lit.data.mixed import MixedDatasets
from hrda_lit.data.pipeline import Loading, Pipeline
from hrda_lit.data.rare_class import RareClass, RareClassSampler
from hrda_lit.data.reading import ValImages
from hrda_lit.schema.check import check_train

Make = Callable[..., Any]
MARGINS = {"margins": {"top": 8, "bottom": 0, "left": 0, "right": 0}}


@pytest.fixture
def several(make_dataset: Make) -> MixedDatasets:
    first = make_dataset("first", size=(24, 32), layout=MARGINS)
    second = make_dataset("second")
    second.exclude([sample.image for sample in second.files("train", False)[:4]])  # 2 of its 6 files are left
    return MixedDatasets({"first": first, "second": second}, {"second": 3})


def test_files_of_all_sets_come_one_after_the_other(several: MixedDatasets) -> None:
    samples = several.files("train", labelled=True)
    assert [several.of(sample).name for sample in samples] == ["first"] * 6 + ["second"] * 2
    assert several.shares(samples).tolist() == pytest.approx([1 / 24] * 6 + [3 / 8] * 2)
    for sample in (samples[0], samples[-1]):
        image, label = several.read(sample)
        assert torch.equal(image, several.of(sample).read(sample)[0])
        assert label is not None


def test_sets_are_drawn_by_their_weights_each_with_its_own_box_and_margins(several: MixedDatasets) -> None:
    samples = several.files("train", labelled=False)
    draws = TargetDraws(several, samples, Pipeline((24, 32)), seed=0)
    items = [draws[draw] for draw in range(200)]
    names = Counter(several.of(samples[int(item["file"])]).name for item in items)
    assert 0.65 < names["second"] / 200 < 0.85
    for item in items[:20]:
        first = several.of(samples[int(item["file"])]).name == "first"
        # 8 of the first set's 48 rows are 4 of the 24 into which it is fitted.
        assert bool(item["valid"].min()) != first
        if first:
            assert not item["valid"][:4].any()


def test_rare_classes_are_sampled_over_all_sets_as_they_are_drawn() -> None:
    counts = torch.tensor([[90, 10], [80, 20], [0, 100]])
    shares = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)
    sampler = RareClassSampler(counts, RareClass(temperature=0.5, min_pixels=15), ["a", "b"], shares)
    seen = [0.25 * 90 + 0.25 * 80, 0.25 * 10 + 0.25 * 20 + 0.5 * 100]
    scores = np.exp([(1 - pixels / sum(seen)) / 0.5 for pixels in seen])
    assert sampler.probabilities.tolist() == pytest.approx((scores / scores.sum()).tolist())
    generator = torch.Generator().manual_seed(0)
    picked = Counter(sampler.pick(generator) for _ in range(600))
    assert set(picked) == {(0, 0), (0, 1), (1, 1), (1, 2)}
    assert 1.5 < picked[1, 2] / picked[1, 1] < 2.7  # twice the share


def test_counts_of_each_set_keep_their_cache(several: MixedDatasets, tmp_path: Path) -> None:
    pipeline = Pipeline((24, 32), rare_class=RareClass(min_pixels=10))
    module = UDADataModule(several, several, None, pipeline, Loading(cache_dir=str(tmp_path / "cache")))
    module.setup("fit")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    assert len(kept) == 2
    assert [str(part) for part in module.data_splits()] == [
        "first (source, train)", "second (source, train)", "first (target, train)", "second (target, train)"
    ]  # fmt: skip
    alone = UDADataModule(several.members[1], None, None, pipeline, Loading(cache_dir=str(tmp_path / "cache")))
    alone.setup("fit")
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()} == kept
    assert module.class_probabilities["person"] > module.class_probabilities["road"]


@pytest.mark.slow
def test_draws_are_the_same_in_other_processes_and_other_objects(several: MixedDatasets) -> None:
    samples = several.files("train", labelled=True)
    draws = SourceDraws(several, samples, Pipeline((24, 32), rare_class=None), 0)
    again = SourceDraws(several, several.files("train", True), Pipeline((24, 32), rare_class=None), 0)
    for item, draw in zip(DataLoader(draws, sampler=range(8), batch_size=None, num_workers=2), range(8), strict=True):
        assert all(torch.equal(item[key], again[draw][key]) for key in item)


def test_validation_fits_each_image_into_its_own_box(several: MixedDatasets) -> None:
    images = ValImages(several, several.files("val", True), 1)
    assert {images[index]["image"].shape[1:] for index in (0, 11)} == {(24, 32), (48, 64)}


def test_what_does_not_make_sense(make_dataset: Make) -> None:
    one = make_dataset("one")
    other = make_dataset("other", classes={"names": ["road", "sky", "tree", "dog"]})
    with pytest.raises(ValueError, match=r"several holds no dataset; add some, e\.g\. \+dataset@source\.sets\.one"):
        MixedDatasets({})
    with pytest.raises(ValueError, match=r"weights of several has the keys \['two'\].*may have \['one'\]"):
        MixedDatasets({"one": one}, {"two": 1})
    with pytest.raises(ValueError, match=r"one has the classes .* and other"):
        MixedDatasets({"one": one, "other": other})


def test_a_config_names_sets_and_weights_and_a_checkpoint_may_too() -> None:
    keys = ["dataset@source=mixed", "+dataset@source.sets.gta=gta5", "+dataset@source.sets.urban=urbansyn",
            "+source.weights.gta=2", "dataset@target=mixed", "+dataset@target.sets.cs=cityscapes",
            "+dataset@target.sets.vistas=mapillary_v2", "source.size=[256,512]",
            "run_dir=.", "cache_dir=."]  # fmt: skip
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", keys)
    check_train(config)
    source, target = build_dataset(config.source, "source"), build_dataset(config.target, "target")
    assert isinstance(source, MixedDatasets)
    assert ([member.name for member in source.members], source.weights) == (["gta5", "urbansyn"], [2, 1])
    assert [member.size for member in source.members] == [(256, 512)] * 2
    assert [member.size for member in target.members] == [(1024, 2048)] * 2
    plain = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("source", "target")}
    require_buildable(plain_tree(plain, "last.ckpt"), "last.ckpt")
    plain["source"]["sets"]["gta"]["_target_"] = "os.system"
    with pytest.raises(ValueError, match=r"would build 'os\.system' as source\.sets\.gta"):
        require_buildable(plain, "last.ckpt")
    config.source.weights.gta = 0
    with pytest.raises(ValueError, match=r"source\.weights\.gta=0: expected"):
        check_train(config)
