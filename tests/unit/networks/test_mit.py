"""MiT in timm, and its weights in three layouts."""

import contextlib
import pickle
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.weights import read_state_dict

OPTIONS = {"embed_dims": (8, 16, 20, 32), "depths": (1, 2, 1, 1)}


@pytest.mark.parametrize(
    ("name", "parameters", "keys"),
    [("mit_b0", 3_319_392, 176), ("mit_b1", 13_151_424, 176), ("mit_b5", 81_443_008, 1052)],
)
def test_sizes(name: str, parameters: int, keys: int) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, features_only=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(model.state_dict()) == keys


@pytest.mark.parametrize(
    ("name", "depths", "channels"),
    [
        ("mit_b0", [2, 2, 2, 2], [32, 64, 160, 256]),
        ("mit_b3", [3, 4, 18, 3], [64, 128, 320, 512]),
        ("mit_b4", [3, 8, 27, 3], [64, 128, 320, 512]),
        ("mit_b5", [3, 6, 40, 3], [64, 128, 320, 512]),
    ],
)
def test_numbers(name: str, depths: list[int], channels: list[int]) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert [len(stage.blocks) for stage in model.stages] == depths
    assert [info["num_chs"] for info in model.feature_info] == channels
    assert [info["reduction"] for info in model.feature_info] == [4, 8, 16, 32]
    assert [stage.blocks[0].attn.num_heads for stage in model.stages] == [1, 2, 5, 8]
    assert [getattr(stage.blocks[0].attn.sr, "stride", (1,))[0] for stage in model.stages] == [8, 4, 2, 1]


def test_epsilons() -> None:
    model = timm.create_model("mit_b0", depths=(1, 1, 1, 1))
    block = model.stages[0].blocks[0]
    assert {block.norm1.eps, block.norm2.eps, model.stages[0].norm.eps} == {1e-6}
    assert {model.patch_embed.norm.eps, block.attn.norm.eps} == {1e-5}


def test_drop_path_grows_with_depth() -> None:
    model = timm.create_model("mit_b0", drop_path_rate=0.1)
    rates = [getattr(block.drop_path1, "drop_prob", 0) for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i / 7 for i in range(8)])


def official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name timm's weights as the authors' release does."""
    out = {}
    for key, value in state.items():
        key = re.sub(r"^patch_embed\.", "patch_embed1.", key)
        stage = re.match(r"stages_(\d)\.(downsample|blocks|norm)\.(.*)", key)
        if stage:
            number = int(stage[1]) + 1
            key = {"downsample": "patch_embed", "blocks": "block", "norm": "norm"}[stage[2]] + f"{number}.{stage[3]}"
        out[key.replace("mlp.dwconv.", "mlp.dwconv.dwconv.")] = value
    return out


def hub(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name timm's weights as the files on the Hugging Face hub do."""
    inside = {
        "norm1": "layer_norm_1",
        "norm2": "layer_norm_2",
        "attn.q": "attention.self.query",
        "attn.sr": "attention.self.sr",
        "attn.norm": "attention.self.layer_norm",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "mlp.dense1",
        "mlp.fc2": "mlp.dense2",
        "mlp.dwconv.dwconv": "mlp.dwconv.dwconv",
    }
    out = {}
    for key, value in official(state).items():
        name, kind = key.rsplit(".", 1)
        part, number, rest = re.fullmatch(r"(patch_embed|block|norm)(\d)\.?(.*)", name).groups()
        index = int(number) - 1
        if part == "norm":
            new = f"encoder.layer_norm.{index}"
        elif part == "patch_embed":
            new = f"encoder.patch_embeddings.{index}." + {"proj": "proj", "norm": "layer_norm"}[rest]
        else:
            block, rest = rest.split(".", 1)
            prefix = f"encoder.block.{index}.{block}."
            if rest == "attn.kv":
                half = len(value) // 2
                out[f"segformer.{prefix}attention.self.key.{kind}"] = value[:half].clone()
                out[f"segformer.{prefix}attention.self.value.{kind}"] = value[half:].clone()
                continue
            new = prefix + inside[rest]
        out[f"segformer.{new}.{kind}"] = value
    return out


def timms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the weights as timm's own full model does."""
    return {re.sub(r"^stages_", "stages.", key): value for key, value in state.items()}


@pytest.fixture(scope="module")
def trained() -> Backbone:
    torch.manual_seed(1)
    backbone = Backbone("mit_b0", options=OPTIONS).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(std=0.2)
    return backbone


