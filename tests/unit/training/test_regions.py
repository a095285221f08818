"""Regions: what is compiled, that nothing else changes, and what happens where nothing can be compiled."""

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func

from hrda_lit.networks import heads
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.training.regions import Regions, regions
from hrda_lit.training.step_runner import CompiledRunner, StepRunner
from tests.speed import differing, fit, module, student
from tests.waits import as_on_a_gpu

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Counting:
    """A backend that compiles nothing and keeps what it should have compiled."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        self.graphs.append(graph)
        return graph.forward


@pytest.mark.parametrize(
    ("name", "options", "kind", "count"),
    [
        ("mit_b0", {"depths": (1, 1, 2, 1)}, "Block", 5),
        ("resnet10t", {}, "BasicBlock", 4),
        ("convnext_atto", {"depths": (1, 1, 2, 1)}, "ConvNeXtBlock", 5),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 2, 1), "strict_img_size": False},
         "SwinTransformerBlock", 5),
    ],
)  # fmt: skip
def test_blocks_of_an_encoder(name: str, options: dict[str, Any], kind: str, count: int) -> None:
    kinds = [type(region).__name__ for region in regions(Backbone(name, options=options))]
    assert kinds.count(kind) == count


def test_regions_of_a_network_do_not_overlap() -> None:
    network = student("hrda")
    found = regions(network)
    assert [type(region).__name__ for region in found] == ["Block"] * 5 + ["DAFormerHead", "ScaleAttentionHead"]
    parts = [part for region in found for part in region.modules()]
    assert len(parts) == len(set(parts))


def test_nothing_but_the_call_changes() -> None:
    network, backend = student("hrda"), Counting()
    before, image = list(network.state_dict()), torch.randn(1, 3, 64, 64)
    network.eval()
    expected, made = network.predict(image), Regions([network], backend)
    with made.compiled():
        assert torch.equal(network.predict(image), expected)
        assert list(copy.deepcopy(network).state_dict()) == before == list(network.state_dict())
    compiled = len(backend.graphs)
    assert compiled, "the regions ran in their compiled form"
    network.predict(torch.randn(1, 3, 96, 96))
    assert len(backend.graphs) == compiled, "and outside they run as they are"


def train(
    patch: pytest.MonkeyPatch,
    runner: Callable[..., StepRunner],
    name: str = "self_training",
    steps: int = 2,
    **options: Any,
) -> Any:
    patch.setattr("hrda_lit.module.choose_runner", lambda options, networks, *_: runner(networks))
    made = module(name, "daformer")
    fit(made, steps, **options)
    return made


def test_steps_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Counting()
    monkeypatch.setattr(
        "hrda_lit.ops.depthwise.goes_by_phases", lambda *_: False
    )  # compiled, a convolution is one operator
    plain = train(monkeypatch, lambda _: StepRunner())
    made = train(monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, backend)))
    assert differing(plain.state_dict(), made.state_dict()) == []
    # Blocks of a stage share what is compiled: of the student for one and two crops at once, of the teacher.
    assert len(backend.graphs) < 5 * len(regions(made.student))


def test_in_half_precision_steps_are_the_same_and_regions_cast_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix of the student reaches compiled code in float32; AOTAutograd shows what it is given."""
    half, seen = {"precision": "bf16-mixed"}, list[torch.fx.GraphModule]()
    monkeypatch.setattr("hrda_lit.ops.depthwise.goes_by_phases", lambda *_: False)
    plain = train(monkeypatch, lambda _: StepRunner(), **half)
    made = train(monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, Counting())), **half)
    assert differing(plain.state_dict(), made.state_dict()) == []
    torch._dynamo.reset()

    def see(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        seen.append(graph)
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=see, bw_compiler=lambda graph, _: make_boxed_func(graph.forward))
    train(monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, backend)), "supervised", **half)
    given = [node.meta["val"] for graph in seen for node in graph.graph.nodes if node.op == "placeholder"]
    matrices = [value for value in given if value.ndim == 2]
    assert {value.dtype for value in matrices} == {torch.bfloat16}


def test_what_cannot_be_compiled_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no C++ compiler found.\nInstall one.")

    plain = train(monkeypatch, lambda _: StepRunner())
    with caplog.at_level(logging.WARNING):
        made = train(monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, broken)))
    assert differing(plain.state_dict(), made.state_dict()) == []
    (told,) = (record.getMessage() for record in caplog.records if record.name == "hrda_lit.training.regions")
    assert told.startswith("the networks cannot be compiled and run as they are: ")
    assert "no C++ compiler found" in told
    assert "\n" not in told


