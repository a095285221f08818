"""Domain-adaptive semantic segmentation with HRDA on PyTorch Lightning and Hydra.

The commands from Python are in `hrda_lit.api`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrda_lit.checkpoints.load import load_module
    from hrda_lit.checkpoints.load import load_trained as load
    from hrda_lit.predicting.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "load", "load_module"]

# What is imported when it is used, so that the import of the package waits for neither torch nor Hydra.
_PLACES = {
    "Predictor": ("hrda_lit.predicting.predictor", "Predictor"),
    "load": ("hrda_lit.checkpoints.load", "load_trained"),
    "load_module": ("hrda_lit.checkpoints.load", "load_module"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
