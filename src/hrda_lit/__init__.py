"""Domain-adaptive semantic segmentation with HRDA on PyTorch Lightning and Hydra."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrda_lit.api import Run, evaluate, inspect, predict, train
    from hrda_lit.checkpoints import load_module
    from hrda_lit.checkpoints import load_trained as load
    from hrda_lit.predicting.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "Run", "evaluate", "inspect", "load", "load_module", "predict", "train"]

# What is imported when it is used, so that the import of the package waits for neither torch nor Hydra.
_COMMANDS = ("train", "evaluate", "predict", "inspect")
_PLACES = {
    "Predictor": ("hrda_lit.predicting.predictor", "Predictor"),
    "Run": ("hrda_lit.api", "Run"),
    "load": ("hrda_lit.checkpoints", "load_trained"),
    "load_module": ("hrda_lit.checkpoints", "load_module"),
}


def __getattr__(name: str) -> Any:
    if name in _COMMANDS:
        return import_module(f"hrda_lit.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
