"""Look over every set that a run uses, and say whether it can start."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrda_lit.config.nodes import constructed, plain
from hrda_lit.data.folder import Part
from hrda_lit.inspecting.broken import faults, refusal
from hrda_lit.inspecting.mistakes import mistake, padding, strangers, warnings
from hrda_lit.inspecting.survey import Survey, count_ids, spread, survey
from hrda_lit.ops.checks import require_at_least, require_share
from hrda_lit.ops.ranges import Number, Share

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataCheck:
    """Set up the look.

    Args:
        labels: how many labels of each set are read, spread evenly over it; >= 0.
        every: whether every image is decoded and every label read instead (once, then only what changed).
        most_ignored: share of ignored pixels above which labels are refused, in [0, 1].
        skip_broken: whether images that cannot be used are left out instead of refused; needs `every`, and implies it.
        cache_dir: where what was seen is kept; `~` is the home.
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

    def __post_init__(self) -> None:
        require_at_least("data_check.labels", self.labels, 0)
        require_share("data_check.most_ignored", self.most_ignored)

    @classmethod
    def of(cls, config: "DictConfig") -> "DataCheck | None":
        """Read the keys of a composed tree; None where `data_check` is null.

        Raises:
            ConfigError: if a key does not fit.
            ValueError: if a value is out of range.
        """
        if config.data_check is None:
            return None
        crop = (config.data.crop[0], config.data.crop[1]) if "crop" in config.data else None
        skip = {"skip_broken": config.data.skip_broken, "cache_dir": config.cache_dir, "crop": crop}
        check: DataCheck = constructed(cls, "data_check", {**plain(config.data_check), **skip})
        return check

    @property
    def folder(self) -> Path:
        """Return the folder of caches."""
        return Path(self.cache_dir).expanduser()


@dataclass(frozen=True)
class Findings:
    """What was seen of all parts: why a run cannot start, and what else is worth a look, in sentences."""

    surveys: list[Survey]
    refusals: list[str]
    warnings: list[str]

    def require(self) -> None:
        """Raise a ValueError with the first refusal, if there is one."""
        if self.refusals:
            raise ValueError(self.refusals[0])


def check_data(parts: Sequence[Part], options: DataCheck) -> Findings:
    """Look over the parts of a run; images are left out of their data sets where the options say so.

    Args:
        parts: which; what has the role "val" must share a class with what has the role "source".
        options: how.

    Returns:
        What was seen.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a data set's rules do not fit.
    """
    surveys, refusals = [], []
    for part in parts:
        seen, refused = _usable(part, options)
        surveys.append(seen)
        refusals += refused
    labelled = [seen for seen in surveys if seen.part.labelled]
    surely = {id(seen): _surely(seen, options) for seen in labelled}
    refusals += [text for seen in surely.values() if (text := mistake(seen, options.most_ignored))]
    surveys = [surely.get(id(seen), seen) for seen in surveys]
    learned = [seen for seen in surveys if seen.part.role == "source"]
    scored = [seen for seen in surveys if seen.part.role == "val"]
    refusals += [text for one in learned for other in scored if (text := _never_meet(one, other, options))]
    cropped = [seen for seen in surveys if seen.part.role in ("source", "target")] if options.crop else []
    padded = [text for seen in cropped if options.crop and (text := padding(seen, options.crop))]
    return Findings(surveys, refusals, warnings(surveys) + padded)


def _usable(part: Part, options: DataCheck) -> tuple[Survey, list[str]]:
    every = options.every or options.skip_broken
    seen = survey(part, options.folder, every)
    if part.labelled:
        labels = spread(seen.samples, len(seen.samples) if every else options.labels)
        seen = count_ids(seen, labels, options.folder)
    if not (found := faults(seen)):
        return seen, []
    if not options.skip_broken:
        return replace(seen, samples=[s for s in seen.samples if s not in found]), [refusal(seen, found)]
    return seen.without(sample.image for sample in found), []


def _surely(seen: Survey, options: DataCheck) -> Survey:
    """Read all labels where those that were read would be refused: they may be no fair sample."""
    return _complete(seen, options) if mistake(seen, options.most_ignored) else seen


def _never_meet(one: Survey, other: Survey, options: DataCheck) -> str:
    return strangers(one, other) and strangers(_complete(one, options), _complete(other, options))


def _complete(seen: Survey, options: DataCheck) -> Survey:
    return seen if seen.complete else count_ids(seen, spread(seen.samples, len(seen.samples)), options.folder)


def require_good_data(parts: Sequence[Part], options: DataCheck | None) -> None:
    """Look over the parts of a run and log what is worth a look.

    Args:
        parts: which.
        options: how; None looks at nothing.

    Raises:
        FileNotFoundError: if a folder, a list or all images are missing.
        ValueError: if a data set's rules or files do not fit.
    """
    if options is None:
        return
    seen = check_data(parts, options)
    seen.require()
    for text in seen.warnings:
        log.warning("%s", text)
