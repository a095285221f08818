"""One reader for every dataset that is a folder of images and labels."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Annotated, Any, NamedTuple, TypeVar

from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.ranges import Byte, KeysOf, Sides
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes, ClassKeys, classes_from
from hrda_lit.data.file_tree import FileTree, Names, existing
from hrda_lit.data.images import SUFFIXES, read_image, read_pixels, read_size
from hrda_lit.data.labels import Labels
from hrda_lit.data.layout import Layout
from hrda_lit.data.pixels import Pixels
from hrda_lit.data.split_lists import match_lines, read_lines
from hrda_lit.system.paths import below, require_below, require_plain

Item = TypeVar("Item")


class DataNotFoundError(FileNotFoundError):
    """Name the place where data are missing, what was expected there and how to get them."""


class Sample(NamedTuple):
    """An image file and the file of its label, if it was asked for."""

    image: Path
    label: Path | None


@check_arguments
class FolderDataset:
    """Read the images and labels of a folder tree by rules that fit into a YAML file.

    Args:
        name: name in messages.
        root: folder with the files or with archives (.zip, .tar) of them, or one archive; `~` is the home.
        images: glob relative to root, with `{split}` where paths name the split, e.g.
            "leftImg8bit/{split}/*/*_leftImg8bit.png"; one that ends in `*` takes all image suffixes.
        label_rule: replacements that turn the path of an image (relative, with `/`) into that of its label,
            applied in order, e.g. {"images/": "labels/", ".jpg": ".png"}; `.*` stands for any suffix.
        classes: label space, see `classes_from`.
        id_map: raw id to train id, see `id_table`; None where label files hold train ids.
        size: (height, width) of the box into which images are fitted, in high-resolution pixels, aspect ratio
            kept; None keeps each image's own size.
        layout: everything that only some datasets need.
    """

    def __init__(
        self,
        name: str,
        root: str,
        images: str,
        label_rule: Mapping[str, str],
        classes: Classes | str | Annotated[Mapping[str, Any], KeysOf(ClassKeys)],
        id_map: str | Mapping[Byte, Byte] | None = None,
        size: Sides | None = None,
        layout: Layout | Annotated[Mapping[str, Any], KeysOf(Layout)] | None = None,
    ) -> None:
        self.name, self.images, self.label_rule = name, images, label_rule
        self.tree = FileTree(existing(Path(root).expanduser()))
        self.classes = classes if isinstance(classes, Classes) else classes_from(classes)
        require_plain(name, "the name of a dataset")
        self.layout = Layout.of(layout)
        self._excluded = Names(self.layout.exclude)
        self.labels = Labels(name, self.classes, id_map, self.layout, self.tree)
        self._broken: frozenset[Path] = frozenset()
        self.size = None if size is None else (size[0], size[1])

    @property
    def root(self) -> Path:
        """Return the folder, or the archive, below which all files lie."""
        return self.tree.root

    @property
    def members(self) -> list["FolderDataset"]:
        """Return the datasets that are read: this one; see `MixedDatasets`."""
        return [self]

    def of(self, sample: Sample) -> "FolderDataset":
        """Return the dataset of a sample of `files`: this one; see `MixedDatasets`."""
        return self

    def shares(self, samples: list[Sample]) -> None:
        """Return how often each file is drawn: None, as often as any other; see `MixedDatasets`."""

    def files(self, split: str, labelled: bool) -> list[Sample]:
        """List the files of a split, at least one, sorted by path.

        Args:
            split: e.g. "train".
            labelled: whether label files are needed; if not, none is looked for.

        Raises:
            DataNotFoundError: if the root, the images, the split file or label files are missing.
            ValueError: if the dataset has no such split or the label rule does not fit.
        """
        samples = self.pairs(split, labelled)
        absent = [(image, label) for image, label in samples if label and not self.tree.is_file(label)]
        if absent:
            image, label = absent[0]
            relative = label.relative_to(self.root).as_posix()
            there = self.tree.describe(relative) if len(absent) == len(samples) else ""
            raise self._missing(
                f"{label} does not exist{there}, need a label file for each of the {len(samples)} images of "
                f"{self.name} ({split}), {len(absent)} missing; layout.exclude=['{image.stem}', ...] skips "
                "them, data.skip_broken=true skips whatever is missing or broken"
            )
        return samples

    def pairs(self, split: str, labelled: bool) -> list[Sample]:
        """List the files of a split as `files` does, whether or not the label files are there."""
        self.require_root()
        images = [image for image in self._of_split(split) if image not in self._broken]
        if not images:
            raise self._missing(f"all images of {self.name} ({split}) are excluded, need at least one")
        return [Sample(image, self._label_path(image) if labelled else None) for image in images]

    def require_root(self) -> None:
        """Raise a DataNotFoundError if there is nothing at the root."""
        if not self.tree.is_there():
            raise self._missing(f"{self.root} is not a folder, need the root of the dataset {self.name} there")

    def exclude(self, images: Iterable[Path]) -> None:
        """Exclude images from every list from now on."""
        self._broken |= frozenset(images)

    def read(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "H W"] | None]:
        """Read an image, RGB in [0, 255], and the train ids of its label, if the sample has one.

        Raises:
            ValueError: if a file is broken, the sizes differ or an id is out of range.
        """
        image = read_image(sample.image, self.layout.bits or 16, self.tree.archived(sample.image))
        if sample.label is None:
            return image, None
        label = self.labels.read(sample.label)
        if label.shape != image.shape[1:] and self.layout.sizes == "same":
            raise ValueError(
                f"label {sample.label} has {tuple(label.shape)} pixels, its image {tuple(image.shape[1:])}; correct "
                "one, exclude the image with layout.exclude, or set layout.sizes=differ to resize each by itself."
            )
        return image, label

    def read_size(self, path: Path) -> tuple[int, int]:
        """Read (height, width) of an image from its header, see `images.read_size`."""
        return read_size(path, self.tree.archived(path))

    def read_pixels(self, path: Path) -> Pixels:
        """Read an image as RGB in [0, 255], see `images.read_pixels`."""
        return read_pixels(path, self.layout.bits or 16, self.tree.archived(path))

    def list_unused(self, split: str) -> list[Path]:
        """List files beside the images of a split that are neither images nor labels of any split."""
        images = self._find(self._in_split(self.images, split))
        unused = {*self.tree.beside({image.parent for image in images})} - {*images}
        every = [*images, *self._find(self._in_split(self.images, "*"))] if unused else []
        for image in every:
            with suppress(ValueError):  # a rule that does not fit is refused where labels are needed
                unused.discard(self._label_path(image))
        return sorted(unused.difference(every))

    def _of_split(self, split: str) -> list[Path]:
        if self.layout.splits and split not in self.layout.splits:
            raise ValueError(f"{self.name} has no split '{split}'; choose one of {sorted(self.layout.splits)}.")
        pattern = self._in_split(self.images, split)
        require_below(pattern, f"images of {self.name}")
        images = [path for path in self._find(pattern) if path.relative_to(self.root) not in self._excluded]
        if not images:
            hint = ", where [ in a name is written [[]" if "[" in pattern else self.tree.describe(pattern)
            if "," in pattern and "{" in pattern:
                hint = "; for several suffixes write * and the label_rule {.*: .png}"
            raise self._missing(f"no file fits {self.root / pattern}{hint}, need the images of {self.name} ({split})")
        if self.layout.split_file is None:
            return images
        listing = self._in_split(self.layout.split_file, split)
        return self._listed(images, below(self.root, listing, f"layout.split_file of {self.name}"), pattern)

    def _in_split(self, text: str, split: str) -> str:
        return text.replace("{split}", self.layout.splits.get(split, split))

    def _find(self, pattern: str) -> list[Path]:
        found = sorted(self.tree.search(pattern))
        return [path for path in found if path.suffix.lower() in SUFFIXES] if pattern.endswith("*") else found

    def _listed(self, images: list[Path], listing: Path, pattern: str) -> list[Path]:
        listing = existing(listing)
        is_there = self.tree.is_file(listing)
        lines = read_lines(listing, self.tree.archived(listing)) if is_there else []
        listed, absent = match_lines(lines, images, listing, ending=pattern.rpartition("*")[2])
        if not listed and not absent:
            fault = "is empty" if is_there else "does not exist"
            raise self._missing(f"{listing} {fault}, need the names of images of {self.name}, one a line")
        absent = [line for line in absent if PurePath(line) not in self._excluded]
        if absent:
            raise self._missing(
                f"{listing} lists {len(lines)} images, need a file for each, but {len(absent)} have none "
                f"({', '.join(absent[:3])})"
            )
        return listed

    def _label_path(self, image: Path) -> Path:
        relative = image.relative_to(self.root).as_posix()
        for old, new in self.label_rule.items():
            if old == ".*":
                relative = relative.removesuffix(PurePath(relative).suffix) + new
                continue
            if old not in relative:
                raise ValueError(
                    f"label_rule of {self.name} replaces '{old}', which '{relative}' does not contain; "
                    "correct the rule or `images`, or write '.*' for suffixes that differ, e.g. {.*: .png}."
                )
            relative = relative.replace(old, new)
        label = existing(below(self.root, relative, f"what label_rule of {self.name} makes of {image}"))
        if label == image:
            raise ValueError(
                f"label_rule of {self.name} takes {image} for its own label; give replacements that lead from an "
                "image to its label."
            )
        return label

    def _missing(self, what: str) -> DataNotFoundError:
        return DataNotFoundError(f"{what}; {self.layout.help}.")


class DataSplit(NamedTuple):
    """One split of a dataset, its role (source, target, val or a user's name), and whether it has labels."""

    role: str
    dataset: FolderDataset
    split: str
    labelled: bool

    def __str__(self) -> str:
        return f"{self.dataset.name} ({self.role}, {self.split})"


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Choose at most `count` items, evenly over all."""
    total = min(count, len(items))
    return [items[len(items) * index // total] for index in range(total)]
