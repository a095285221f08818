"""Source, target and validation loaders for Lightning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hrda_lit.data.draws import SourceDraws, TargetDraws, ready
from hrda_lit.data.folder import DataSplit, Sample
from hrda_lit.data.loaders import QuietLoader, StepBatches, count_workers, worker_options
from hrda_lit.data.mixed import Images, check_same_classes
from hrda_lit.data.pipeline import Loading, Pipeline
from hrda_lit.data.rare_class import RareClassSampler, class_counts
from hrda_lit.data.reading import UNCOUNTED, Reader, ValImages, require_room
from hrda_lit.ops import rng

SPLITS = {"source": "train", "target": "train", "val": "val"}


class UDADataModule(L.LightningDataModule):
    """Load labelled source crops, unlabelled target crops and whole validation images.

    Batches are a function of (seed, step, rank), whatever the number of workers; the Trainer needs
    `use_distributed_sampler=False`, or it would replace the samplers that make them so.

    Args:
        source: labelled data to train on.
        target: data to adapt to; None for supervised training.
        val: labelled data to validate on; None for none.
        pipeline: settings of crops.
        loading: settings of batches.
        splits: split of each, by the keys "source", "target" and "val".
        scales: scales of validation images, see `ValImages`.

    Raises:
        ValueError: if the datasets' classes differ, sizes are not whole or splits has an unknown key.
    """

    def __init__(
        self,
        source: Images,
        target: Images | None,
        val: Images | None,
        pipeline: Pipeline,
        loading: Loading,
        splits: Mapping[str, str] | None = None,
        scales: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.scales = scales
        self.source, self.target, self.val = source, target, val
        self.pipeline, self.loading = pipeline, loading
        self.splits = {**SPLITS, **(splits or {})}
        if unknown := sorted(set(self.splits) - set(SPLITS)):
            raise ValueError(f"splits has the keys {unknown}; it may have {sorted(SPLITS)}.")
        for other in (source, target, val):
            if other is not None:
                check_same_classes(source, other)
                for member in other.members:
                    pipeline.check(member)
        self._source_draws: SourceDraws | None = None
        self._target_draws: TargetDraws | None = None
        self._val_images: ValImages | None = None

    @property
    def class_probabilities(self) -> dict[str, float] | None:
        """Return how often rare class sampling picks each class, by name; None without it or before setup."""
        draws = self._source_draws
        if draws is None or draws.rare is None:
            return None
        return dict(zip(self.source.classes.names, draws.rare.probabilities.tolist(), strict=True))

    def data_splits(self) -> list[DataSplit]:
        """List each dataset that is read, with its role, its split and whether labels count."""
        used = {"source": self.source, "target": self.target, "val": self.val}
        found = []
        for role, data in used.items():
            members = [] if data is None else data.members
            found += [DataSplit(role, member, self.splits[role], role != "target") for member in members]
        return found

    def file_name(self, domain: str, file: int) -> str:
        """Return the path of an image by its domain ("source" or "target") and the batch's "file"."""
        draws = {"source": self._source_draws, "target": self._target_draws}[domain]
        assert draws is not None, "setup('fit') comes first"
        return str(draws.samples[file].image)

    def unseen_target_crop(self, index: int) -> dict[str, Tensor]:
        """Draw a target crop, index >= 0, that no step draws, the same in every run of a seed."""
        assert self._target_draws is not None, "setup('fit') comes first"
        return ready(self._target_draws[-1 - index])  # steps draw from 0 on

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise a batch, on its device."""
        if not isinstance(batch, dict):
            return batch  # what a method draws goes to the device this way too
        return ready(batch) if "image" in batch else {domain: ready(drawn) for domain, drawn in batch.items()}

    def prepare_data(self) -> None:
        """Count the source's classes and announce the size of the cache; on one process only."""
        if self._source_draws is not None:
            return
        folder, downscale = self.loading.cache_folder, self.pipeline.downscale
        if folder is not None:
            reading = [
                (Reader(dataset, downscale, folder), dataset.files(split, labelled))
                for _, dataset, split, labelled in self.data_splits()
            ]
            require_room(folder, reading)
        if self.pipeline.rare_class is not None:
            self._counts(self._source_samples())

    def setup(self, stage: str) -> None:
        """List the files, once; no image is read. All stages but "fit" need `val` only."""
        # The command sets up before it builds a model, Lightning again before it fits.
        if stage == "fit" and self._source_draws is None:
            seed, samples, rare = self.loading.seed, self._source_samples(), None
            if self.pipeline.rare_class is not None:
                names, shares = self.source.classes.names, self.source.shares(samples)
                rare = RareClassSampler(self._counts(samples), self.pipeline.rare_class, names, shares)
            self._source_draws = SourceDraws(self.source, samples, self.pipeline, seed, rare, self.loading.cache_folder)
            self._target_draws = None if self.target is None else self.target_draws(self.target)
        if self.val is not None and self._val_images is None:
            samples = self.val.files(self.splits["val"], labelled=True)
            self._val_images = ValImages(
                self.val, samples, self.pipeline.downscale, self.loading.cache_folder, self.scales
            )

    def target_draws(self, target: Images) -> TargetDraws:
        """List the files of a target and make its draws; no image is read."""
        samples = target.files(self.splits["target"], labelled=False)
        return TargetDraws(target, samples, self.pipeline, self.loading.seed, cache=self.loading.cache_folder)

    def train_dataloader(self) -> dict[str, QuietLoader]:
        """Make the "source" and perhaps "target" loader of the steps that are still to do.

        Raises:
            ValueError: if the trainer has no max_steps.
        """
        trainer = self.trainer
        assert trainer is not None, "loaders are made by a Trainer"
        if trainer.max_steps < 1:
            raise ValueError(
                f"trainer.max_steps={trainer.max_steps}, need a number of steps; set it, because draws with "
                "replacement have no epochs."
            )
        assert self._source_draws is not None, "setup('fit') comes first"
        domains: dict[str, Dataset[Any]] = {"source": self._source_draws}
        if self._target_draws is not None:
            domains["target"] = self._target_draws
        steps = (trainer.global_step, trainer.max_steps, self.loading.per_step)
        return {
            name: QuietLoader(
                draws,
                batch_sampler=StepBatches(*steps, trainer.global_rank, trainer.world_size),
                **self._options(count_workers(self.loading.num_workers)),
            )
            for name, draws in domains.items()
        }

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Make the loader of this process's validation images, one at a time; [] without any data."""
        images = self._val_images
        if images is None:
            return []
        trainer = self.trainer
        assert trainer is not None, "loaders are made by a Trainer"
        share = list(range(trainer.global_rank, len(images), trainer.world_size))
        # Without a batch, Lightning would skip in this process a validation whose end the others wait for.
        share = share or [UNCOUNTED]
        return QuietLoader(images, batch_size=1, sampler=share, **self._options(self.loading.val_workers))

    test_dataloader = val_dataloader

    def _options(self, workers: int) -> dict[str, Any]:
        return {
            **worker_options(workers),
            "persistent_workers": workers > 0,
            "pin_memory": torch.cuda.is_available(),
            # Else a loader draws from the global generator, which would change the random stream of training.
            "generator": rng.generator(self.loading.seed, "loader"),
        }

    def _source_samples(self) -> list[Sample]:
        return self.source.files(self.splits["source"], labelled=True)

    def _counts(self, samples: list[Sample]) -> Tensor:
        cache, counts = Path(self.loading.cache_dir).expanduser(), []
        for member in self.source.members:
            own = [sample for sample in samples if self.source.of(sample) is member]
            counts.append(class_counts(member, own, cache))
        return torch.cat(counts)
