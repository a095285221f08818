"""The two lines of a notebook, against predictions written out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch.nn import functional as F

from hrda_lit import Predictor
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.inference.windows import Slide, Whole
from tests.trained import write_checkpoint

MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


pytestmark = pytest.mark.slow
BOX = "val.size=[256,512]"


@pytest.fixture(scope="module")
def hrda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("hrda") / "hrda.ckpt", "hrda_demo", BOX)


@pytest.fixture(scope="module")
def daformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("daformer") / "daformer.ckpt", "daformer_demo", BOX)


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    return coarse.repeat(16, 0).repeat(16, 1)[:height, :width]


def reference(path: Path, network: str, image: np.ndarray, seen: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resize to what the network saw in validation, predict, and bring probabilities back to the picture's size."""
    trained = load_trained(path, network)
    values = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    # Validation images are rounded to whole values after they are resized.
    shrunk = F.interpolate(values, seen, mode="bilinear", align_corners=False).round()
    with torch.no_grad():
        logits = trained.inference(trained.network, (shrunk - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))
    logits = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)
    return logits.argmax(1)[0].numpy(), logits.softmax(1).amax(1)[0].numpy()


# The demo's validation images are fitted into 256 x 512; DAFormer's network gets them shrunk by s_T = 2.
@pytest.mark.parametrize("network", ["student", "teacher"])
@pytest.mark.parametrize(
    ("name", "size", "seen"),
    [
        ("hrda", (256, 512), (256, 512)),
        ("hrda", (100, 150), (256, 384)),
        ("hrda", (300, 200), (384, 256)),
        ("daformer", (256, 512), (128, 256)),
        ("daformer", (100, 150), (128, 192)),
    ],
)
def test_a_picture_is_prepared_as_in_validation_and_labelled_at_its_own_size(
    name: str, size: tuple[int, int], seen: tuple[int, int], network: str, request: pytest.FixtureRequest
) -> None:
    path, image = request.getfixturevalue(name), picture(*size)
    result = Predictor(path, network, device="cpu")(image)
    label, confidence = reference(path, network, image, seen)
    assert result.label.shape == size
    assert result.label.dtype == np.uint8
    assert len(np.unique(label)) > 1
    assert (result.label == label).mean() > 0.995  # of nearly equal classes, rounding may choose the other
    assert np.allclose(result.confidence, confidence, atol=2e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 512)])
def test_the_smallest_boxes_can_be_predicted(size: tuple[int, int], daformer: Path) -> None:
    # torch resizes to a single pixel only where the channels of a pixel lie together
    assert Predictor(daformer, device="cpu", size=size)(picture(48, 64)).label.shape == (48, 64)


def test_a_picture_that_is_seen_much_larger_is_told_once_and_can_be_left_as_it_is(
    hrda: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor, image = Predictor(hrda, device="cpu"), picture(64, 100)
    enlarged, _ = predictor(image), predictor(image)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("hrda_lit")]
    sentence = "a picture of 64 x 100 is seen 4 times as large, as one of demo_target would be; size=[64,100] leaves it"
    assert [text.startswith(sentence) for text in told] == [True]
    own = Predictor(hrda, device="cpu", size=[64, 100])(image)
    assert own.label.shape == (64, 100)
    assert len(caplog.records) == len(told)
    assert not np.array_equal(own.confidence, enlarged.confidence)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (37, 53)])
