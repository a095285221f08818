"""Objects that differ from the keys that ask for them."""

from pathlib import Path

import pytest
import torch

from hrda_lit.build import build_method, build_trainer, wrap_student
from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.classes import CITYSCAPES, Classes
from hrda_lit.methods.supervised import Supervised
from tests.end_to_end.compose import compose

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("deterministic", "searches"), [("false", True), ("true", False), ("warn", False)])
def test_a_deterministic_run_does_not_search_for_fast_kernels(
    deterministic: str, searches: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not searches)
    config = compose(tmp_path, tmp_path, "logger=csv", "~callbacks", f"+trainer.deterministic={deterministic}")
    try:
        build_trainer(config)
        assert torch.backends.cudnn.benchmark == searches
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes these")
@pytest.mark.parametrize("key", ["trainer.devices=-1", "trainer.devices=[3]"])
def test_devices_that_are_not_there_name_their_key(key: str, tmp_path: Path) -> None:
    config = compose(tmp_path, tmp_path, "logger=csv", "~callbacks", key)
    with pytest.raises(ConfigError, match=r"^trainer\.devices does not fit: .*; correct trainer\.devices\.$"):
        build_trainer(config)


def test_an_optimiser_of_a_discriminator_is_none_of_a_student(tmp_path: Path) -> None:
    config = compose(tmp_path, tmp_path)
    config.optim = {"_target_": "hrda_lit.optim.AdamPoly"}
    with pytest.raises(ConfigError, match=r"optim\._target_=hrda_lit\.optim\.AdamPoly: expected a class that has clip"):
        wrap_student(None, config, Supervised(CITYSCAPES))  # type: ignore[arg-type]


class Forgetful(Supervised):
    """Someone else's method, which keeps no classes."""

    def __init__(self, classes: Classes) -> None:
        super().__init__(classes)
        del self.classes


def test_a_method_need_not_keep_the_classes(tmp_path: Path) -> None:
    config = compose(tmp_path, tmp_path, "validate=student", "lambda_fd=0")
    config.method = {"_target_": f"{__name__}.Forgetful", "_partial_": True}
    assert build_method(config, CITYSCAPES).classes is CITYSCAPES
