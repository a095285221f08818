"""What only some data sets need: split names and lists, margins, odd label files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from hrda_lit.data.images import Channel
from hrda_lit.data.margins import Margins
from hrda_lit.guards.ranges import KeysOf


@dataclass(frozen=True)
class Layout:
    """Gather what only some data sets need.

    Args:
        splits: what replaces `{split}` in paths, per split, e.g. {train: training, val: validation}; where
            given, a split that is not listed does not exist.
        split_file: text file relative to root with one file stem a line, e.g. "{split}.txt"; None takes all.
        margins: borders without pseudo-labels.
        label_channel: where label files hold the id, see `images.read_label`.
        exclude: file stems to leave out, e.g. known broken files.
        help: how to get the data, one sentence for the error when they are missing.

    Raises:
        ValueError: if label_channel is unknown or exclude holds numbers.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    split_file: str | None = None
    margins: Annotated[Margins, KeysOf(Margins)] = field(default_factory=Margins)
    label_channel: Channel = "index"
    exclude: Sequence[str] = ()
    help: str = "try experiment=hrda_demo, which draws its own data"

    def __post_init__(self) -> None:
        if self.label_channel not in ("index", "red16"):
            raise ValueError(f"label_channel '{self.label_channel}' is unknown; choose index or red16.")
        # YAML reads 00123 as a number, which would then silently exclude nothing.
        if numbers := [stem for stem in self.exclude if not isinstance(stem, str)]:
            raise ValueError(f"layout.exclude has the numbers {numbers}, need file stems; quote them.")

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
