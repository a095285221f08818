"""Types that hold their range where they stand in a signature: `lambda_d: Share`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Range:
    """Bounds of a number: `least` <= value <= `most`, `above` < value < `below`; None: no bound."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a number lies inside."""
        low = (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        high = (self.most is None or value <= self.most) and (self.below is None or value < self.below)
        return low and high

    def __str__(self) -> str:
        opening, low = ("[", self.least) if self.above is None else ("(", self.above)
        closing, high = ("]", self.most) if self.below is None else (")", self.below)
        if high is None:
            return f"of at least {low:g}" if opening == "[" else f"above {low:g}"
        return f"in {opening}{low:g}, {high:.10g}{closing}"


@dataclass(frozen=True)
class Length:
    """Number of items of a list: `exactly`, or if that is None any number from `least` on."""

    exactly: int | None = None
    least: int = 0

    def holds(self, items: Sequence[Any]) -> bool:
        """Return whether a list is as long as it must be."""
        return len(items) >= self.least if self.exactly is None else len(items) == self.exactly

    def __str__(self) -> str:
        return f"of {self.exactly}" if self.exactly is not None else f"of at least {self.least}"


class KeysOf:
    """Mark a group of a config that holds the keys of a class, with the types that the class annotates.

    Args:
        classes: dataclasses or TypedDicts, or their dotted names, which are imported when a group is checked.
        others: allow other keys too.
        whole: require all keys, also those that have a default.
    """

    def __init__(self, *classes: Any, others: bool = False, whole: bool = False) -> None:
        self.classes, self.others, self.whole = classes, others, whole


class Without:
    """Mark keys that the library sets itself and a config must not."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)


class Part:
    """A group of the config that is built: its `_target_` names a constructor with the types of the keys."""


class OpenPart(Part):
    """A part that gets further arguments from the library: its keys hold `_partial_: true`."""


Speed = Literal["auto", "eager", "compiled", "graphs"]
Share = Annotated[float, Range(0, 1)]
AboveShare = Annotated[float, Range(above=0, most=1)]  # a share that is not nothing
DropRate = Annotated[float, Range(0, below=1)]
Momentum = Annotated[float, Range(0, below=1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(0)]
Ratio = Annotated[float, Range(1)]  # s_T and what follows from it
Count = Annotated[int, Range(1, 2**31 - 1)]
Number = Annotated[int, Range(0, 2**31 - 1)]
BatchSize = Annotated[int, Range(1, 2**16)]
Workers = Annotated[int, Range(0, 1024)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Byte = Annotated[int, Range(0, 255)]
Bits = Annotated[int, Range(8, 16)]  # that the values of a 16-bit image use
Level = Annotated[int, Range(-8, 8)]  # a feature map, from the finest or, if negative, the coarsest
Width = Annotated[int, Range(1, 2**14)]
Dilation = Annotated[int, Range(1, 2**10)]
Scale = Annotated[float, Range(1 / 64, 64)]
Pixels = Annotated[int, Range(0, 2**20)]
Sides = Annotated[Sequence[Annotated[int, Range(1, 2**15)]], Length(2)]  # [height, width] in pixels
