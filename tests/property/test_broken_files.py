"""Broken files: refused in one sentence that names them, or read as they were; no traceback, no other pixels."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hrda_lit.data.images import read_image
from hrda_lit.data.label_files import read_label
from hrda_lit.data.split_lists import read_lines
from hrda_lit.system.files import read_json
from hrda_lit.tables.records import RunRecord
from hrda_lit.tables.sweeps import read_job

pytestmark = pytest.mark.slow

FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 5, (24, 33), dtype=np.uint8)
PIXELS = RNG.integers(0, 256, (24, 33, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def with_palette() -> Image.Image:
    image = Image.fromarray(IDS, "P")
    image.putpalette(RNG.integers(0, 256, 15, dtype=np.uint8).tobytes())
    return image


LABELS = {
    "grey": encoded(Image.fromarray(IDS)),
    "palette": encoded(with_palette()),
    "16 bits": encoded(Image.fromarray(IDS.astype(np.uint16))),
}
IMAGES = {"png": encoded(Image.fromarray(PIXELS)), "jpeg": encoded(Image.fromarray(PIXELS), "JPEG")}

# Where in a file, and what becomes of it there: a flipped bit, an end, other bytes, or bytes that come between.
damage = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.one_of(
        st.integers(0, 7).map(lambda bit: lambda old, at: old[:at] + bytes([old[at] ^ 1 << bit]) + old[at + 1 :]),
        st.just(lambda old, at: old[:at]),
        st.binary(min_size=1, max_size=8).map(lambda new: lambda old, at: old[:at] + new + old[at + len(new) :]),
        st.binary(min_size=1, max_size=8).map(lambda new: lambda old, at: old[:at] + new + old[at:]),
    ),
)


def broken(content: bytes, how: tuple[float, Callable[[bytes, int], bytes]]) -> bytes:
    place, change = how
    return change(content, int(place * len(content)))


def refusal(path: Path, make: Callable[[Path], Any]) -> tuple[Any, str | None]:
    try:
        return make(path), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("kind", LABELS)
@FUZZ
@given(how=damage)
def test_labels(kind: str, how: tuple[float, Callable[[bytes, int], bytes]], tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    path.write_bytes(broken(LABELS[kind], how))
    made, sentence = refusal(path, read_label)
    if sentence is None:
        assert np.array_equal(made.numpy(), IDS)
    else:
        assert str(path) in sentence
        assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize("kind", IMAGES)
@FUZZ
@given(how=damage)
def test_images(kind: str, how: tuple[float, Callable[[bytes, int], bytes]], tmp_path: Path) -> None:
    path = tmp_path / f"image.{kind}"
    path.write_bytes(broken(IMAGES[kind], how))
    made, sentence = refusal(path, read_image)
    if sentence is not None:
        assert str(path) in sentence
        assert len(sentence.splitlines()) == 1
    elif kind == "png":  # a JPEG has no checksums: its colours may differ, its form may not
        assert np.array_equal(made.numpy(), PIXELS.transpose(2, 0, 1))
    else:
        assert made.ndim == 3
        assert made.shape[0] == 3


@FUZZ
@given(content=st.binary(max_size=200))
def test_lists_of_any_bytes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    made, sentence = refusal(path, read_lines)
    assert made is not None or (str(path) in sentence and len(sentence.splitlines()) == 1)


@FUZZ
@given(how=damage)
def test_records_of_jobs(how: tuple[float, Callable[[bytes, int], bytes]], tmp_path: Path) -> None:
    good = json.dumps({"number": 3, "overrides": {"seed": "1"}}).encode()
    (tmp_path / "job.json").write_bytes(broken(good, how))
    made = read_job(tmp_path)
    assert made is None or isinstance(made, RunRecord)
    assert read_json(tmp_path / "nothing.json") is None
