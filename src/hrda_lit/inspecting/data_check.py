"""Check every data set that a run uses, and say whether it can start."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from hrda_lit.inspecting.survey import Survey, survey

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


@check_arguments
@dataclass(frozen=True)
class DataCheck:
    """Set up the check.

    Args:
        labels: number of labels of each set that are read, spread evenly over it; >= 0.
        every: whether every image is decoded and every label read instead (once, then only what changed).
        most_ignored: share of ignored pixels above which labels are refused, in [0, 1].
        skip_broken: whether images that cannot be used are excluded instead of refused; needs `every`, and implies it.
        cache_dir: folder of the cache; `~` is the home.
        crop: (height, width) of training crops in high-resolution pixels; None where none are made.

    Raises:
        ValueError: if a number is out of range.
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
        if config.data_check is None:
            return None
        crop = (config.data.crop[0], config.data.crop[1]) if "crop" in config.data else None
        skip = {"skip_broken": config.data.skip_broken, "cache_dir": config.cache_dir, "crop": crop}
        check: DataCheck = construct(cls, "data_check", {**to_plain(config.data_check), **skip})
        return check

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
    """Check the data of a run; images are excluded from their data sets where the options say so.

    Args:
        splits: everything that is read; the roles "source" and "val" must share a class.
        options: settings of the check.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a data set's rules do not fit, or an archive is damaged.
    """
    surveys, refusals = [], []
    for split in splits:
        seen, refused = _survey_usable(split, options)
        surveys.append(seen)
        refusals += refused
    surveys = [_complete_if_useless(seen, options) if seen.split.labelled else seen for seen in surveys]
    labelled = [seen for seen in surveys if seen.split.labelled]
    refusals += [text for seen in labelled if (text := find_useless_labels(seen, options.most_ignored))]
    by_role = {role: [seen for seen in surveys if seen.split.role == role] for role in ("source", "target", "val")}
    for source in by_role["source"]:
        refusals += [text for val in by_role["val"] if (text := _find_disjoint(source, val, options))]
    warnings = find_oddities(surveys)
    if options.crop:
        cropped = by_role["source"] + by_role["target"]
        warnings += [text for seen in cropped if (text := find_padding(seen, options.crop))]
    return Findings(surveys, refusals, warnings)


def _survey_usable(split: DataSplit, options: DataCheck) -> tuple[Survey, list[str]]:
    every = options.every or options.skip_broken
    seen = survey(split, options.folder, every)
    if split.labelled:
        count = len(seen.samples) if every else options.labels
        seen = seen.with_ids(spread(seen.samples, count), options.folder)
    if not (found := find_faults(seen)):
        return seen, []
    if not options.skip_broken:
        return replace(seen, samples=[s for s in seen.samples if s not in found]), [describe_faults(seen, found)]
    return seen.without(sample.image for sample in found), []


def _complete_if_useless(seen: Survey, options: DataCheck) -> Survey:
    """Read all labels where those that were read would be refused: they may be no fair sample."""
    return _complete(seen, options) if find_useless_labels(seen, options.most_ignored) else seen


def _find_disjoint(source: Survey, val: Survey, options: DataCheck) -> str:
    if not find_disjoint_classes(source, val):
        return ""
    return find_disjoint_classes(_complete(source, options), _complete(val, options))


def _complete(seen: Survey, options: DataCheck) -> Survey:
    return seen if seen.complete else seen.with_ids(seen.samples, options.folder)


def require_good_data(splits: Sequence[DataSplit], options: DataCheck | None) -> None:
    """Check the data of a run and log the warnings; options of None check nothing.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a data set's rules or files do not fit.
    """
    if options is None:
        return
    findings = check_data(splits, options)
    findings.require()
    for text in findings.warnings:
        log.warning("%s", text)
