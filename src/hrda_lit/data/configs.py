"""What data sets are called, by their configs."""

from collections.abc import Mapping
from typing import Any


def called(dataset: Mapping[str, Any]) -> str:
    """Name a data set; several by all of them, e.g. "gta5 + synthia"."""
    return " + ".join(map(str, dataset["sets"])) if dataset.get("sets") else str(dataset.get("name"))


def names(dataset: Mapping[str, Any]) -> set[str]:
    """Return the name of a data set, or those of all that several are."""
    return {str(one["name"]) for one in (dataset.get("sets") or {"": dataset}).values() if "name" in one}
