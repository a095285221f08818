"""A graph that runs without this library gives the network's logits."""

import json
from pathlib import Path

import onnxruntime
import pytest
import torch

from hrda_lit.checkpoints.load import Trained, load_trained
from hrda_lit.exchange.export import export
from hrda_lit.inference.windows import Whole
from hrda_lit.ops.normalise import renormalise
from tests.scripts import run_script
from tests.trained import write_checkpoint

MIT = (
    "network.backbone.name=mit_b0",
    "+network.backbone.options.embed_dims=[8,16,40,64]",
    "+network.backbone.options.depths=[1,1,1,1]",
    "~network.backbone.options.channels",
    "~network.backbone.options.stem_width",
)
# A plain transformer with what LoRA learns beside it.
VIT = (
    "network.backbone.name=vit_tiny_patch16_224",
    "++network.backbone.options={img_size:64,embed_dim:48,depth:4,num_heads:3}",
    "~network.backbone.options.channels",
    "~network.backbone.options.stem_width",
    "network.backbone.tune=lora",
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("export") / "mit.ckpt", "hrda_demo", *MIT)


@torch.no_grad()
def expected(trained: Trained, image: torch.Tensor) -> torch.Tensor:
    return trained.inference(trained.network, renormalise(image))


@pytest.mark.thorough
@pytest.mark.parametrize("encoder", [MIT, VIT], ids=["mit", "vit lora"])
def test_the_command_writes_onnx_of_any_size_and_batch(encoder: tuple[str, ...], tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "x.ckpt", "hrda_demo", *encoder)
    path = tmp_path / "hrda.onnx"
    done = run_script("export_onnx", checkpoint, path, "--dynamic", "batch", "size")
    assert done.returncode == 0, done.stderr
    assert "logits differ by at most" in done.stdout

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    trained = load_trained(checkpoint)
    # One window, several, a side smaller than a window, and two images at once.
    for shape in ((1, 3, 128, 128), (2, 3, 136, 300), (1, 3, 100, 260)):
        image = torch.rand(shape, generator=torch.Generator().manual_seed(shape[3]))
        wanted = expected(trained, image)
        for _ in range(4):  # a graph whose threads race is right only sometimes
            [logits] = session.run(["logits"], {"image": image.numpy()})
            torch.testing.assert_close(torch.from_numpy(logits), wanted, rtol=1e-4, atol=1e-4)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert classes["names"][:2] == ["road", "sidewalk"]


@pytest.mark.parametrize(
    ("model", "whole"), [pytest.param("student", False, marks=pytest.mark.thorough), ("teacher", True)]
)
def test_torch_export_of_one_size(model: str, whole: bool, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "hrda.pt2"
    export(checkpoint, path, model=model, size=(128, 192), whole=whole)
    image = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    trained = load_trained(checkpoint, model)
    if whole:
        trained = trained._replace(inference=Whole())
    logits = torch.export.load(path).module()(image)
    torch.testing.assert_close(logits, expected(trained, image), rtol=1e-5, atol=1e-5)


@pytest.mark.thorough
def test_onnx_of_class_ids(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "ids.onnx"
    done = run_script("export_onnx", checkpoint, path, "--ids", "--whole", "--size", "128", "192")
    assert done.returncode == 0, done.stderr
    assert "% of the ids differ" in done.stdout
    image = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    logits = expected(load_trained(checkpoint)._replace(inference=Whole()), image)
    [ids] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        ["ids"], {"image": image.numpy()}
    )
    assert (ids.shape, ids.dtype) == ((1, 128, 192), "uint8")
    assert (torch.from_numpy(ids) == logits.argmax(1)).float().mean() > 0.999


def test_torch_export_of_class_ids(checkpoint: Path, tmp_path: Path) -> None:
    said = export(checkpoint, tmp_path / "ids.pt2", size=(128, 128), whole=True, ids=True)
    assert said.startswith(f"{tmp_path}/ids.pt2: image (1, 3, 128, 128): ")
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    found = torch.export.load(tmp_path / "ids.pt2").module()(image)
    logits = expected(load_trained(checkpoint)._replace(inference=Whole()), image)
    assert found.dtype == torch.uint8
    assert torch.equal(found.long(), logits.argmax(1))


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("a.txt", {}, r"ends in none of \['\.onnx', '\.pt2'\]"),
        ("a.pt2", {"size": (0, 64)}, r"size\[0\]=0: expected a whole number in \[1, 32768\]"),
        ("a.onnx", {"dynamic": ["colour"]}, r"dynamic=\['colour'\] is none of"),
        ("a.onnx", {"dynamic": ["size"], "whole": True}, "the number of detail windows"),
        ("a.pt2", {"dynamic": ["size"]}, "export to .onnx, where it does"),
        ("a.pt2", {"model": "pupil"}, "model='pupil' is none of"),
    ],
)
def test_what_has_no_graph_is_refused(
    name: str, options: dict[str, object], sentence: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        export(checkpoint, tmp_path / name, **options)  # type: ignore[arg-type]
    assert not (tmp_path / name).exists()


def test_a_graph_that_differs_is_not_written(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = b"graph", lambda image: torch.zeros(len(image), 19, *image.shape[2:])
    monkeypatch.setattr("hrda_lit.exchange.export._translate", lambda *_: graph)
    with pytest.raises(ValueError, match=r"differ by .*nothing was written"):
        export(checkpoint, tmp_path / "a.pt2", size=(128, 128))
    assert not (tmp_path / "a.pt2").exists()
