"""Shapes found without computing are those that torch finds on the meta device."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrda_lit.runs.geometry import ShapesAlone

OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "batch norm in training": lambda x: F.batch_norm(x, None, None, training=True),
    "batch norm": lambda x: F.batch_norm(x, x.new_zeros(3), x.new_ones(3)),
    "layer norm": lambda x: F.layer_norm(x, (4, 6)),
    "upsampling": lambda x: F.interpolate(x, (9, 11), mode="bilinear", align_corners=False),
    "clamp": lambda x: x.clamp(0, 1),
    "gelu": F.gelu,
    "softmax": lambda x: x.softmax(1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "multiple": lambda x: x * 2.0,
    "trunc_normal": lambda x: nn.init.trunc_normal_(torch.empty_like(x)),
    "sum of what broadcasts": lambda x: x + x[:, :1],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATIONS)
def test_shape_and_type_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    x = torch.empty(2, 3, 4, 6, dtype=dtype, device="meta")
    expected = OPERATIONS[name](x)
    with ShapesAlone():
        found = OPERATIONS[name](x)
    assert (found.shape, found.dtype, found.device) == (expected.shape, expected.dtype, expected.device)


def test_numbers_elsewhere_are_computed() -> None:
    with ShapesAlone():
        assert torch.equal(torch.tensor([-1.0, 2.0]).clamp(0, 1), torch.tensor([0.0, 1.0]))


def test_what_does_not_fit_is_still_refused() -> None:
    x = torch.empty(1, 3, 1, 1, device="meta")
    with ShapesAlone():
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            F.batch_norm(x, None, None, training=True)
        with pytest.raises(RuntimeError):
            F.conv2d(x, torch.empty(4, 5, 1, 1, device="meta"))
