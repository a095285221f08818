"""Networks side by side, against the predictions of each alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.pictures.layers import colourise
from hrda_lit.predicting.predictor import Predictor
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow

TITLE = 16  # pixels above each picture


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

    sheet = np.asarray(Image.open(output))
    cells = sheet.reshape(2, 256 + TITLE, 5, 512, 3).swapaxes(1, 2)[:, :, TITLE:]
    images = sorted((demo_root / "cityscapes" / "leftImg8bit" / "val").rglob("*.png"))
    for row, path in zip(cells, (images[1], images[0]), strict=True):
        assert np.array_equal(row[0], np.asarray(Image.open(path).convert("RGB")))
        results = {name: Predictor(file)(path, views=name == "hrda") for name, file in networks.items()}
        for cell, result in zip(row[2:4], results.values(), strict=True):
            painted = colourise(torch.from_numpy(result.label), result.classes).permute(1, 2, 0)
            assert np.array_equal(cell, painted.numpy())
        attention = results["hrda"].views["attention"]
        assert np.abs(row[4][..., 0] - 255 * attention).max() < 1.001


def test_what_cannot_be_shown_is_refused(networks: dict[str, Path], tmp_path: Path) -> None:
    output, hrda = str(tmp_path / "compare.png"), f"hrda={networks['hrda']}"
    for arguments, message in (
        (["last.ckpt"], "need title=checkpoint"),
        (["hrda=none.ckpt"], "no checkpoint at none.ckpt"),
        ([hrda, hrda], "need a title of its own for each network"),
        ([hrda, "--images", "2"], "there are 2 validation images, got the numbers [2]"),
    ):
        done = run_script("compare_networks", output, *arguments)
        assert done.returncode == 2
        assert message in done.stderr
    assert not Path(output).exists()
