"""Properties that hold whatever the sizes and the values."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrda_lit.ops.boxes import Box, crop, random_aligned_box, sliding_boxes, stitch, whole
from hrda_lit.ops.colour import Jitter, StrongAugmentation, augment, gaussian_blur, jitter
from hrda_lit.ops.losses import downscale_label, feature_distance, pixel_weighted_cross_entropy
from hrda_lit.ops.masks import (
    batch_classes,
    block_mask,
    choose_classes,
    class_mask,
    draw_blocks,
    draw_priorities,
    paste,
)
from hrda_lit.ops.pseudo_labels import pseudo_labels
from hrda_lit.ops.resize import resize
from hrda_lit.ops.rng import generator
from hrda_lit.training.ema_teacher import ema_momentum

settings.register_profile("fast", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("fast")
seeds = st.integers(0, 2**31)
sides = st.integers(1, 40)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 90), st.integers(0, 90), seeds)
def test_detail_box_is_aligned_and_inside(rows: int, columns: int, below: int, right: int, seed: int) -> None:
    size = (8 * rows + below, 8 * columns + right)
    box = random_aligned_box(size, (8 * rows, 8 * columns), 8, generator(seed))
    assert box.size == (8 * rows, 8 * columns)
    assert box.top % 8 == box.left % 8 == 0
    # The official exclusive bound: never the last offset, unless it is the only one.
    assert 0 <= box.top <= max(0, below - 1)
    assert 0 <= box.left <= max(0, right - 1)


@given(sides, sides, sides, sides, st.data())
def test_windows_cover_the_image(height: int, width: int, h: int, w: int, data: st.DataObject) -> None:
    stride = (data.draw(st.integers(1, h)), data.draw(st.integers(1, w)))
    boxes = sliding_boxes((height, width), (h, w), stride)
    covered = torch.zeros(height, width, dtype=torch.bool)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= height
        assert 0 <= box.left < box.right <= width
        assert box.size == (min(h, height), min(w, width))
        crop(covered, box).fill_(True)
    assert covered.all()
    assert len(set(boxes)) == len(boxes), "no window twice"
    assert len({box.top for box in boxes}) == math.ceil(max(height - h, 0) / stride[0]) + 1


@given(sides, sides, sides, sides, seeds)
def test_stitch_inverts_crop(height: int, width: int, h: int, w: int, seed: int) -> None:
    image = torch.rand(2, 3, height, width, generator=generator(seed))
    boxes = sliding_boxes((height, width), (h, w), (max(1, h // 2), max(1, w // 2)))
    made = stitch((crop(image, box) for box in boxes), boxes, (height, width))
    torch.testing.assert_close(made, image)


@given(st.tuples(sides, sides, sides, sides), st.integers(1, 9))
def test_divided_box_multiplies_back(edges: tuple[int, int, int, int], factor: int) -> None:
    box = Box(*(edge * factor for edge in edges))
    assert box.divided(factor) == Box(*edges)


@given(sides, sides, sides, sides, st.floats(-5, 5))
def test_resizing_a_constant_keeps_it(h: int, w: int, height: int, width: int, value: float) -> None:
    made = resize(torch.full((1, 2, h, w), value), (height, width))
    assert made.shape == (1, 2, height, width)
    torch.testing.assert_close(made, torch.full_like(made, value))


@given(st.integers(1, 25), seeds)
def test_half_of_the_classes_rounded_up(count: int, seed: int) -> None:
    present = torch.zeros(256, dtype=torch.bool).index_fill(0, torch.arange(count) * 3 + 1, True)
    [chosen] = choose_classes(present, draw_priorities(1, generator(seed)))
    assert int(chosen.sum()) == math.ceil(count / 2)
    assert not chosen[~present].any()


@given(seeds, st.integers(1, 5))
def test_mixed_pixels_come_from_one_of_two(seed: int, count: int) -> None:
    source = generator(seed)
    label = torch.randint(0, count, (2, 6, 7), generator=source)
    chosen = choose_classes(batch_classes(label), draw_priorities(2, source))
    mask = class_mask(label, chosen)
    for one, classes, part in zip(label, chosen, mask, strict=True):
        assert set(one[part].tolist()) <= set(classes.nonzero().flatten().tolist())
        assert set(one[~part].tolist()).isdisjoint(classes.nonzero().flatten().tolist())
    mixed = paste(mask, label, torch.full_like(label, 99))
    assert torch.equal(mixed == 99, ~mask)


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_q_falls_with_tau(seed: int, first: float, second: float) -> None:
    logits = 3 * torch.randn(2, 4, 5, 6, generator=generator(seed))
    low, high = (pseudo_labels(logits, tau).q.item() for tau in sorted((first, second)))
    assert 0 <= high <= low <= 1


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_larger_ratio_hides_more(seed: int, first: float, second: float) -> None:
    draws = draw_blocks(2, (24, 40), 8, generator(seed))
    kept_more, kept_less = (block_mask(draws, ratio, (24, 40)) for ratio in sorted((first, second)))
    assert (kept_less <= kept_more).all()


@given(st.integers(0, 10**7), st.floats(0, 1))
def test_momentum(step: int, alpha: float) -> None:
    momentum = ema_momentum(step, alpha)
    assert 0 <= momentum <= alpha
    assert momentum <= ema_momentum(step + 1, alpha)


factors = st.builds(
    Jitter,
    st.tuples(*(st.floats(0.8, 1.2) for _ in range(3)), st.floats(-0.2, 0.2)).map(torch.tensor),
    st.permutations(range(4)).map(torch.tensor),
)


@given(seeds, factors)
def test_jitter_stays_in_range(seed: int, drawn: Jitter) -> None:
    image = torch.rand(3, 5, 6, generator=generator(seed))
    made = jitter(image, drawn)
    assert made.min() >= -1e-6
    assert made.max() <= 1 + 1e-6


@given(seeds, st.floats(-0.5, 0.5))
def test_hue_turns_back(seed: int, turns: float) -> None:
    image = torch.rand(3, 5, 6, generator=generator(seed))
    there, back = (Jitter(torch.tensor([1, 1, 1, sign * turns]), torch.tensor([3])) for sign in (1, -1))
    turned = jitter(image, there)
    torch.testing.assert_close(jitter(turned, back), image, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(turned.amax(0), image.amax(0))


@given(st.floats(0.15, 1.15), st.floats(-3, 3))
def test_blur_of_a_constant_keeps_it(sigma: float, value: float) -> None:
    image = torch.full((3, 12, 14), value)
    torch.testing.assert_close(gaussian_blur(image, torch.tensor(sigma)), image)


@given(seeds)
def test_augmentation_keeps_the_shape(seed: int) -> None:
    images = torch.rand(2, 3, 12, 16, generator=generator(seed))
    made = augment(images, StrongAugmentation().draw(2, generator(seed, "augment")))
    assert made.shape == images.shape
    assert made.isfinite().all()


@given(seeds, st.floats(0, 4))
def test_cross_entropy_is_linear_in_the_weight(seed: int, factor: float) -> None:
    source = generator(seed)
    logits, weight = torch.randn(2, 3, 4, 4, generator=source), torch.rand(2, 8, 8, generator=source)
    label = torch.randint(0, 3, (2, 8, 8), generator=source)
    one, many = (pixel_weighted_cross_entropy(logits, label, w) for w in (weight, factor * weight))
    assert one >= 0
    torch.testing.assert_close(many, factor * one, rtol=1e-5, atol=1e-6)


@given(seeds, st.integers(1, 4), st.floats(0.01, 1))
def test_downscaled_label_knows_no_new_class(seed: int, factor: int, ratio: float) -> None:
    label = torch.tensor([0, 2, 255])[torch.randint(0, 3, (1, 4 * factor, 3 * factor), generator=generator(seed))]
    small = downscale_label(label, factor, ratio, 5)
    assert small.shape == (1, 4, 3)
    assert set(small.unique().tolist()) <= {*label.unique().tolist(), 255}
    if factor == 1:
        assert torch.equal(small, label)


@given(seeds)
def test_feature_distance_is_a_distance(seed: int) -> None:
    one, two, three = torch.randn(3, 1, 4, 2, 3, generator=generator(seed))
    straight = feature_distance(one, two)
    assert straight >= 0
    torch.testing.assert_close(straight, feature_distance(two, one))
    assert straight <= feature_distance(one, three) + feature_distance(three, two) + 1e-5


@given(sides, sides)
def test_whole_box_is_the_image(height: int, width: int) -> None:
    image = torch.zeros(1, height, width)
    assert whole((height, width)).size == (height, width)
    assert crop(image, whole((height, width))).shape == image.shape