def test_what_is_compiled_wrongly_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some compilers have lost gradients without a word."""

    def gradients_of_the_wrong_size(graph: Any, inputs: Any) -> Callable[..., Any]:
        return lambda *given: [made.detach() * 0.5 + made * 0.5 for made in graph(*given)]

    monkeypatch.setattr("hrda_lit.ops.depthwise.goes_by_phases", lambda *_: False)
    plain = train(monkeypatch, lambda _: StepRunner())
    with caplog.at_level(logging.WARNING):
        made = train(
            monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, gradients_of_the_wrong_size))
        )
    assert differing(plain.state_dict(), made.state_dict()) == []
    (told,) = (record.getMessage() for record in caplog.records if record.name == "hrda_lit.training.regions")
    assert "compiled, the size of the gradients is " in told


@pytest.mark.parametrize("wrong", [False, True])
def test_a_first_batch_of_nan_is_no_comparison(
    wrong: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else what is compiled wrongly would pass: all numbers are NaN, in either way."""
    made: list[CompiledRunner] = []

    def backend(graph: Any, inputs: Any) -> Callable[..., Any]:
        return (lambda *given: [one.detach() * 0.5 + one * 0.5 for one in graph(*given)]) if wrong else graph.forward

    def spoil(step: int, batch: Any) -> None:
        if step == 0:
            batch["source"]["image"][:] = torch.nan

    def runner(networks: Any) -> StepRunner:
        made.append(CompiledRunner(networks, Regions(networks, backend)))
        return made[0]

    monkeypatch.setattr("hrda_lit.ops.depthwise.goes_by_phases", lambda *_: False)
    with caplog.at_level(logging.WARNING):
        train(monkeypatch, runner, "supervised", steps=3, change=spoil)
    assert made[0]._tried
    assert bool(len(made[0].regions)) != wrong
    assert ("the size of the gradients" in caplog.text) == wrong


def test_what_is_wrong_with_the_work_itself_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any, **__: Any) -> Any:
        raise ValueError("no such crop.")

    monkeypatch.setattr("hrda_lit.methods.base.supervise", wrong)
    with pytest.raises(ValueError, match="no such crop"):
        train(monkeypatch, lambda networks: CompiledRunner(networks, Regions(networks, Counting())), "supervised")


def test_compiled_for_a_gpu_dilated_convolutions_are_multiply_adds_and_resizing_is_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_on_a_gpu(monkeypatch)
    for user in ("ops.depthwise", "ops.resize"):
        monkeypatch.setattr(f"hrda_lit.{user}.compiled_for_gpu", lambda _: torch.compiler.is_compiling())
    head, backend = DAFormerHead((4, 4), 3, 4, (1, 2, 3), dropout=0), Counting()
    assert {name for name in head.state_dict() if "conv" in name} == set(), "weights keep the names of their place"
    features = [torch.randn(2, 4, 16, 16), torch.randn(2, 4, 8, 8)]
    expected = head(features)
    (compiled,) = (region for region in [torch.compile(head, backend=backend, dynamic=False)])
    torch.testing.assert_close(compiled(features), expected, rtol=1e-4, atol=1e-5)
    dilated = [
        node for graph in backend.graphs for node in graph.graph.nodes
        if node.target is torch.conv2d and node.args[5:6] and node.args[5] not in ((1, 1), 1)
    ]  # fmt: skip
    assert dilated == []
    assert not any("interpolate" in str(node.target) for graph in backend.graphs for node in graph.graph.nodes)
    assert sum(isinstance(part, heads.DepthwiseConv) for part in head.modules()) == 2


def test_the_compiler_itself() -> None:
    """On a CPU, with the C++ compiler that this needs; hardly more than one operator, for networks take minutes."""
    head, x = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Hardswish(), nn.Dropout2d(0.5)), torch.randn(2, 4, 8, 8)
    network = SingleScaleSegmentor(nn.Identity(), head, 4)  # type: ignore[arg-type]
    torch.manual_seed(0)
    expected, made = network.head(x), Regions([network])
    assert len(made) == 1
    with made.compiled():
        torch.manual_seed(0)  # the same channels are dropped
        torch.testing.assert_close(network.head(x), expected, rtol=1e-4, atol=1e-5)
        assert network.head._compiled_call_impl is not None
