"""Trainings at a glance: one row each, narrow enough for a screen of 80 columns."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from hrda_lit.tables.collect import DATA, NAME, Collected
from hrda_lit.tables.settings import gain, several_kinds, signed, summary, written


def as_table(found: Sequence[Collected]) -> Table:
    """Lay trainings out.

    Args:
        found: from `collect`, by kind where there are several.

    Returns:
        What `rich` prints: name, data and the keys in which trainings differ; where there are several kinds, a section
        for each and the gain over source-only.
    """
    some = [one.setting for one in found]
    kinds, texts = several_kinds(some), _differences(found)
    title = "Trainings: mIoU in percent, mean ± spread over seeds"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("experiment", overflow="fold", min_width=_longest(one.name for one in found))
    table.add_column("data", overflow="fold", min_width=_longest(word for one in found for word in one.data.split()))
    table.add_column("set differently", overflow="fold")
    for heading in ("mIoU", *(["gain"] if kinds else []), "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    kind = None
    for one, text in zip(found, texts, strict=True):
        if kinds and one.setting.kind != kind:
            kind = one.setting.kind
            table.add_section()
            table.add_row(f"{kind or 'of unknown kind'}:", style="bold")
        scores = [summary(one.setting.mious), *([signed(gain(one.setting, some))] if kinds else [])]
        table.add_row(one.name, one.data or "-", text, *scores, str(len(one.setting.done)))
    if kinds:
        table.caption = "gain: over the best source-only one scored on the same data"
    return table


def _longest(words: Iterable[str], most: int = 18) -> int:
    return min(max(map(len, words), default=0), most)


def _differences(found: Sequence[Collected]) -> list[str]:
    """Write what each was asked for: keys by their last two parts and files by their names, where these are enough."""
    asked = [{k: v for k, v in one.setting.values.items() if k not in (NAME, DATA)} for one in found]
    keys = list(asked[0])
    names = _ends(keys, ".", 2)
    values = {key: _ends([one[key] for one in asked], "/", 1) for key in keys}
    return [" ".join(written(names[key], values[key][one[key]]) for key in keys if one[key]) for one in asked]


def _ends(names: Sequence[str], mark: str, parts: int) -> dict[str, str]:
    """Return the last parts of each name, or all of it where another one ends alike."""
    ends = {name: mark.join(name.split(mark)[-parts:]) for name in names}
    return {name: end if list(ends.values()).count(end) == 1 else name for name, end in ends.items()}
