"""Imports go strictly down or to a sibling, and each framework has its place."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import hrda_lit

ROOT = Path(hrda_lit.__file__).parent
# A room below hrda_lit, or a file of it -> its floor; a file of its own goes before its room.
FLOORS = {
    "ops": 0, "guards": 0, "progress": 0,
    "networks": 1, "data": 1, "demo": 1, "optim": 1, "optim_pair": 1,
    "exchange/mit_keys": 1, "exchange/official_keys": 1, "exchange/segformer_keys": 1,
    "methods": 2, "inference": 2, "callbacks": 2, "pictures": 2, "scoring": 2, "sweeps": 2, "inspecting": 2, "speed": 2,
    "module": 3, "memory": 3,
    "build": 4,
    "checkpoints": 5, "geometry": 5, "memory/check": 5, "keys": 5, "predicting": 5, "exchange": 5, "running": 5,
    "benchmark": 6, "api": 6, "train": 6, "evaluate": 6, "predict": 6, "inspect": 6,
}  # fmt: skip
COMMANDS = {name for name, floor in FLOORS.items() if floor == 6}
PLACES = {
    "lightning": {"data/datamodule", "callbacks", "module", "build", *COMMANDS},
    "hydra": {
        "guards/arguments",
        "guards/misspelt",
        "guards/nodes",
        "build",
        "checkpoints",
        "running",
        "sweeps/callback",
        "sweeps/jobs",
        "sweeps/run_name",
        "exchange/convert",
        *COMMANDS,
    },
    "omegaconf": {
        "build",
        "checkpoints",
        "geometry",
        "guards/misspelt",
        "guards/nodes",
        "memory/check",
        "keys/check",
        "running",
        "sweeps/callback",
        "sweeps/run_name",
        "sweeps/collect",
        "exchange/convert",
        "exchange/publish",
        "exchange/segformer",
        *COMMANDS,
    },
    "timm": {"networks/backbone", "networks/timm_models", "networks/mit"},
    "wandb": {"callbacks/media", "callbacks/wandb_run"},
    "mlflow": {"callbacks/mlflow_run"},
    "trackio": {"callbacks/trackio_run"},
    "av": {"predicting/video"},
    "matplotlib": {
        "benchmark/report",
        "sweeps/plots",
        "sweeps/curves",
        "inspecting/sheet",
        "predicting/result",
        "callbacks/media",
        "pictures",
    },
}
OPTIONAL = {"wandb", "mlflow", "trackio"}
# What a room may know of the library, where that is less than its floor allows.
NARROW = {"demo": {"demo", "data/classes", "guards/files", "guards/ranges", "ops/rng", "progress"}}


class Import(NamedTuple):
    """One import statement: what, where, and whether it runs when its module is imported."""

    module: str
    line: int
    at_import_time: bool


def imports(source: str) -> Iterator[Import]:
    """List the imports of a file, leaving out what only type checkers read."""

    def walk(node: ast.AST, top: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, top) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write absolute imports, which this test can follow."
            # `from hrda_lit import ops` imports hrda_lit.ops.
            names = [f"hrda_lit.{a.name}" for a in node.names] if node.module == "hrda_lit" else [node.module or ""]
            yield from (Import(name, node.lineno, top) for name in names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, top and not inside)

    yield from walk(ast.parse(source), True)


def floor(where: str) -> int | None:
    """Return the floor of a file, given by its path or its dotted name below hrda_lit."""
    room, _, rest = where.replace(".", "/").partition("/")
    return FLOORS.get(f"{room}/{rest.partition('/')[0]}", FLOORS.get(room))


def place(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def complaints(where: str, source: str) -> list[str]:
    """Say in sentences what a module imports that it must not."""
    found = []
    own, room = floor(where), where.split("/")[0]
    if own is None:
        return [f"{where} has no floor; add it to FLOORS in tests/unit/test_layers.py."]
    for made in imports(source):
        package, _, rest = made.module.partition(".")
        here = f"{where}.py line {made.line}"
        if package == "hrda_lit" and (other := floor(rest)) is not None:
            if other > own:
                found.append(f"{here}: floor {own} imports {made.module} of floor {other}; move what is shared down.")
            known = rest.replace(".", "/")
            if room in NARROW and not {known, known.split("/")[0]} & NARROW[room]:
                found.append(f"{here}: {room} knows {sorted(NARROW[room])} of the library alone, not {made.module}.")
        elif package in PLACES and not {where, room} & PLACES[package]:
            found.append(f"{here}: {package} belongs to {sorted(PLACES[package])}; keep it there.")
        if package in OPTIONAL and made.at_import_time:
            found.append(f"{here}: {package} is optional; import it inside the function that needs it.")
        if room == "ops" and package not in {"torch", "jaxtyping", "hrda_lit"} | STANDARD:
            found.append(f"{here}: ops know torch and the standard library alone, not {package}.")
    return found


STANDARD = {"math", "typing", "collections", "contextlib", "dataclasses", "hashlib", "functools", "itertools", "enum"}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports(path: Path) -> None:
    assert complaints(place(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("where", "source", "sentence"),
    [
        (
            "ops/x",
            "from hrda_lit.networks.heads import ASPP",
            "ops/x.py line 1: floor 0 imports hrda_lit.networks.heads",
        ),
        ("ops/x", "import numpy", "not numpy"),
        (
            "networks/x",
            "def f():\n    from hrda_lit import methods",
            "floor 1 imports hrda_lit.methods of floor 2",
        ),
        ("networks/x", "import timm.layers", "timm belongs to"),
        ("data/folder", "import lightning as L", "lightning belongs to"),
        ("module", "from omegaconf import OmegaConf", "omegaconf belongs to"),
        ("callbacks/media", "import wandb", "wandb is optional"),
        ("callbacks/mlflow_run", "from mlflow.entities import Param", "mlflow is optional"),
        ("surprise", "import math", "has no floor"),
        ("exchange/mit_keys", "from hrda_lit.exchange.convert import x", "floor 1 imports hrda_lit.exchange.convert"),
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
            "callbacks/x",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hrda_lit.module import UDAModule",
        ),
        ("callbacks/media", "def f():\n    import wandb"),
        ("methods/x", "from hrda_lit.methods.base import Pass\nfrom hrda_lit.ops import boxes"),
        ("data/datamodule", "import lightning as L"),
        ("networks/weights", "from hrda_lit.exchange.mit_keys import to_timm"),
        ("demo/x", "from hrda_lit.data.classes import CITYSCAPES"),
    ],
)
def test_what_is_allowed(where: str, source: str) -> None:
    assert complaints(where, source) == []
