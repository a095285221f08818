from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from hrda_lit.data.datamodule import UDADataModule
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.folder import DataNotFoundError
from hrda_lit.data.pipeline import Loading, Pipeline
from hrda_lit.data.rare_class import RareClass

Make = Callable[..., Any]
PIPELINE = Pipeline((32, 32), rare_class=RareClass(min_pixels=40))


class Recorder(L.LightningModule):
    """Keep the batches it is given; one optimiser step each."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[dict[str, dict[str, torch.Tensor]]] = []
        self.validated: list[int] = []

    def training_step(self, batch: dict[str, dict[str, torch.Tensor]], _: int) -> torch.Tensor:
        self.batches.append(batch)
        return self.weight * 1

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.validated += batch["index"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data: UDADataModule, steps: int, ckpt_path: Path | None = None, **options: Any) -> tuple[L.Trainer, Recorder]:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    options = {
        **quiet,
        "accelerator": "cpu",
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
    } | options
    trainer = L.Trainer(max_steps=steps, **options)
    module = Recorder()
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return trainer, module


@pytest.fixture
def make_data(make_dataset: Make, tmp_path: Path) -> Make:
    source, target = make_dataset("source"), make_dataset("target", labelled=False)
    val = make_dataset("val")

    def make(workers: int = 0, **changes: Any) -> UDADataModule:
        loading = Loading(2, workers, seed=0, cache_dir=str(tmp_path / "cache"), val_workers=0)
        given = {"source": source, "target": target, "val": val, "pipeline": PIPELINE, "loading": loading}
        return UDADataModule(**given | changes)

    return make


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        x[domain][key].equal(y[domain][key]) for x, y in zip(a, b, strict=True) for domain in x for key in x[domain]
    )


@pytest.mark.filterwarnings("error:You're resuming", "ignore:Checkpoint directory .* is not empty")  # its own data
def test_prolonged_run_gets_the_same_batches_whatever_the_workers(make_data: Make, tmp_path: Path) -> None:
    whole = fit(make_data(workers=0), 5)[1]
    trainer, begun = fit(make_data(workers=0), 2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, rest = fit(make_data(workers=2), 5, tmp_path / "last.ckpt")
    assert resumed.global_step == 5
    assert same(begun.batches + rest.batches, whole.batches)
    assert not same(whole.batches[:1], whole.batches[1:2])


@pytest.mark.filterwarnings("error:You're resuming", "ignore:Checkpoint directory .* is not empty")  # its own data
def test_killed_run_goes_on_with_the_same_batches(make_data: Make, tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    _, whole = fit(make_data(), 7, callbacks=[keep], enable_checkpointing=True)
    resumed, rest = fit(make_data(), 7, tmp_path / "step=3.ckpt", val_check_interval=2)
    assert resumed.global_step == 7
    assert same(rest.batches, whole.batches[3:])
    assert rest.validated == list(range(6)) * 2  # after steps 4 and 6


def test_batches_and_validation(make_data: Make) -> None:
    _, module = fit(make_data(), 1)
    (batch,) = module.batches
    assert {domain: set(items) for domain, items in batch.items()} == {
        "source": {"image", "label", "file"},
        "target": {"image", "valid", "file"},
    }
    assert batch["source"]["image"].shape == batch["target"]["image"].shape == (2, 3, 32, 32)
    assert module.validated == list(range(6))


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")  # what is tested
def test_supervised_training_needs_neither_target_nor_validation(make_data: Make) -> None:
    _, module = fit(make_data(target=None, val=None), 2)
    assert [set(batch) for batch in module.batches] == [{"source"}] * 2
    assert module.validated == []


def test_loading_leaves_the_global_generator_alone(make_data: Make) -> None:
    data = make_data()
    data.trainer = L.Trainer(max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False)
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    next(iter(data.train_dataloader()["source"]))
    assert torch.get_rng_state().equal(before)


def test_ranks_share_validation_without_doubles(make_data: Make) -> None:
    data = make_data()
    data.setup("validate")
    seen = []
    for rank in range(4):
        data.trainer = type("Rank", (), {"global_rank": rank, "world_size": 4})()
        seen += [int(batch["index"]) for batch in data.val_dataloader()]
    assert sorted(seen) == list(range(6))


def test_a_rank_without_images_validates_one_that_does_not_count(make_data: Make) -> None:
    data = make_data()
    data.setup("validate")
    items = []
    for rank in range(9):
        data.trainer = type("Rank", (), {"global_rank": rank, "world_size": 9})()
        items += list(data.val_dataloader())
    assert [int(item["index"]) for item in items] == [*range(6), -1, -1, -1]
    assert all((item["label"] == data.source.classes.ignore).all() for item in items[6:])
    assert all((item["label"] != data.source.classes.ignore).any() for item in items[:6])


def test_files_of_a_batch_have_names(make_data: Make) -> None:
    data = make_data()
    _, module = fit(data, 1)
    for domain, draws in (("source", data._source_draws), ("target", data._target_draws)):
        for row, file in enumerate(module.batches[0][domain]["file"].tolist()):
            assert data.file_name(domain, file) == str(draws.samples[file].image)
            assert Path(data.file_name(domain, file)).is_file()
            assert row < 2


def test_unseen_crops_are_the_same_every_time_and_no_steps(make_data: Make) -> None:
    data = make_data()
    data.setup("fit")
    first, again, other = data.unseen_target_crop(0), data.unseen_target_crop(0), data.unseen_target_crop(1)
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])
    assert not any(torch.equal(first["image"], data._target_draws[draw]["image"]) for draw in range(8))


def test_class_probabilities_by_name(make_data: Make) -> None:
    data = make_data()
    assert data.class_probabilities is None
    data.prepare_data()
    data.setup("fit")
    probabilities = data.class_probabilities
    assert max(probabilities, key=probabilities.get) == "person"
    assert sum(probabilities.values()) == pytest.approx(1)


def test_validation_alone_needs_no_training_data(make_data: Make, make_dataset: Make, tmp_path: Path) -> None:
    source = make_dataset("source")
    source.tree = FileTree(tmp_path / "gone")
    data = make_data(source=source)
    data.setup("validate")
    with pytest.raises(DataNotFoundError, match="gone is not a folder"):
        data.setup("fit")


@pytest.mark.filterwarnings("ignore:`max_epochs` was not set")  # what is tested
def test_endless_training_is_refused(make_data: Make) -> None:
    with pytest.raises(ValueError, match=r"max_steps=-1, need a number of steps"):
        fit(make_data(), -1)


def test_classes_must_agree(make_data: Make, make_dataset: Make) -> None:
    other = make_dataset("other", classes={"names": ["road", "sky"]})
    with pytest.raises(ValueError, match=r"source has the classes .* and other \['road', 'sky'\]"):
        make_data(val=other)


def test_nonsense_is_refused(make_data: Make, make_dataset: Make) -> None:
    with pytest.raises(ValueError, match=r"splits has the keys \['training'\]"):
        make_data(splits={"training": "train"})
    with pytest.raises(ValueError, match="of odd is not whole"):
        make_data(target=make_dataset("odd", size=(49, 64)), pipeline=Pipeline((32, 32), downscale=2))
    with pytest.raises(ValueError, match="batch_size=0: expected"):
        Loading(batch_size=0)
