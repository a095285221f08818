import re

import pytest

from hrda_lit.data.folder import FolderDataset
from hrda_lit.data.pipeline import Pipeline


@pytest.mark.parametrize(("crop", "downscale", "size"), [((1024, 1024), 1, (1024, 1024)), ([1024, 512], 2, (512, 256))])
def test_crop_size(crop: tuple[int, int], downscale: int, size: tuple[int, int]) -> None:
    assert Pipeline(crop, downscale).crop_size == Pipeline(crop, downscale).train_size == size
    smaller = Pipeline(crop, downscale, sync_crop=(256, 128))
    assert (smaller.crop_size, smaller.train_size) == (size, (256 // downscale, 128 // downscale))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"crop": (512,)}, "crop=[512]: expected"),
        ({"crop": (0, 512)}, "crop[0]=0: expected"),
        ({"crop": (511, 512), "downscale": 2}, "must be whole"),
        ({"downscale": 0.5}, "at least 1"),
        ({"cat_max_ratio": 0}, "cat_max_ratio=0"),
        ({"cat_max_ratio": 1.1}, "cat_max_ratio=1.1"),
        ({"crop_tries": -1}, "crop_tries=-1"),
        ({"margins_of": "both"}, "margins_of=both: expected"),
        ({"crop": (512, 512), "sync_crop": (256, 768)}, "data.sync_crop=[256, 768]"),
        ({"downscale": 2, "sync_crop": (511, 512)}, "must be whole"),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Pipeline(**options)  # type: ignore[arg-type]


def test_resize_box_must_come_out_whole() -> None:
    dataset = FolderDataset("odd", "anywhere", "*.png", {}, "cityscapes", size=(1052, 1915))
    Pipeline(downscale=1).check(dataset)
    with pytest.raises(ValueError, match=r"size \[1052, 1915\] of odd is not whole when shrunk by 2"):
        Pipeline(downscale=2).check(dataset)
