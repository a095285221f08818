"""Read the config of a data set, be it one set or several as one."""

from collections.abc import Mapping
from typing import Any


def each(dataset: Mapping[str, Any]) -> list[Any]:
    """Return the configs of the sets that are read: its own, or one for each of several."""
    return [*(dataset.get("sets") or {"": dataset}).values()]


def called(dataset: Mapping[str, Any]) -> str:
    """Name a data set; several by all of them, e.g. "gta5 + synthia"."""
    return " + ".join(map(str, dataset["sets"])) if dataset.get("sets") else str(dataset.get("name"))


def names(dataset: Mapping[str, Any]) -> set[str]:
    """Return the name of a data set, or those of all that several are."""
    return {str(one["name"]) for one in each(dataset) if "name" in one}