@pytest.mark.parametrize("name", ["hrda", "daformer"])
def test_any_size_and_aspect(name: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    result = Predictor(request.getfixturevalue(name), device="cpu")(picture(*size))
    assert result.label.shape == result.confidence.shape == size
    assert result.label.max() < 19
    assert result.confidence.min() >= 1 / 19 - 1e-6
    assert result.confidence.max() <= 1 + 1e-6


def test_path_image_and_array_give_the_same(hrda: Path, tmp_path: Path) -> None:
    image = picture(64, 96)
    Image.fromarray(image).save(tmp_path / "street.png")
    predictor = Predictor(hrda, device="cpu")
    of_array = predictor(image)
    tensor, read_only = torch.from_numpy(image.copy()), np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    for given in (tmp_path / "street.png", str(tmp_path / "street.png"), Image.fromarray(image), tensor, read_only):
        result = predictor(given)
        assert np.array_equal(result.label, of_array.label)
        assert np.array_equal(result.confidence, of_array.confidence)


def test_colour_and_overlay_by_pixel(hrda: Path) -> None:
    image = picture(48, 64)
    result = Predictor(hrda, device="cpu")(image)
    colours = np.array(CITYSCAPES.colours)[result.label]
    assert np.array_equal(np.array(result.colour()), colours)
    mixed = np.array(result.overlay(0.25, outlines=False)).astype(float)
    assert np.abs(mixed - (0.75 * image + 0.25 * colours)).max() <= 1
    assert np.array_equal(np.array(result.overlay(0, outlines=False)), image)


def test_views_show_what_the_prediction_was_fused_from(hrda: Path) -> None:
    image = picture(128, 128)  # fitted into a square of 256, four windows of 128
    predictor = Predictor(hrda, device="cpu", inference=Whole())
    result = predictor(image, views=True)
    assert np.array_equal(result.label, predictor(image).label)
    assert set(result.views) == {"context", "detail", "attention"}
    values = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (256, 256), mode="bilinear").round()
    with torch.no_grad():
        parts = predictor.network.views((values - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))
    for name in ("context", "detail"):
        wanted = F.interpolate(F.interpolate(parts[name], (256, 256), mode="bilinear"), (128, 128), mode="bilinear")
        assert (result.views[name] == wanted.argmax(1)[0].numpy()).mean() > 0.995
    attention = F.interpolate(parts["attention"], (256, 256), mode="bilinear")
    wanted = F.interpolate(attention, (128, 128), mode="bilinear")[0]
    chosen = wanted.gather(0, torch.from_numpy(result.label).long()[None])[0]
    assert np.allclose(result.views["attention"], chosen.numpy(), atol=1e-2)


def test_views_of_a_network_of_one_scale_are_refused(daformer: Path) -> None:
    predictor = Predictor(daformer, device="cpu")
    assert predictor(picture(32, 32)).views == {}
    with pytest.raises(ValueError, match=r"sees pictures at one scale, it has no context, detail and attention"):
        predictor(picture(32, 32), views=True)


def test_an_inference_of_ones_own_replaces_that_of_training(hrda: Path) -> None:
    target = "hrda_lit.inference.windows.Slide"
    named = Predictor(hrda, device="cpu", inference={"_target_": target, "_partial_": True, "stride": [16, 16]})
    assert named.inference.window == (128, 128)  # still that of the training crops
    assert named.inference.stride == (16, 16)
    assert Predictor(hrda, device="cpu").inference.stride == (64, 64)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
        torch.zeros(4, 4, 3, dtype=torch.bfloat16), torch.zeros(4, 4, 3, requires_grad=True), None, b"street.png", 7,
        Image.new("RGB", (0, 4)),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(hrda: Path, bad: object) -> None:
    with pytest.raises(ValueError, match=r"got a picture of .* need RGB as uint8 of shape"):
        Predictor(hrda, device="cpu")(bad)  # type: ignore[call-overload]


def test_pillow_images_of_other_values(hrda: Path) -> None:
    predictor = Predictor(hrda, device="cpu", bits=12)
    assert predictor(Image.fromarray(np.full((8, 8), 4095, np.uint16))).image.min() == 255
    with pytest.raises(ValueError, match=r"the picture holds values from 4096 to 4096, need 0 to 4095; raise bits\."):
        predictor(Image.fromarray(np.full((8, 8), 4096, np.uint16)))
    with pytest.raises(ValueError, match="the picture holds fractions"):
        predictor(Image.fromarray(np.zeros((8, 8), np.float32)))
    with pytest.raises(ValueError, match=r"bits=17: expected a whole number in \[8, 16\]"):
        Predictor(hrda, device="cpu", bits=17)


