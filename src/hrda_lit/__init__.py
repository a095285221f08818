"""Domain-adaptive semantic segmentation with HRDA on PyTorch Lightning and Hydra.

The commands from Python are in `hrda_lit.api`.
"""

import sys
from importlib import import_module
from os.path import basename
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrda_lit.checkpoints.load import load_module
    from hrda_lit.checkpoints.load import load_trained as load
    from hrda_lit.predicting.predictor import Predictor

# Ctrl-C while a command is imported: python -m hrda_lit.train, or hrda-train.
if any(basename(word).startswith(("hrda_lit.", "hrda-")) for word in sys.orig_argv[1:3]):
    from hrda_lit.system.signals import exit_on_ctrl_c

    exit_on_ctrl_c()

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
