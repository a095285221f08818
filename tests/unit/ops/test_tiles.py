"""In tiles as in one piece: upsampled logits, the loss with its gradient, and pseudo-labels."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hrda_lit.ops.logits import current_rows, rows_at_once, tiles
from hrda_lit.ops.losses import pixel_weighted_cross_entropy
from hrda_lit.ops.pseudo_labels import pseudo_labels
from hrda_lit.ops.resize import resize
from hrda_lit.ops.rng import generator

ROWS = [1, 4, 12, 20, 1000]


def drawn(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    source = generator("tiles")
    logits = 3 * torch.randn(2, 5, 9, 7, generator=source)
    label = torch.randint(0, 5, (2, 36, 28), generator=source)
    label[:, 3:9] = 255
    return logits.to(dtype).requires_grad_(), label, torch.rand(2, 36, 28, generator=source)


@pytest.mark.parametrize("rows", [*ROWS, None])
@pytest.mark.parametrize("size", [(36, 28), (27, 30), (9, 7)])
def test_tiles_make_up_the_picture(rows: int | None, size: tuple[int, int]) -> None:
    logits, _, _ = drawn()
    some = list(tiles(9, size, rows))
    made = torch.cat([tile.upsample(logits[..., tile.cells, :]) for tile in some], dim=2)
    # A third is no whole number in binary, a quarter is.
    torch.testing.assert_close(made, resize(logits, size), rtol=0, atol=1e-5 if size[0] == 27 else 0)
    factor = size[0] // 9
    assert all(tile.rows.stop - tile.rows.start <= max(rows or size[0], factor) for tile in some)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("weighted", [True, False])
def test_loss_and_gradient_in_tiles(rows: int, weighted: bool) -> None:
    made = []
    for some in (None, rows):
        logits, label, weight = drawn()
        with rows_at_once(some):
            loss = pixel_weighted_cross_entropy(logits, label, weight if weighted else None)
        (3 * loss).backward()
        made.append((loss.detach(), logits.grad))
    torch.testing.assert_close(made[1], made[0], rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_the_gradient_in_tiles_is_that_of_differences() -> None:
    logits, label, weight = drawn(torch.float64)
    weight = weight.double()
    with rows_at_once(8):
        assert torch.autograd.gradcheck(lambda x: pixel_weighted_cross_entropy(x, label, weight), [logits])


def test_sixteen_bits_keep_small_gradients_in_tiles() -> None:
    """A scaled loss of many pixels: a gradient that was divided before it was scaled would be 0."""
    logits, label, weight = drawn(torch.float16)
    with torch.autocast("cpu", torch.bfloat16), rows_at_once(8):
        loss = pixel_weighted_cross_entropy(logits, label, 1e-3 * weight)
    (2.0**16 * loss).backward()
    assert logits.grad is not None
    assert float((logits.grad != 0).float().mean()) > 0.9


@pytest.mark.parametrize("rows", ROWS)
def test_pseudo_labels_in_tiles(rows: int) -> None:
    logits, _, _ = drawn()
    whole = pseudo_labels(resize(logits, (36, 28)), 0.8)
    with rows_at_once(rows):
        tiled = pseudo_labels(logits, 0.8, (36, 28))
    assert 0 < whole.q < 1
    assert torch.equal(tiled.label, whole.label)
    torch.testing.assert_close(tiled.confidence, whole.confidence)
    assert tiled.q == whole.q


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The largest tensor that an operator makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            self.numbers = max(self.numbers, one.numel() if isinstance(one, Tensor) else 0)
        return made


def test_no_tensor_is_as_large_as_all_classes_of_all_pixels() -> None:
    logits, label, weight = drawn()
    for rows, most in ((None, 2 * 5 * 36 * 28), (4, 2 * 5 * 12 * 28)):
        with Largest() as largest, rows_at_once(rows):
            pixel_weighted_cross_entropy(logits, label, weight).backward()
            pseudo_labels(logits.detach(), 0.5, (36, 28))
        assert largest.numbers == most


def test_rows_that_do_not_come_out_whole_are_refused() -> None:
    logits, _, _ = drawn()
    refused = pytest.raises(ValueError, match=r"9 rows of logits do not divide a picture of 40 rows .*memory\.rows=8")
    with refused, rows_at_once(8):
        pseudo_labels(logits, 0.5, (40, 28))


def test_the_rows_of_before_come_back_whatever_happens() -> None:
    def passes() -> Iterator[None]:
        with rows_at_once(4):
            yield

    with rows_at_once(8):
        running = passes()
        next(running)
        assert current_rows() == 4
        running.close()
        assert current_rows() == 8
    assert current_rows() is None
