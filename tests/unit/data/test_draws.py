from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from hrda_lit.data.draws import SourceDraws, TargetDraws, ready
from hrda_lit.data.folder import FolderDataset
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.rare_class import RareClass, RareClassSampler, class_counts
from hrda_lit.data.reading import ValImages
from hrda_lit.ops.boxes import Box
from hrda_lit.ops.rng import generator

Make = Callable[..., Any]
MEAN, STD = (np.array(x, np.float32)[:, None, None] for x in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))


def pixels(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def places(whole: np.ndarray, part: np.ndarray) -> list[tuple[int, int, bool]]:
    """Search a crop, or its mirror image, in an image by brute force."""
    (height, width), (h, w) = whole.shape[:2], part.shape[:2]
    return [
        (top, left, flipped)
        for flipped, wanted in ((False, part), (True, part[:, ::-1]))
        for top in range(height - h + 1)
        for left in range(width - w + 1)
        if (whole[top : top + h, left : left + w] == wanted).all()
    ]


def source_draws(dataset: FolderDataset, seed: int = 0, **options: Any) -> SourceDraws:
    return SourceDraws(
        dataset,
        dataset.files("train", True),
        Pipeline(**{"crop": (32, 32), "rare_class": None} | options),
        seed,
    )


@pytest.mark.slow
def test_source_crop_is_a_piece_of_one_file(make_dataset: Make) -> None:
    dataset = make_dataset()
    files = [dataset.read(sample) for sample in dataset.files("train", True)]
    draws, seen = source_draws(dataset), set()
    for draw in range(20):
        item = draws[draw]
        assert item["image"].dtype == item["label"].dtype == torch.uint8
        both = np.concatenate([pixels(item["image"]), item["label"].numpy()[..., None]], -1)
        found = [
            (index, *place)
            for index, (image, label) in enumerate(files)
            for place in places(np.concatenate([image.permute(1, 2, 0).numpy(), label.numpy()[..., None]], -1), both)
        ]
        assert len(found) == 1  # image and label were cut at the same place and flipped together
        seen.add(found[0])
    assert len({index for index, *_ in seen}) > 3
    assert {flipped for *_, flipped in seen} == {False, True}


def test_target_valid_moves_with_the_image(make_dataset: Make) -> None:
    dataset = make_dataset(labelled=False, layout={"margins": {"top": 3, "bottom": 9, "left": 5, "right": 2}})
    files = [dataset.read(sample)[0].permute(1, 2, 0).numpy() for sample in dataset.files("train", False)]
    mask = np.zeros((48, 64))
    mask[3:-9, 5:-2] = 1
    draws = TargetDraws(dataset, dataset.files("train", False), Pipeline((40, 40)), seed=0)
    for draw in range(12):
        item = draws[draw]
        ((top, left, flipped),) = [place for image in files for place in places(image, pixels(item["image"]))]
        valid = mask[top : top + 40, left : left + 40]
        assert (item["valid"].numpy() == (valid[:, ::-1] if flipped else valid)).all()


@pytest.mark.parametrize("kind", ["source", "target"])
def test_small_images_are_padded(make_dataset: Make, kind: str) -> None:
    dataset = make_dataset()
    pipeline = Pipeline((50, 70), rare_class=None)
    if kind == "source":
        item = SourceDraws(dataset, dataset.files("train", True), pipeline, 0)[0]
        assert item["label"][:48, :64].ne(255).any()
        assert item["label"][48:].eq(255).all()
        assert item["label"][:, 64:].eq(255).all()
    else:
        item = TargetDraws(dataset, dataset.files("train", False), pipeline, 0)[0]
        assert item["valid"].sum() == 48 * 64
        assert item["valid"][:48, :64].all()
    image = ready(item)["image"]
    assert image.shape == (3, 50, 70)
    assert image[:, :48, :64].ne(0).all()
    assert not image[:, 48:].any()
    assert not image[:, :, 64:].any()


def test_bytes_become_numbers_where_they_are_used(make_dataset: Make) -> None:
    """Each of a batch as by itself, and as NumPy normalises it."""
    dataset = make_dataset()
    source = source_draws(dataset, crop=(50, 40))
    target = TargetDraws(dataset, dataset.files("train", False), Pipeline((32, 80)), 0)
    for items in ([source[draw] for draw in range(4)], [target[draw] for draw in range(4)]):
        batch = ready(default_collate(items))
        for index, item in enumerate(items):
            alone = ready(item)
            assert {name: value.dtype for name, value in alone.items()} == {
                "image": torch.float32, "file": torch.int64,
                **({"label": torch.int64} if "label" in item else {"valid": torch.float32}),
            }  # fmt: skip
            assert all(batch[name][index].equal(value) for name, value in alone.items())
            height, width = item["extent"].tolist()
            expected = (item["image"].numpy().astype(np.float32) - MEAN) / STD
            assert alone["image"][:, :height, :width].equal(torch.from_numpy(expected[:, :height, :width]))
            assert int(alone["image"].count_nonzero()) == 3 * height * width


def test_draws_depend_on_seed_domain_and_index_alone(make_dataset: Make) -> None:
    dataset = make_dataset()
    target = TargetDraws(dataset, dataset.files("train", False), Pipeline((32, 32)), 0)
    one, again, other = source_draws(dataset), source_draws(dataset), source_draws(dataset, seed=1)
    torch.manual_seed(1)
    forwards = [one[i]["image"] for i in range(4)]
    torch.manual_seed(2)
    backwards = [again[i]["image"] for i in reversed(range(4))][::-1]
    assert all(a.equal(b) for a, b in zip(forwards, backwards, strict=True))
    assert not forwards[0].equal(forwards[1])
    assert not forwards[0].equal(other[0]["image"])
    assert not forwards[0].equal(target[0]["image"])


def test_shrink_halves_everything(make_dataset: Make) -> None:
    dataset = make_dataset(size=(96, 128), layout={"margins": {"bottom": 20}})
    pipeline = Pipeline((64, 64), downscale=2, margins_of="crop")
    item = TargetDraws(dataset, dataset.files("train", False), pipeline, 0)[0]
    assert item["image"].shape == (3, 32, 32)
    assert item["valid"].sum(1).tolist() == [32] * 22 + [0] * 10
    sizes = {pixels(ValImages(dataset, dataset.files("val", True), s)[0]["image"]).shape for s in (1, 2)}
    assert sizes == {(96, 128, 3), (48, 64, 3)}


def test_dominated_crops_are_drawn_again(make_dataset: Make) -> None:
    dataset = make_dataset()

    def dominated(ratio: float, tries: int) -> int:
        draws = source_draws(dataset, crop=(24, 24), cat_max_ratio=ratio, crop_tries=tries)
        shares = []
        for draw in range(60):
            counts = torch.bincount(draws[draw]["label"].flatten(), minlength=256)[:4]
            shares.append(float(counts.max() / counts.sum()))
        return sum(share >= 0.75 for share in shares)

    assert dominated(0.75, 10) == 0
    assert dominated(0.75, 0) > 5


def test_rare_class_fills_the_crop(make_dataset: Make, tmp_path: Any) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    counts = class_counts(dataset, samples, tmp_path / "cache")

    def persons(tries: int) -> list[int]:
        options = RareClass(temperature=0.001, min_pixels=40, accept_ratio=1.5, max_tries=tries)
        rare = RareClassSampler(counts, options, dataset.classes.names)
        draws = SourceDraws(dataset, samples, Pipeline((24, 24), cat_max_ratio=0.95, rare_class=options), 0, rare)
        return [int((draws[draw]["label"] == 3).sum()) for draw in range(40)]

    assert class_counts(dataset, samples, tmp_path / "cache")[:, 3].tolist() == [80, 0, 0, 80, 0, 0]
    patient, hasty = persons(60), persons(0)
    assert min(patient) > 60
    assert sum(count > 60 for count in hasty) < 25


def test_validation_keeps_the_label_s_size(make_dataset: Make) -> None:
    dataset = make_dataset(size=(24, 40))
    samples = dataset.files("val", True)
    images = ValImages(dataset, samples, 1)
    assert len(images) == 6
    item = images[4]
    assert (item["index"], item["image"].shape) == (4, (3, 24, 32))
    assert (item["label"].numpy() == np.asarray(Image.open(samples[4].label))).all()
    assert item["label"].dtype == torch.uint8


def test_scales_of_validation_images_come_from_the_file(make_dataset: Make) -> None:
    dataset = make_dataset(size=(24, 40))  # files of 48 x 64 are fitted to 24 x 32
    samples = dataset.files("val", True)
    item = ValImages(dataset, samples, 1, scales=(0.5, 2))[1]
    half, double = item["scaled"]
    assert (item["image"].shape[1:], half.shape[1:]) == ((24, 32), (12, 16))
    assert (pixels(double) == np.asarray(Image.open(samples[1].image))).all()
    assert "scaled" not in ValImages(dataset, samples, 1)[1]


def test_labels_of_another_size_are_resized_by_themselves(make_dataset: Make) -> None:
    """As the release does: the crop's box is the image's; what the label lacks of it is ignored."""
    dataset = make_dataset(layout={"sizes": "differ"})
    for sample in dataset.files("train", True):
        Image.fromarray(np.full((40, 64), 2, np.uint8)).save(sample.label)
    draws, rows = source_draws(dataset), set()
    for draw in range(20):
        label = draws[draw]["label"]
        known = int((label[:, 0] == 2).sum())
        assert label.shape == (32, 32)
        assert (label[:known] == 2).all()
        assert (label[known:] == 255).all()
        rows.add(known)
    assert len(rows) > 1
    assert min(rows) >= 24  # the lowest box begins at row 16 of the image's 48 rows
    item = ValImages(dataset, dataset.files("val", True), 1)[0]
    assert item["image"].shape[1:] == item["label"].shape == (48, 64)


def both_draws(dataset: FolderDataset, **options: Any) -> tuple[SourceDraws, TargetDraws]:
    pipeline = Pipeline(**{"rare_class": None} | options)
    return tuple(  # type: ignore[return-value]
        kind(dataset, dataset.files("train", True), pipeline, 0) for kind in (SourceDraws, TargetDraws)
    )


def test_a_synchronised_crop_is_one_place_of_the_source_and_the_target_crop(make_dataset: Make) -> None:
    dataset = make_dataset(layout={"margins": {"top": 6, "bottom": 9, "left": 5, "right": 2}})
    whole, part = both_draws(dataset, crop=(36, 40)), both_draws(dataset, crop=(36, 40), sync_crop=(16, 24))
    seen = set()
    for draw in range(12):
        found = []
        for mask, large, small in zip(("label", "valid"), whole, part, strict=True):
            crop, cut = large[draw], small[draw]
            assert cut["image"].shape == (3, 16, 24)
            ((top, left, flipped),) = places(pixels(crop["image"]), pixels(cut["image"]))
            assert not flipped
            assert cut[mask].equal(crop[mask][top : top + 16, left : left + 24])
            found.append((top, left))
        assert found[0] == found[1]
        seen.add(found[0])
    assert len(seen) > 6


def test_a_synchronised_crop_keeps_padding_and_the_margins_of_crops(make_dataset: Make) -> None:
    dataset = make_dataset(size=(24, 40), layout={"margins": {"top": 3, "bottom": 4}})  # read as 24 x 32
    source, target = both_draws(dataset, crop=(32, 48), sync_crop=(24, 32), margins_of="crop")
    heights = set()
    for draw in range(12):
        one, other = source[draw], target[draw]
        height, width = one["extent"].tolist()
        assert other["extent"].tolist() == [height, width]
        for image in (ready(one)["image"], ready(other)["image"]):
            inside = image[:, :height, :width]
            assert int(image.count_nonzero()) == inside.numel() > 0
            assert inside.ne(0).all()
        rows = [0] * 3 + [width] * (height - 7) + [0] * (4 + 24 - height)
        assert other["valid"].sum(1).tolist() == rows
        heights.add(height)
    assert len(heights) > 2


def test_images_are_scaled_before_the_crop_and_labels_with_them(make_dataset: Make) -> None:
    dataset = make_dataset()
    height, width = dataset.read(dataset.files("train", True)[0])[0].shape[1:]
    whole = (2 * height, 2 * width)
    source, target = both_draws(dataset, crop=whole, scale_jitter=(0.5, 1.5))
    extents = {tuple(draws[draw]["extent"].tolist()) for draw in range(8) for draws in (source, target)}
    assert len(extents) > 12
    assert all(0.5 * height <= rows <= 1.5 * height for rows, _ in extents)
    item = source[0]
    rows, columns = item["extent"].tolist()
    assert rows / height == pytest.approx(columns / width, abs=0.03)
    assert (item["label"][rows:] == dataset.classes.ignore).all(), "labels end where the image does"
    fixed = both_draws(dataset, crop=whole, scale_jitter=(1, 1))[0][0]
    assert torch.equal(fixed["image"], both_draws(dataset, crop=whole, scale_jitter=(1, 1))[0][0]["image"])
    assert fixed["extent"].tolist() == [height, width]


def test_margins_are_scaled_with_the_image(make_dataset: Make) -> None:
    dataset = make_dataset(layout={"margins": {"top": 8}})
    height, width = dataset.read(dataset.files("train", True)[0])[0].shape[1:]
    for factor in (0.5, 1.5):
        item = both_draws(dataset, crop=(2 * height, 2 * width), scale_jitter=(factor, factor))[1][0]
        assert not item["valid"][: int(8 * factor)].any()
        assert item["valid"][int(8 * factor)].any()


@pytest.mark.parametrize(("jointly", "looks"), [(False, 3 * 2 + 2), (True, 2)])
def test_both_conditions_are_judged_of_the_same_crop(
    make_dataset: Make, tmp_path: Any, jointly: bool, looks: int
) -> None:
    dataset = make_dataset()
    samples, looked = dataset.files("train", True), list[Box]()
    options = RareClass(min_pixels=0, accept_ratio=1, max_tries=2, jointly=jointly)
    rare = RareClassSampler(class_counts(dataset, samples, tmp_path), options, dataset.classes.names)
    draws = SourceDraws(dataset, samples, Pipeline(crop=(16, 16), rare_class=options, crop_tries=2), 0, rare)

    def of_one_class(box: Box) -> torch.Tensor:
        looked.append(box)
        return torch.zeros(16, 16, dtype=torch.uint8)

    draws._box(of_one_class, (64, 64), 5, generator(0))
    assert len(looked) == looks


@pytest.mark.parametrize("given", [(1.1, 0.9), (0.0, 1.0)])
def test_a_strange_scale_jitter_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="scale_jitter"):
        Pipeline(scale_jitter=given)
