"""Seeds that depend on where we are alone."""

import torch

from hrda_lit.ops.rng import fold, generator


def test_fold_is_the_same_in_every_process_and_version() -> None:
    # Another number here would change every draw of every run that is to be resumed or repeated.
    assert fold(3, "step", 7) == 5743629818514750126


def test_fold_tells_places_apart() -> None:
    places = [(seed, kind, step) for seed in range(5) for kind in ("source", "target") for step in range(50)]
    seeds = {fold(*place) for place in places} | {fold(1, 23), fold(12, 3), fold("1", 23), fold(123)}
    assert len(seeds) == len(places) + 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_of_one_place_draw_alike() -> None:
    draws = [torch.rand(4, generator=generator(*place)) for place in ((0, "a"), (0, "a"), (0, "b"))]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_other_draws_do_not_matter() -> None:
    first = torch.rand(3, generator=generator("here"))
    torch.rand(100)
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(3, generator=generator("here")))