def load(path: Path) -> Backbone:
    return Backbone("mit_b0", str(path), options=OPTIONS).eval()


@pytest.mark.parametrize("layout", [official, hub, timms])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_layouts(trained: Backbone, tmp_path: Path, layout: object, suffix: str) -> None:
    path, state = tmp_path / f"weights{suffix}", layout(trained.model.state_dict())
    head = {"classifier.weight" if layout is hub else "head.weight": torch.zeros(1000, 32)}
    save_file(state | head, path) if suffix == ".safetensors" else torch.save(state | head, path)
    image = torch.rand(1, 3, 64, 64)
    loaded = load(path)
    assert loaded.pretrained
    for ours, theirs in zip(loaded(image), trained(image), strict=True):
        assert torch.equal(ours, theirs)


def test_wrapped_state(trained: Backbone, tmp_path: Path) -> None:
    torch.save({"state_dict": official(trained.model.state_dict()), "epoch": 3}, tmp_path / "w.pth")
    ours = load(tmp_path / "w.pth").state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in trained.state_dict().items())


@pytest.mark.parametrize("layout", [official, hub])
def test_missing_key(trained: Backbone, tmp_path: Path, layout: object) -> None:
    state = layout(trained.model.state_dict())
    dropped = [key for key in state if key.endswith(("attn.q.weight", "self.query.weight"))][2]
    del state[dropped]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w\.pth does not fit .*1 keys missing .*stages_1\.blocks\.1\.attn\.q\.weight"
    ):
        load(tmp_path / "w.pth")


def test_missing_value_half(trained: Backbone, tmp_path: Path) -> None:
    state = hub(trained.model.state_dict())
    del state["segformer.encoder.block.0.0.attention.self.value.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"of another shape \(stages_0\.blocks\.0\.attn\.kv\.weight\)"):
        load(tmp_path / "w.pth")


def test_missing_key_half(trained: Backbone, tmp_path: Path) -> None:
    state = hub(trained.model.state_dict())
    del state["segformer.encoder.block.0.0.attention.self.key.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"missing \(stages_0\.blocks\.0\.attn\.kv\.weight\)"):
        load(tmp_path / "w.pth")


def test_unexpected_key(trained: Backbone, tmp_path: Path) -> None:
    torch.save(official(trained.model.state_dict()) | {"block5.0.x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"1 keys unexpected \(block5\.0\.x\)"):
        load(tmp_path / "w.pth")


def test_weights_of_another_width(trained: Backbone, tmp_path: Path) -> None:
    torch.save(
        official(Backbone("mit_b0", options=OPTIONS | {"embed_dims": (16, 16, 20, 32)}).model.state_dict()),
        tmp_path / "w.pth",
    )
    with pytest.raises(ValueError, match=r"of another shape .*patch_embed"):
        load(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_file(trained: Backbone, tmp_path: Path, suffix: str) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    state = official(trained.model.state_dict())
    save_file(state, whole) if suffix == ".safetensors" else torch.save(state, whole)
    cut.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=rf"cut\{suffix} cannot be read .*download or copy it again"):
        load(cut)


@pytest.mark.parametrize("read", [load, read_state_dict])
def test_missing_file(tmp_path: Path, read: object) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights .*absent\.pth; "):
        read(tmp_path / "absent.pth")


class Intruder:
    """An object whose unpickling creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def save_plainly(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, save_plainly])
def test_pickle_with_code_is_not_run(tmp_path: Path, save: object) -> None:
    marker, path = tmp_path / "marker", tmp_path / "w.pth"
    save({"weight": Intruder(marker)}, path)
    with pytest.raises(ValueError, match=r"w\.pth cannot be read \(it holds more than tensors"):
        read_state_dict(path)
    assert not marker.exists()
    with contextlib.suppress(RuntimeError):  # a plain pickle runs, and is refused afterwards
        torch.load(path, weights_only=False)
    assert marker.exists(), "the file was harmless, so this test showed nothing"


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, {"state_dict": {}}])
def test_file_without_tensors(tmp_path: Path, content: dict[str, object]) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth holds no tensors"):
        read_state_dict(tmp_path / "w.pth")


def test_file_that_is_no_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth cannot be read \(it holds a list, not a state dict"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_when_they_are_read(tmp_path: Path, bad: float) -> None:
    torch.save({"a.weight": torch.ones(3), "b.weight": torch.tensor([1.0, bad])}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth holds NaN or infinity in b\.weight; .*other weights"):
        read_state_dict(tmp_path / "w.pth")
