"""What a run learns from, asked of the class of its method."""

from hrda_lit.methods.base import Method
from hrda_lit.methods.generalise import Generalise
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised, kind_of


class Own(Method):
    """Someone else's method without a target."""


class OwnTarget(Own):
    """Someone else's method with one."""

    needs_target = True


def datasets(names: list[str]) -> dict[str, object] | None:
    if len(names) < 2:
        return {"name": names[0]} if names else None
    return {"name": "mixed", "sets": {str(index): {"name": name} for index, name in enumerate(names)}}


def kind(method: type[Method], source: list[str], val: list[str]) -> str:
    return kind_of(method, {"source": datasets(source), "val": datasets(val)})


def test_kinds() -> None:
    assert kind(Supervised, ["gta5"], ["cityscapes"]) == "source-only"
    assert kind(Supervised, ["gta5"], []) == "source-only"
    assert kind(Supervised, ["cityscapes"], ["cityscapes"]) == "oracle"
    assert kind(SelfTraining, ["gta5"], ["cityscapes"]) == "adaptation"
    assert kind(Supervised, ["gta5", "synthia"], ["cityscapes", "acdc"]) == "source-only"
    assert kind(Supervised, ["cityscapes", "acdc"], ["acdc"]) == "oracle"
    assert kind(Generalise, ["cityscapes"], ["cityscapes", "acdc"]) == "generalisation"


def test_a_method_of_someone_else_is_asked_whether_it_needs_a_target() -> None:
    assert kind(Own, ["gta5"], ["cityscapes"]) == "generalisation"
    assert kind(OwnTarget, ["gta5"], ["cityscapes"]) == "adaptation"
