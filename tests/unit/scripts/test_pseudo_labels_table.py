"""The table of pseudo-label quality, against pixels counted one class at a time."""

from pathlib import Path

import numpy as np
import pytest

from hrda_lit.build import build_dataset
from hrda_lit.predicting.predictor import Predictor
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    path = tmp_path_factory.mktemp("hrda") / "last.ckpt"
    return write_checkpoint(path, "hrda_demo", f"data_root={demo_root}")


def share(part: np.ndarray, whole: np.ndarray) -> str:
    return f"{100 * part.sum() / whole.sum():.1f}" if whole.any() else "absent"


def expected(path: Path, model: str) -> tuple[float, list[list[str]]]:
    """Return a threshold that half of the pixels pass, and the table for it."""
    sets = Predictor(path, model).config.val
    pairs, results = [], []
    for node in sets.get("sets", {"": sets}).values():
        dataset, predictor = build_dataset(node, "val"), Predictor(path, model, like=node)
        some = [dataset.read(sample) for sample in dataset.files("val", labelled=True)]
        results += [predictor(image.permute(1, 2, 0).contiguous().numpy()) for image, _ in some]
        pairs += some
    label = np.stack([label.numpy() for _, label in pairs if label is not None])
    right = np.stack([result.label for result in results]) == label
    confidence = np.stack([result.confidence for result in results])
    tau = float(np.median(confidence))
    sure = confidence >= tau
    known = label != dataset.classes.ignore
    where = {name: label == index for index, name in enumerate(dataset.classes.names)} | {"all pixels": known}
    return tau, [
        [name, share(of, known), share(right & of, of), share(sure & of, of), share(right & sure & of, sure & of)]
        for name, of in where.items()
    ]


def shown(page: str) -> list[list[str]]:
    printed = [line.split("│")[1:-1] for line in page.splitlines() if "│" in line]
    return [[cell.strip() for cell in cells] for cells in printed]


@pytest.mark.parametrize(("model", "arguments"), [("teacher", ()), ("student", ("--model", "student"))])
def test_every_share_is_that_of_its_pixels(checkpoint: Path, model: str, arguments: tuple[str, ...]) -> None:
    tau, rows = expected(checkpoint, model)
    done = run_script("pseudo_labels", checkpoint, "--tau", tau, *arguments)
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout) == rows
    assert f"hrda_demo, {model}, tau 0.05" in done.stdout  # hardly above 1 in 19: nothing was trained


def test_each_of_several_sets_is_fitted_into_its_own_box(tmp_path: Path, demo_root: Path) -> None:
    sets = (
        "dataset@val=mixed",
        "+dataset@val.sets.street=cityscapes",
        "+dataset@val.sets.game=gta5",
        "+val.sets.game.layout.splits.val=val",
    )
    sizes = ("val.size=null", "val.sets.street.size=[128,256]", "val.sets.game.size=[64,128]")
    path = write_checkpoint(tmp_path / "last.ckpt", "hrda_demo", f"data_root={demo_root}", *sets, *sizes)
    tau, rows = expected(path, "teacher")
    done = run_script("pseudo_labels", path, "--tau", tau)
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout) == rows
    done = run_script("compare_networks", tmp_path / "compare.png", f"hrda={path}", "--images", "0", "3")
    assert done.returncode == 0, done.stderr


def test_without_a_threshold_the_run_s_own_is_used(checkpoint: Path) -> None:
    assert "tau 0.968" in run_script("pseudo_labels", checkpoint).stdout


def test_what_does_not_fit_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["none.ckpt"], "no checkpoint at none.ckpt"),
        ([str(checkpoint), "--tau", "1.5"], "tau=1.5: expected a number in [0, 1]"),
    ):
        done = run_script("pseudo_labels", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
