"""Settings that only some data sets need: split names and lists, margins, unusual label files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from hrda_lit.config.ranges import KeysOf, Range
from hrda_lit.config.values import check_arguments
from hrda_lit.data.margins import Margins
from hrda_lit.data.pixels import Channel


@check_arguments
@dataclass(frozen=True)
class Layout:
    """Gather what only some data sets need.

    Args:
        splits: word that replaces `{split}` in paths, per split, e.g. {train: training, val: validation}; where
            given, a split that is not listed does not exist.
        split_file: text file relative to root with one name a line, e.g. "{split}.txt": a stem, or a path where folders
            tell images of one name apart; None takes all.
        margins: borders without pseudo-labels.
        label_channel: channel of label files that holds the id, see `images.read_label`.
        bits: bits that the values of 16-bit images use, e.g. 12 as many cameras write; None for all 16.
        exclude: images to exclude, e.g. broken ones: file stems, paths below the root, or patterns of either.
        sizes: "same" refuses labels of another size than their image, "differ" resizes each by itself, as the release
            does, which GTA5 needs.
        colour_map: the colours of labels whose colours stand for classes, see `ColourMap`; None: they hold ids.
        unknown_colours: whether pixels of other colours "refuse" the label or are "ignore"d, e.g. at blurred borders.
        help: one sentence on how to get the data, for the error when they are missing.

    Raises:
        ValueError: if a value does not fit, or both a channel and colours tell the class.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    split_file: str | None = None
    margins: Annotated[Margins, KeysOf(Margins)] = field(default_factory=Margins)
    label_channel: Channel = "index"
    bits: Annotated[int, Range(8, 16)] | None = None
    exclude: Sequence[str] = ()
    sizes: Literal["same", "differ"] = "same"
    colour_map: Mapping[Any, Any] | None = None
    unknown_colours: Literal["refuse", "ignore"] = "refuse"
    help: str = "correct root, images and label_rule of the data set"

    def __post_init__(self) -> None:
        if self.colour_map is not None and self.label_channel != "index":
            raise ValueError("layout has both a colour_map and a label_channel; colours or a channel tell the class.")

    @classmethod
    def of(cls, given: "Layout | Mapping[str, Any] | None") -> "Layout":
        """Make a layout from a config's mapping.

        Args:
            given: a layout, its fields, or None for the defaults.

        Returns:
            The layout.

        Raises:
            ValueError: if a key is unknown.
        """
        if isinstance(given, Layout):
            return given
        values = dict(given or {})
        _refuse_unknown(values, cls, "layout")
        if not isinstance(margins := values.get("margins") or {}, Margins):
            _refuse_unknown(margins, Margins, "layout.margins")
            values["margins"] = Margins(**margins)
        return cls(**values)


def _refuse_unknown(given: Mapping[str, Any], wanted: type[Layout] | type[Margins], where: str) -> None:
    known = [item.name for item in fields(wanted)]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{where} has the unknown keys {unknown}; it may have {known}.")
