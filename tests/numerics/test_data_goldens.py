"""Class probabilities and the training pipeline against numbers of the authors' released code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hrda_lit.data.rare_class import class_probabilities
from hrda_lit.data.transforms import finish, fitted_size, resize_image, resize_label
from hrda_lit.ops.boxes import Box, crop
from hrda_lit.ops.normalise import normalise

ROOT = Path(__file__).parent / "goldens"


@pytest.fixture(scope="module")
def pipeline() -> dict[str, np.ndarray]:
    return dict(np.load(ROOT / "d12_pipeline.npz"))


@pytest.mark.parametrize("temperature", ["0.01", "0.1", "1.0"])
def test_class_probabilities(temperature: str) -> None:
    golden = np.load(ROOT / "d6_rcs.npz")
    files = json.loads(str(golden["sample_class_stats"]))
    counts = torch.tensor([[file.get(str(c), 0) for c in range(19)] for file in files])
    probabilities = class_probabilities(counts, float(temperature)).numpy()
    expected = golden[f"probs_T{temperature}"]
    assert np.allclose(probabilities[golden[f"classes_T{temperature}"]], expected, rtol=2e-5, atol=1e-12)


def test_resized_image(pipeline: dict[str, np.ndarray]) -> None:
    width, height = pipeline["img_scale"].tolist()
    image = torch.from_numpy(pipeline["rgb"]).permute(2, 0, 1)
    size = fitted_size((image.shape[1], image.shape[2]), (height, width))
    assert size == (141, 256)
    resized = resize_image(image, size).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(resized - pipeline["resized_bgr"][..., ::-1]).max() <= 1


@pytest.mark.parametrize("run", range(4))
def test_crop(pipeline: dict[str, np.ndarray], run: int) -> None:
    crop_size = (int(pipeline["crop_size"][0]), int(pipeline["crop_size"][1]))
    box, flip = Box(*pipeline[f"r{run}_box"].tolist()), bool(pipeline[f"r{run}_flip"])
    image = resize_image(torch.from_numpy(pipeline["rgb"]).permute(2, 0, 1), (141, 256))
    label = resize_label(torch.from_numpy(pipeline["label"]), (141, 256))
    made = finish(normalise(crop(image, box)), crop_size, flip, fill=0).numpy()
    # one grey level, because cv2 and torchvision round differently, and float16
    assert np.abs(made - pipeline[f"r{run}_img"].astype(np.float32)).max() < 1 / 57 + 2e-3
    assert (finish(crop(label, box), crop_size, flip, fill=255).numpy() == pipeline[f"r{run}_lab"][0]).all()
