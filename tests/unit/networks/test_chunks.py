"""A head in chunks is a head on the whole batch: its output and what its BatchNorm remembers."""

import copy

import pytest
import torch
from torch import Tensor, nn

from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.memory_saving import in_chunks
from hrda_lit.ops.rng import generator

CHANNELS = [4, 8, 8, 16]


class Plain(nn.Sequential):
    """A head that does not tell how deep its BatchNorm lies."""

    def forward(self, features: list[Tensor]) -> Tensor:
        return super().forward(features[0])


def heads() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5, momentum=None)
    return {
        "daformer": DAFormerHead(CHANNELS, 3, 8, dropout=0.5),
        "attention": ScaleAttentionHead(CHANNELS, 3, 8),
        "plain": Plain(nn.Conv2d(4, 5, 3), norm, nn.ReLU(), nn.Conv2d(5, 5, 1), nn.BatchNorm2d(5)),
        "none": Plain(nn.Conv2d(4, 3, 1)),
    }


def features() -> list[Tensor]:
    drawn = generator("chunks")
    # Windows that differ from one another, as those of an image do.
    scale = torch.arange(1.0, 8.0)[:, None, None, None]
    sides = (16, 8, 4, 2)
    return [scale * torch.randn(7, c, s, s, generator=drawn) + scale for c, s in zip(CHANNELS, sides, strict=True)]


@pytest.mark.parametrize("count", [1, 3, 7, 100])
@pytest.mark.parametrize("name", heads())
def test_in_chunks_as_in_one_piece(name: str, count: int) -> None:
    plain, chunked = heads()[name], heads()[name]
    for head in (plain, chunked):
        batch_statistics_mode(head)  # type: ignore[arg-type]
    for _ in range(2):
        with torch.no_grad():
            wanted = plain(features())
        torch.testing.assert_close(in_chunks(chunked, features(), count), wanted, rtol=1e-4, atol=1e-4)
    for (key, value), other in zip(plain.named_buffers(), chunked.buffers(), strict=True):
        torch.testing.assert_close(other, value, rtol=1e-4, atol=1e-4, msg=key)
    assert all(m.training == n.training for m, n in zip(plain.modules(), chunked.modules(), strict=True))


def test_statistics_of_each_chunk_would_be_others() -> None:
    head = heads()["daformer"]
    batch_statistics_mode(head)  # type: ignore[arg-type]
    with torch.no_grad():
        whole = head(features())
        apart = torch.cat([head([level[i : i + 1] for level in features()]) for i in range(7)])
    assert float((whole - apart).abs().max()) > 0.01


def test_in_inference_it_runs_once() -> None:
    head, calls = heads()["daformer"].eval(), []
    head.register_forward_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(head.state_dict())
    torch.testing.assert_close(in_chunks(head, features(), 4), head(features()))
    assert len(calls) == 2 + 1
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
