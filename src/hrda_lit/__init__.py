"""Domain-adaptive semantic segmentation with HRDA on PyTorch Lightning and Hydra."""

__version__ = "0.1.0"
