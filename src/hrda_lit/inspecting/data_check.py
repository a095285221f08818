"""Check every dataset that a run uses, and say whether it can start."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from hrda_lit.config.nodes import construct, to_plain
from hrda_lit.config.ranges import Number, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.data.folder import DataSplit, spread
from hrda_lit.inspecting.faults import (
    describe_faults,
    find_disjoint_classes,
    find_faults,
    find_oddities,
    find_padding,
    find_useless_labels,
)
from hrda_lit.inspecting.survey import Survey, survey_split

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


@check_arguments
@dataclass(frozen=True)
class DataCheck:
    """Set up the check.

    Args:
        labels: number of labels of each dataset that are read, spread evenly over it; >= 0.
        every: whether every image is decoded and every label read instead (once, then only what changed).
        most_ignored: share of ignored pixels above which labels are refused, in [0, 1].
        skip_broken: whether unusable images are excluded instead of refused; implies `every`.
        cache_dir: folder of the cache; `~` is the home.
        crop: (height, width) of training crops in high-resolution pixels; None where none are made.
    """

    labels: Number = 64
    every: bool = False
    most_ignored: Share = 0.99
    skip_broken: bool = False
    cache_dir: str = "~/.cache/hrda_lit"
    crop: tuple[int, int] | None = None

    @classmethod
    def of(cls, config: "DictConfig") -> "DataCheck | None":
        """Read the keys of a composed tree; None where `data_check` is null.

        Raises:
            ValueError: if a key or value does not fit.
        """
        if config.data_check is None and config.data.skip_broken:
            raise ValueError("data.skip_broken=true needs the check of the data; remove data_check=null.")
        if config.data_check is None:
            return None
        crop = (config.data.crop[0], config.data.crop[1]) if "crop" in config.data else None
        skip = {"skip_broken": config.data.skip_broken, "cache_dir": config.cache_dir, "crop": crop}
        return construct(cls, "data_check", {**to_plain(config.data_check), **skip})

    @property
    def folder(self) -> Path:
        """Return the folder of caches."""
        return Path(self.cache_dir).expanduser()


@dataclass(frozen=True)
class Findings:
    """Surveys of all splits, why a run cannot start, and what else is worth a warning, in sentences."""

    surveys: list[Survey]
    refusals: list[str]
    warnings: list[str]

    def require(self) -> None:
        """Raise a ValueError with the first refusal, if there is one."""
        if self.refusals:
            raise ValueError(self.refusals[0])


def check_data(splits: Sequence[DataSplit], options: DataCheck) -> Findings:
    """Check the data of a run; images are excluded from their datasets where the options say so.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a dataset's rules do not fit, or an archive is damaged.
    """
    surveys, refusals = list[Survey](), list[str]()
    for split in splits:
        survey, refused = _survey_usable(split, options)
        surveys.append(survey)
        refusals += refused
    for survey in surveys:
        refusals += find_useless_labels(survey, options.most_ignored)

    def of_roles(*roles: str) -> list[Survey]:
        return [survey for survey in surveys if survey.split.role in roles]

    for source, val in product(of_roles("source"), of_roles("val")):
        if find_disjoint_classes(source, val):
            whole = [survey.with_all_ids(options.folder) for survey in (source, val)]
            refusals += find_disjoint_classes(*whole)
    warnings = find_oddities(surveys)
    if options.crop:
        for survey in of_roles("source", "target"):
            warnings += find_padding(survey, options.crop)
    return Findings(surveys, refusals, warnings)


def _survey_usable(split: DataSplit, options: DataCheck) -> tuple[Survey, list[str]]:
    """Survey the images of a split that can be used; refuse the others, or exclude them."""
    every = options.every or options.skip_broken
    survey = survey_split(split, options.folder, every)
    if split.labelled:
        count = len(survey.samples) if every else options.labels
        survey = survey.with_ids(spread(survey.samples, count), options.folder)
    faults = find_faults(survey)
    if faults and options.skip_broken and len(faults) < len(survey.samples):
        survey, faults = survey.without(sample.image for sample in faults), {}
    refused = [describe_faults(survey, faults)] if faults else []
    survey = replace(survey, samples=[sample for sample in survey.samples if sample not in faults])
    if find_useless_labels(survey, options.most_ignored):
        # The labels that were read may be no fair sample.
        survey = survey.with_all_ids(options.folder)
    return survey, refused


def require_good_data(splits: Sequence[DataSplit], options: DataCheck | None) -> None:
    """Check the data of a run and log the warnings; options of None check nothing.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a dataset's rules or files do not fit.
    """
    if options is None:
        return
    findings = check_data(splits, options)
    findings.require()
    for text in findings.warnings:
        log.warning("%s", text)
