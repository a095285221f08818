"""Imports go one way: no cycle of rooms, no import from the core into a tool, each framework in its places."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import hrda_lit

ROOT = Path(hrda_lit.__file__).parent
# From the bottom to the top; a room imports itself and what stands before it.
CORE = (
    "system", "config", "ops", "data", "networks", "optim", "inference", "methods", "training", "module", "build",
    "checkpoints", "runs",
)  # fmt: skip
# Tools stand on the core. They know nothing of each other, but that all may draw with `pictures`.
TOOLS = ("pictures", "predicting", "inspecting", "tables", "dashboards", "exchange", "demo", "proposal")
COMMANDS = ("schema", "train", "evaluate", "predict", "inspect", "init", "api")
# A narrower rule than a tool's: what the demo knows of the library.
NARROW = {"demo": {"demo", "data/classes", "config/ranges", "ops/rng", "system/files", "system/progress"}}
PLACES = {
    "lightning": {"data/datamodule", "training", "runs", "dashboards", "module", "build", *COMMANDS},
    "hydra": {"config", "build", "runs", "checkpoints", "tables/hydra_callbacks", "tables/sweeps", *COMMANDS},
    "omegaconf": {"config", "build", "runs", "checkpoints", "inspecting/data_check", "tables/hydra_callbacks",
                  "exchange", *COMMANDS},
    "timm": {"networks/encoder_layers", "networks/timm_models", "networks/mit", "networks/upsample_head"},
    "wandb": {"dashboards/wandb_run"},
    "mlflow": {"dashboards/mlflow_run"},
    "trackio": {"dashboards/trackio_run"},
    "av": {"predicting/video"},
    "matplotlib": {"tables/curves", "tables/plots", "inspecting/report", "predicting/result",
                   "pictures"},
}  # fmt: skip
OPTIONAL = {"wandb", "mlflow", "trackio"}
OF_OPS = {"torch", "jaxtyping", "hrda_lit", "math", "typing", "collections", "contextlib", "contextvars", "dataclasses",
          "hashlib", "functools", "itertools", "enum"}  # fmt: skip


class Import(NamedTuple):
    """One import statement: what, where, and whether it runs when its module is imported."""

    module: str
    line: int
    at_import_time: bool


def imports(source: str) -> Iterator[Import]:
    """List the imports of a file, except those that only type checkers read."""

    def walk(node: ast.AST, top: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, top) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write absolute imports, which this test can follow."
            # `from hrda_lit import ops` imports hrda_lit.ops, or what the package itself gives.
            names = [f"hrda_lit.{a.name}" for a in node.names] if node.module == "hrda_lit" else [node.module or ""]
            yield from (Import(name, node.lineno, top) for name in names)
        # `with connecting(...)` reports a missing package where a dashboard is chosen.
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.With)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, top and not inside)

    yield from walk(ast.parse(source), True)


def may_import(room: str, other: str) -> bool:
    """Return whether files of a room may import another room."""
    if other == "api":
        return room == "api"  # the commands from Python, above all else
    if room == other or room in COMMANDS:
        return room != "schema" or other not in COMMANDS or other == "schema"
    if room in TOOLS:
        return other in CORE or other == "pictures"
    return other in CORE[: CORE.index(room)]


def complaints(where: str, source: str) -> list[str]:
    """Say in sentences what a module imports that it must not.

    Args:
        where: its path below hrda_lit, without `.py`.
        source: its code.
    """
    found = []
    room = where.split("/")[0]
    if room not in CORE + TOOLS + COMMANDS:
        return [f"{where} is in no room that is known; add it to CORE, TOOLS or COMMANDS in tests/unit/test_layers.py."]
    for made in imports(source):
        package, _, rest = made.module.partition(".")
        here, known = f"{where}.py line {made.line}", rest.replace(".", "/")
        other = known.split("/")[0]
        if package == "hrda_lit" and other in CORE + TOOLS + COMMANDS:
            if not may_import(room, other):
                found.append(f"{here}: {room} must not import {other}; move what they share to a room below both.")
            if room in NARROW and not {known, other} & NARROW[room]:
                found.append(f"{here}: {room} knows only {sorted(NARROW[room])} of the library, not {made.module}.")
        elif package in PLACES and not {where, room} & PLACES[package]:
            found.append(f"{here}: {package} belongs to {sorted(PLACES[package])}; keep it there.")
        if package in OPTIONAL and made.at_import_time:
            found.append(f"{here}: {package} is optional; import it inside the function that needs it.")
        if room == "ops" and package not in OF_OPS:
            found.append(f"{here}: ops import torch and the standard library alone, not {package}.")
    return found


def place(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports(path: Path) -> None:
    assert complaints(place(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("where", "source", "sentence"),
    [
        ("ops/x", "from hrda_lit.networks.heads import ASPP", "ops must not import networks"),
        ("ops/x", "import numpy", "not numpy"),
        ("networks/x", "def f():\n    from hrda_lit import methods", "networks must not import methods"),
        ("runs/x", "from hrda_lit.tables.report import write", "runs must not import tables"),
        ("tables/x", "from hrda_lit.dashboards.dashboard import Example", "tables must not import dashboards"),
        ("exchange/x", "from hrda_lit.train import train", "exchange must not import train"),
        ("networks/x", "import timm.layers", "timm belongs to"),
        ("data/folder", "import lightning as L", "lightning belongs to"),
        ("module", "from omegaconf import OmegaConf", "omegaconf belongs to"),
        ("dashboards/wandb_run", "import wandb", "wandb is optional"),
        ("dashboards/mlflow_run", "from mlflow.entities import Param", "mlflow is optional"),
        ("surprise", "import math", "in no room that is known"),
        ("demo/x", "from hrda_lit.data.folder import FolderDataset", "demo knows"),
    ],
)
def test_what_is_refused(where: str, source: str, sentence: str) -> None:
    [found] = complaints(where, source)
    assert sentence in found


@pytest.mark.parametrize(
    ("where", "source"),
    [
        (
            "training/x",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hrda_lit.module import UDAModule",
        ),
        ("dashboards/wandb_run", "def f():\n    import wandb"),
        ("methods/x", "from hrda_lit.methods.base import Pass\nfrom hrda_lit.ops import boxes"),
        ("data/datamodule", "import lightning as L"),
        ("tables/x", "from hrda_lit.pictures.figures import encode"),
        ("train", "from hrda_lit.schema.check import check_train"),
        ("demo/x", "from hrda_lit.data.classes import CITYSCAPES"),
    ],
)
def test_what_is_allowed(where: str, source: str) -> None:
    assert complaints(where, source) == []
