"""Boxes: where they lie, what they refuse, and stitching."""

import pytest
import torch

from hrda_lit.ops.boxes import Box, chunks, crop, random_aligned_box, sliding_boxes, stitch, whole
from hrda_lit.ops.rng import generator


def draw(size: tuple[int, int], crop_size: tuple[int, int], count: int) -> list[Box]:
    source = generator("boxes")
    return [random_aligned_box(size, crop_size, 8, source) for _ in range(count)]


def test_offsets_of_the_detail_box_cover_all_but_the_last() -> None:
    boxes = draw((64, 96), (32, 32), 400)
    # official: 64 - 32 = 32 allows tops up to 32, and 32 itself is never drawn; so with 64 horizontally.
    assert {box.top for box in boxes} == {0, 8, 16, 24}
    assert {box.left for box in boxes} == set(range(0, 64, 8))
    assert {box.size for box in boxes} == {(32, 32)}


def test_the_last_offset_is_drawn_on_request() -> None:
    source = generator("boxes")
    boxes = [random_aligned_box((64, 44), (32, 32), 8, source, last=True) for _ in range(400)]
    assert {box.top for box in boxes} == {0, 8, 16, 24, 32}
    assert {box.left for box in boxes} == {0, 8}, "12 pixels to spare, of which 8 are on the grid"


def test_margin_that_is_no_multiple_of_the_grid() -> None:
    assert {box.top for box in draw((44, 32), (32, 32), 100)} == {0, 8}


def test_box_as_large_as_the_image_is_the_image() -> None:
    assert set(draw((32, 64), (32, 64), 20)) == {whole((32, 64))}


def test_rows_and_columns_are_drawn_independently() -> None:
    boxes = draw((64, 64), (32, 32), 400)
    assert len({(box.top, box.left) for box in boxes}) == 16


def test_box_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"detail crop of \(32, 72\) does not fit .* \(64, 64\).*data\.crop"):
        random_aligned_box((64, 64), (32, 72), 8, generator(0))


def test_divided_box() -> None:
    assert Box(8, 24, 0, 40).divided(8) == Box(1, 3, 0, 5)
    assert Box(6, 12, 3, 9).divided(1.5) == Box(4, 8, 2, 6)


@pytest.mark.parametrize("box", [Box(4, 24, 0, 40), Box(8, 20, 0, 40), Box(8, 24, 3, 40), Box(8, 24, 0, 41)])
def test_misaligned_box_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match=r"does not lie on a grid of 8 pixels.*multiples of 8"):
        box.divided(8)


def test_crop_is_a_view_of_rows_and_columns() -> None:
    image = torch.arange(2 * 4 * 6).view(2, 4, 6)
    piece = crop(image, Box(1, 3, 2, 6))
    assert torch.equal(piece, image[:, 1:3, 2:6])
    piece.zero_()
    assert int(image.sum()) < 2 * 4 * 6 * (2 * 4 * 6 - 1) // 2


def test_windows_of_cityscapes() -> None:
    boxes = sliding_boxes((1024, 2048), (1024, 1024), (512, 512))
    assert [box.left for box in boxes] == [0, 512, 1024]
    assert len(sliding_boxes((1080, 1920), (1024, 1024), (512, 512))) == 6
    assert len(sliding_boxes((1024, 1024), (512, 512), (256, 256))) == 9


def test_last_window_is_moved_inwards() -> None:
    assert [box.top for box in sliding_boxes((10, 4), (4, 4), (3, 4))] == [0, 3, 6]
    assert [box.top for box in sliding_boxes((11, 4), (4, 4), (3, 4))] == [0, 3, 6, 7]


def test_window_larger_than_the_image_is_cut() -> None:
    assert sliding_boxes((5, 6), (8, 8), (4, 4)) == [whole((5, 6))]


def test_stitch_averages_overlaps() -> None:
    boxes = [Box(0, 1, 0, 3), Box(0, 1, 1, 4)]
    pieces = [torch.full((1, 1, 1, 3), value) for value in (2.0, 6.0)]
    assert stitch(iter(pieces), boxes, (1, 4)).flatten().tolist() == [2, 4, 4, 6]


def test_stitch_consumes_pieces_one_by_one() -> None:
    alive = []

    def pieces():
        for value in range(3):
            alive.append(value)
            yield torch.ones(1, 1, 1, 1)

    with pytest.raises(ValueError):
        stitch(pieces(), [whole((1, 1))] * 2, (1, 1))
    assert alive == [0, 1, 2]


def test_chunks_keep_order() -> None:
    boxes = sliding_boxes((8, 8), (2, 2), (2, 2))
    parts = list(chunks(boxes, 5))
    assert [len(part) for part in parts] == [5, 5, 5, 1]
    assert [box for part in parts for box in part] == boxes
