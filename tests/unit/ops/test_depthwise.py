"""Shifted multiply-adds are the convolution, forwards and backwards."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.nn import functional as F

from hrda_lit.ops.depthwise import depthwise_by_phases, shifted_depthwise
from hrda_lit.ops.rng import generator


def convolved(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    rows, columns = (side // 2 * dilation for side in weight.shape[-2:])
    return F.conv2d(x, weight, None, 1, (rows, columns), dilation, len(weight))


def with_gradients(function: object, x: Tensor, weight: Tensor, dilation: int) -> list[Tensor]:
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    out = function(x, weight, dilation)  # type: ignore[operator]
    (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    return [out.detach(), x.grad, weight.grad]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16), (9, 40)])  # smaller than the kernel, odd, wide
@pytest.mark.parametrize("dilation", [1, 2, 6, 18])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (3, 1)])
@pytest.mark.parametrize("form", [shifted_depthwise, depthwise_by_phases])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_the_convolution(
    size: tuple[int, int], dilation: int, kernel: tuple[int, int], form: object, layout: torch.memory_format
) -> None:
    drawn = generator("depthwise", *size, dilation)
    x, weight = torch.randn(2, 6, *size, generator=drawn), torch.randn(6, 1, *kernel, generator=drawn)
    x = x.contiguous(memory_format=layout)
    ours, theirs = (with_gradients(f, x, weight, dilation) for f in (form, convolved))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dilation", [2, 7])
@pytest.mark.parametrize("form", [shifted_depthwise, depthwise_by_phases])
def test_types_under_autocast_are_those_of_a_convolution(form: object, dilation: int) -> None:
    drawn = generator("depthwise")
    x, weight = torch.randn(2, 6, 9, 9, generator=drawn), torch.randn(6, 1, 3, 3, generator=drawn)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = (with_gradients(f, x, weight, dilation) for f in (form, convolved))
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-2)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(form(channels_last, weight, dilation), form(x, weight, dilation))  # type: ignore[operator]


def test_compiled_for_a_gpu_nothing_but_its_arguments_is_kept_for_the_way_back() -> None:
    """A compiler that finds nine padded maps in both directions would keep them all."""
    kept: list[Tensor] = []

    def forwards(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        (output,) = (node for node in graph.graph.nodes if node.op == "output")
        kept.extend(node.meta["val"] for node in output.args[0][1:] if node.op != "placeholder")
        return make_boxed_func(graph.forward)

    backend = aot_autograd(
        fw_compiler=forwards,
        bw_compiler=lambda graph, _: make_boxed_func(graph.forward),
        partition_fn=min_cut_rematerialization_partition,
    )
    compiled = torch.compile(shifted_depthwise, backend=backend, dynamic=False)
    x, weight = torch.randn(2, 6, 9, 9), torch.randn(6, 1, 3, 3)
    ours, theirs = (with_gradients(form, x, weight, 2) for form in (compiled, convolved))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)
    assert sum(value.numel() for value in kept) < x.numel()