def test_label_ids(hrda: Path) -> None:
    predictor = Predictor(hrda, device="cpu")
    assert predictor.table("train")[:19].tolist() == list(range(19))
    assert predictor.table("raw")[:3].tolist() == [7, 8, 11]  # the demo's validation set numbers like Cityscapes
    assert predictor.table("mapillary")[:3].tolist() == [13, 2, 17]
    with pytest.raises(ValueError, match="ids='names' is none of"):
        predictor.table("names")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"device": "tpu"}, r"device=tpu is not there, this machine has \['auto', 'cpu'"),
        ({"device": "cuda:99"}, r"device=cuda:99 is not there"),
        ({"model": "pupil"}, r"'pupil' is none of"),
        ({"device": 0}, r"device=0 is not there"),
        ({"inference": 3}, r"inference=3: expected a name or a config; correct inference\."),
        ({"like": 5}, r"like=5: expected a name or a config; correct like\."),
        ({"weights": "x.pth"}, r"hrda\.ckpt holds all of its weights; remove weights=x\.pth\."),
        ({"size": "a"}, r"size=a: expected"),
        ({"size": [64, None]}, r"size\[1\]=null: expected"),
        ({"size": [64.5, 64]}, r"size\[0\]=64\.5: expected"),
        ({"checkpoint": "/nowhere.ckpt"}, "no checkpoint at /nowhere.ckpt"),
    ],
)
def test_wrong_arguments_are_refused(hrda: Path, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        Predictor(**({"checkpoint": hrda} | arguments))


def test_augmentation_leaves_a_network_its_own_way_to_see_images(hrda: Path, daformer: Path) -> None:
    keys = {"_target_": "hrda_lit.inference.augmented.Augmented", "_partial_": True, "base": None, "scales": [1.0]}
    bases = {path: Predictor(path, device="cpu", inference=keys).inference.base for path in (hrda, daformer)}
    assert (type(bases[hrda]), type(bases[daformer])) == (Slide, Whole)


def test_pictures_are_fitted_into_the_box_of_their_own_data_set(hrda: Path) -> None:
    seen = []
    like = OmegaConf.create({"size": [192, 320], "id_map": None})
    predictor = Predictor(hrda, device="cpu", inference=Whole(), like=like)
    views = predictor.network.views
    predictor.network.views = lambda image, smooth: seen.append(tuple(image.shape[-2:])) or views(image)
    assert predictor(picture(108, 192)).label.shape == (108, 192)
    assert seen == [(184, 320)]  # 108 x 192 in a box of 192 x 320 are 180 x 320, padded to a multiple of 8
    assert np.array_equal(predictor.table("raw")[:19], np.arange(19))


def test_of_several_data_sets_only_what_they_share_is_taken_for_granted(hrda: Path) -> None:
    def of(ids: str, **options: Any) -> Predictor:
        sets = {"a": {"size": [128, 256], "id_map": "cityscapes"}, "b": {"size": [128, 256], "id_map": ids}}
        like = {"name": "several", "size": None, "sets": sets} | options
        return Predictor(hrda, device="cpu", like=OmegaConf.create(like))

    assert of("cityscapes").box == (128, 256)
    assert of("cityscapes").table("raw")[:3].tolist() == [7, 8, 11]
    assert of("mapillary").box == (128, 256)
    with pytest.raises(ValueError, match=r"images of a, b, whose id_map differs; .*dataset@like=.*ids=train\."):
        of("mapillary").table("raw")
    assert of("mapillary", size=[64, 128]).box == (64, 128)
    wide = of("cityscapes")
    wide._like.sets.b.size = [100, 256]
    with pytest.raises(ValueError, match=r"taken for images of a, b, whose size differs; .*give size=\[height,width\]"):
        wide(picture(64, 128))
    wide.box = (128, 256)
    assert wide(picture(64, 128)).label.shape == (64, 128)


def test_a_list_is_predicted_one_by_one_and_a_line_says_what_predicts(hrda: Path) -> None:
    predictor = Predictor(hrda, device="cpu")
    images = [np.full((40, 60 + index, 3), 90 * index, np.uint8) for index in range(2)]
    found = predictor(tuple(images))
    assert [one.label.shape for one in found] == [(40, 60), (40, 61)]
    assert all(np.array_equal(one.label, predictor(image).label) for one, image in zip(found, images, strict=True))
    assert repr(predictor) == "Predictor(hrda_demo, teacher, 19 classes, slide, cpu)"


def test_the_names_of_the_command_work(hrda: Path) -> None:
    assert isinstance(Predictor(hrda, device="cpu", inference="whole").inference, Whole)
    assert Predictor(hrda, device="cpu", inference="tta").inference.flip
    assert Predictor(hrda, device=torch.device("cpu"), size=256).box == (256, 256)
    assert Predictor(hrda, device="cpu", size=np.array([256, 128])).box == (256, 128)
    assert Predictor(hrda, device="cpu", like="acdc").box == (1080, 1920)
    with pytest.raises(ValueError, match=r"inference=hole: unknown choice; did you mean whole\? inference has fast, "):
        Predictor(hrda, device="cpu", inference="hole")
    with pytest.raises(ValueError, match="dataset=marsh: unknown choice;"):
        Predictor(hrda, device="cpu", like="marsh")
    for size in (0, [256], [256, 0], "wide"):
        with pytest.raises(ValueError, match=r"size.*=.*: expected"):
            Predictor(hrda, device="cpu", size=size)
