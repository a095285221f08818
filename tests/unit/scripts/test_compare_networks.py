"""Networks side by side, against the predictions of each alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.data.images import read_pixels
from hrda_lit.pictures.layers import colourise
from hrda_lit.predicting.predictor import Predictor
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow

GAP = 11  # pixels between pictures of 512


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> dict[str, Path]:
    folder, root = tmp_path_factory.mktemp("networks"), f"data_root={demo_root}"
    return {name: write_checkpoint(folder / f"{name}.ckpt", f"{name}_demo", root) for name in ("daformer", "hrda")}


def test_a_row_per_image_and_a_column_per_network(networks: dict[str, Path], tmp_path: Path, demo_root: Path) -> None:
    output = tmp_path / "compare.png"
    done = run_script(
        "compare_networks", output, *(f"{name}={path}" for name, path in networks.items()), "--images", "1", "0"
    )
    assert done.returncode == 0, done.stderr

    sheet = np.asarray(Image.open(output).convert("RGB"))
    images = sorted((demo_root / "cityscapes" / "leftImg8bit" / "val").rglob("*.png"))
    corners = []
    for path in (images[1], images[0]):
        results = {name: Predictor(file)(path, views=name == "hrda") for name, file in networks.items()}
        painted = [colourise(torch.from_numpy(one.label), one.classes) for one in results.values()]
        grey = (255 * results["hrda"].views["attention"]).astype(np.uint8)
        cells = [read_pixels(path), *(one.permute(1, 2, 0).numpy() for one in painted), grey[..., None].repeat(3, -1)]
        [corner] = found(sheet, cells[0])
        corners.append(corner)
        step = 512 + GAP
        for column, cell in zip((0, 2, 3, 4), cells, strict=True):
            top, left = corner[0], corner[1] + column * step
            assert np.array_equal(sheet[top : top + 256, left : left + 512], cell)
    assert corners[0][0] + 256 < corners[1][0]


def found(sheet: np.ndarray, wanted: np.ndarray) -> list[tuple[int, int]]:
    places = np.argwhere((sheet == wanted[0, 0]).all(-1)).tolist()
    return [(y, x) for y, x in places if np.array_equal(sheet[y : y + 256, x : x + 512], wanted)]


def test_what_cannot_be_shown_is_refused(networks: dict[str, Path], tmp_path: Path) -> None:
    output, hrda = str(tmp_path / "compare.png"), f"hrda={networks['hrda']}"
    for arguments, message in (
        (["last.ckpt"], "need title=checkpoint"),
        (["hrda=none.ckpt"], "no checkpoint at none.ckpt"),
        ([hrda, hrda], "need a title of its own for each network"),
        ([f"label={networks['hrda']}"], "need a title of its own for each network, and not 'label'"),
        ([hrda, "--images", "2"], "there are 2 validation images, got the numbers [2]"),
    ):
        done = run_script("compare_networks", output, *arguments)
        assert done.returncode == 2
        assert message in done.stderr
    assert not Path(output).exists()
