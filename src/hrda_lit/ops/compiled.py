"""Whether an operator is compiled for a GPU, where other forms of it are fast."""

import torch
from torch import Tensor


def compiled_for_gpu(x: Tensor) -> bool:
    """Return whether the code that runs is being compiled, for a device that `x` lies on and that is a GPU.

    What is exported is no such code: there an operator stays one operator.
    """
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting() and x.is_cuda
