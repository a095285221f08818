"""A file of tensors is read as it was written, or refused in one sentence: never a traceback, never other numbers."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors

from hrda_lit.checkpoints.load import read_checkpoint
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.weights import read_plain, read_state_dict
from hrda_lit.system.torch_files import read_torch_file, require_finite_weights, require_tensors

pytestmark = pytest.mark.slow

CONFIG = {"name": "x", "list": [1, 2.5, None, True], "deeper": {"key": "value"}}
STATE = {"student.a": torch.arange(35.0).view(7, 5) + 0.1, "student.b": torch.arange(9), "student.c": torch.ones(300)}


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x")
    return buffer.getvalue()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


WHOLE = saved({"state_dict": STATE, CONFIG_KEY: CONFIG})


def outcome(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    try:
        read = read_checkpoint(path)
    except ValueError as error:
        said = str(error)
        if str(path) in said and "\n" not in said:
            return said
        raise
    assert read[CONFIG_KEY] == CONFIG
    assert read["state_dict"].keys() == STATE.keys()
    assert all(torch.equal(read["state_dict"][key], value) for key, value in STATE.items())
    return "read"


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACE = st.integers(0, len(WHOLE) - 1)


@FUZZ
@given(place=PLACE, bit=st.integers(0, 7))
def test_a_flipped_bit(place: int, bit: int, tmp_path: Path) -> None:
    content = bytearray(WHOLE)
    content[place] ^= 1 << bit
    outcome(tmp_path / "x.ckpt", bytes(content))


@FUZZ
@given(length=PLACE)
def test_a_cut_file(length: int, tmp_path: Path) -> None:
    assert "cannot be read" in outcome(tmp_path / "x.ckpt", WHOLE[:length])


@FUZZ
@given(place=PLACE, content=st.binary(min_size=1, max_size=200))
def test_bytes_written_over(place: int, content: bytes, tmp_path: Path) -> None:
    outcome(tmp_path / "x.ckpt", WHOLE[:place] + content + WHOLE[place + len(content) :])


@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    for name in ("x.ckpt", "x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read|holds no tensors") as caught:
            (read_checkpoint if name == "x.ckpt" else read_state_dict)(tmp_path / name)
        assert "\n" not in str(caught.value)


@FUZZ
@given(place=st.integers(0, 147), byte=st.integers(0, 255))
def test_a_damaged_header_of_safetensors(place: int, byte: int, tmp_path: Path) -> None:
    content = bytearray(save_safetensors({"a": torch.ones(3), "b": torch.zeros(2, 2)}))
    content[place] = byte
    (tmp_path / "x.safetensors").write_bytes(content)
    try:
        read_plain(tmp_path / "x.safetensors")
    except ValueError as error:
        assert "x.safetensors cannot be read" in str(error)  # noqa: PT017  most damage is seen, not all


def test_every_tensor_is_guarded_and_its_record_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        records = [(item.filename, archive.read(item)) for item in archive.infolist()]
    large = [(name, content) for name, content in records if "/data/" in name]
    assert len(large) == 3
    for name, content in large:
        place = WHOLE.index(content)
        damaged = WHOLE[:place] + bytes([content[0] ^ 1]) + WHOLE[place + 1 :]
        assert f"its record {name} differs from its checksum" in outcome(tmp_path / "x.ckpt", damaged)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (WHOLE[:-30], "it is cut short"),
        (b"text", "it is no file that torch.save wrote"),
        (b"<!DOCTYPE html>", "it is no file that torch.save wrote"),
        (zipped("x/y.txt"), "it is a ZIP archive that torch.save did not write"),
        (saved([1]), "it holds a list"),
        (saved(torch.ones(2)), "it holds a Tensor"),
        (saved({1: 2}), "it holds a dict, not a state dict"),
        (saved({"a": Path("x")}), r"it holds more than tensors \((pathlib|getattr)"),
        (pickle.dumps({"a": 1}, protocol=4), "cannot be read"),
        (saved({CONFIG_KEY: CONFIG}), "is not a checkpoint of hrda_lit"),
        (saved({"state_dict": STATE}), "is not a checkpoint of hrda_lit"),
        (saved({"state_dict": [1], CONFIG_KEY: CONFIG}), "has a list for weights"),
        (saved({"state_dict": {"a": [1]}, CONFIG_KEY: CONFIG}), "has a list as 'a'"),
        (saved({"state_dict": {3: torch.ones(1)}, CONFIG_KEY: CONFIG}), "as 3"),
        (saved({"state_dict": STATE, CONFIG_KEY: "x"}), "is a str, need a mapping"),
        (saved({"state_dict": STATE, CONFIG_KEY: {"a": b"x"}}), "a bytes, which a config cannot hold"),
    ],
)
def test_contents_of_another_kind(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.ckpt.*{sentence}") as caught:
        read_checkpoint(tmp_path / "x.ckpt")
    assert "\n" not in str(caught.value)


def test_a_packed_record_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(io.BytesIO(WHOLE)) as archive,
        zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for item in archive.infolist():
            other.writestr(item.filename, archive.read(item))
    with pytest.raises(ValueError, match=r"its record archive/\S+ is compressed"):
        read_torch_file(tmp_path / "x.pth")


def test_files_of_old_versions_of_torch_are_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert all(torch.equal(STATE[key], value) for key, value in read_state_dict(tmp_path / "x.pth").items())


@pytest.mark.parametrize("read", [read_checkpoint, read_plain])
def test_a_folder_is_no_file(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="give a"):  # of a network for a hub it would be one
        read(tmp_path)


@pytest.mark.parametrize(
    "value", [torch.zeros(2, 2).to_sparse(), torch.empty(2, device="meta"), torch.nested.nested_tensor([torch.ones(1)])]
)
def test_only_dense_tensors(value: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="as 'w', need a dense tensor"):
        require_tensors({"w": value}, "x.pth")


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.uint16, torch.complex128]
)
def test_other_types_of_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {**STATE, "w": torch.zeros(2, dtype=dtype)}
    torch.save({"state_dict": state, CONFIG_KEY: CONFIG}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"x\.ckpt has a torch\.\w+ as 'w', need a dense tensor of floats"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_record_that_claims_to_be_large(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        item = max(archive.infolist(), key=lambda info: info.file_size)
    path, content = tmp_path / "x.ckpt", bytearray(WHOLE)
    sizes = struct.pack("<LL", item.compress_size, item.file_size)
    place = content.rfind(sizes)  # in the list at the end of the file
    content[place : place + 8] = struct.pack("<LL", 2**31 - 1, 2**31 - 1)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.ckpt cannot be read"):
        read_checkpoint(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(value: float) -> None:
    require_finite_weights({"w": torch.ones(3), "n": torch.tensor(3)}, "x")
    with pytest.raises(ValueError, match=r"x\.ckpt holds NaN or infinity in w; .*use an earlier checkpoint"):
        require_finite_weights({"w": torch.tensor([1.0, value])}, "x.ckpt")
