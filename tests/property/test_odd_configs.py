"""YAML files of one's own and words of a command line, of every odd kind: they work, or one sentence says why not."""

import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig

from hrda_lit.schema.check import check_tree
from hrda_lit.schema.trees import InitKeys, PredictKeys

pytestmark = pytest.mark.slow

CASES, MANY = 150, 2600  # of each kind, in the default run and in the thorough one; see docs/faults.md
LONGEST = 600  # characters of a sentence
DATASET = """\
_target_: hrda_lit.data.folder.FolderDataset
name: mine
root: /data/mine
images: images/*.png
label_rule: { images/: labels/ }
classes: { names: [road, car], colours: [[128, 64, 128], [0, 0, 142]], things: [car], ignore: 255 }
id_map: { 7: 0, 26: 1 }
layout: { margins: { top: 0, bottom: 0, left: 0, right: 0 } }
"""
GLOBAL = "# @package _global_\n"
# Command, word that chooses a file of one's own, the file, and what it usually holds.
FILES: list[tuple[str, str, str, str]] = [
    ("predict", "dataset@like=mine", "dataset/mine.yaml", DATASET),
    ("predict", "dataset@like=mine", "dataset/mine.yaml", "defaults: [cityscapes, _self_]\nname: mine\n"),
    ("predict", "inference=mine", "inference/mine.yaml", "defaults:\n  - slide\n  - _self_\nbf16: true\n"),
    ("predict", "+setting=mine", "setting/mine.yaml", f"{GLOBAL}device: cpu\nsize: [64, 64]\n"),
    ("init", "+experiment=mine", "experiment/mine.yaml", f"{GLOBAL}source: day\ntarget: dusk\nsteps: 100\n"),
    ("init", "local=mine", "local/mine.yaml", f"{GLOBAL}defaults:\n  - _self_\nout: x\nname: 'y'\n"),
]
TRAINED = ("train", "experiment=mine", "experiment/mine.yaml", f"{GLOBAL}tau: 0.9\ndata: {{ crop: [64, 64] }}\n")
LINES = [
    'root: "C:\\data\\new"', "\troot: x", "name: off", "name: no", "yes: 3", "name: 2024-01-01",
    "name: 012", "name: 0o17", "name: 1_000", "name: 1:30", "name: ~", "~: x", "name: ???", "name: .nan",
    "steps: 1e3", "steps: .inf", "name: 0x1F", "a: &x {b: 1}\nc: {<<: *x, d: 2}", "a: &x [*x]",
    "a: *nowhere", "<<: {name: x}", "name: x\nname: y", "---", "...", "--- \nname: x\n---\nname: y", "- a",
    "plain text", "3: 4", "1.5: 2", "true: 1", "[1]: 2", "? {a: 1}\n: 2", "'': 1", "a.b: 1", "a/b: 1",
    "key with blanks: 1", "größe: 1", "\u202ename: x", "name: \U0001f600", "name: [/x]", "@x: 1", "`x: 1",
    "%YAML 9.9", "!!python/object/apply:os.getcwd []", "name: !!binary aGk=", "name: !!set {a, b}",
    "name: !x y", "name: ${nowhere}", "name: ${", "name: ${oc.env:NOWHERE}", "name: ${oc.env:HOME,x}",
    "name: ${hydra:job.name}", "name: ${name}", "name: ${nowhere:1}", "name: $", "_target_: nowhere.X",
    "_target_: 3", "_target_: os", "_partial_: true", "_args_: [1]", "_convert_: x", "defaults: 3",
    "defaults: x", "defaults: {}", "defaults: [nowhere]", "defaults: [mine]", "defaults: [[1]]",
    "defaults: [~]", "defaults: [3]", "defaults: [{a: b, c: d}]", "defaults: [{/nowhere: x}]",
    "defaults: [{override /inference: nowhere}]", "defaults: [{/inference: [slide, tta]}]",
    "defaults: [{/dataset@: x}]", "defaults: [{/dataset@val: nowhere}]", "defaults: [_self_, _self_]",
    "defaults: [{optional /nowhere: x}]", "# @package nowhere.else", "# @package _group_", "# @package",
    "hydra: 3", "hydra: {run: {dir: 3}}", "device: {}", f"name: {'x' * 3000}", f"{'x' * 3000}: 1",
    "a: " + "[" * 30, "a: " + "[" * 3000, "a: " + "{b: " * 3000, "images: [x]",
    "classes: {names: [off, no]}", "classes: 3", "id_map: {x: 1}", "id_map: {0: -1}",
    "layout: {exclude: [0012]}", "size: 64", "size: [64, 64, 64]", "size: {}", "name: 'x", 'name: "x',
    "name: {", "name: ]", "name: x # y", ":", "-", "?", "|", ">", "&", "*", "!", "%", "name: |\n  x\n y",
    "  name: x", "name:x", "name: a: b", "\x07: 1", "name: \x1b[2J",
]  # fmt: skip
KEYS = [
    "device", "size", "save", "ids", "input", "output", "checkpoint", "model", "inference.bf16",
    "inference.window", "like.name", "like.classes", "like.layout.exclude", "like.id_map.7", "data_root",
    "hydra.run.dir", "nowhere", "sizes", "like", "inference", "submission", "dataset@like",
    "dataset@nowhere", "a/b@c.d", "größe", "a b", "", ".", "like.", ".like", "a..b", "like.size[0]",
    "size[0]", "_target_", "like._target_", "like._partial_", "x" * 3000, "@", "dataset@", "hydra",
    "hydra.nowhere", "hydra.verbose", "hydra.job.name", "hydra.searchpath", "hydra/job_logging", "a,b",
    "key with [/x]",
]  # fmt: skip
VALUES = [
    "", "x", "3", "-1", "1.5", "nan", "1e999", "null", "~", "true", "off", "???", "''", '""', "'x", '"x',
    "[", "]", "[]", "[1,2]", "[1,[2]]", "{", "{}", "{a: 1}", "{a: {b: [1]}}", "{a}", "{a:1,a:2}", "{1: 2}",
    "a,b", "1,2", "[1,2],[3,4]", "a b", " a", "a ", "a=b", "=", "a:b", "C:\\x", "'C:\\x'", "é", "日本",
    "\u202ex", "\U0001f600", "${device}", "${nowhere}", "${", "$", "}", "${oc.env:NOWHERE}",
    "${oc.env:HOME}", "${hydra:job.name}", "${a:b}", "\\${x}", "range(3)", "choice(1,2)", "interval(0,1)",
    "sort(2,1)", "glob(*)", "x" * 3000, "9" * 400, "[" * 200, "{a:" * 200, "\n", "a\nb", "\t", "\x1b[2J",
    "[/x]", "!x", "*", "&", "#", "# x", "|", "@", "%", ";", "slide", "cityscapes", "acdc", "../x", "/x",
    "*.png", "'a,b'", "(a)", "<x>", "a\\,b", "-x", "--x", "int(x)", "str([1])", "2024-01-01",
]  # fmt: skip
SIGNS = [*[""] * 20, "+", "+", "++", "~", "-", "--", "+++", "+~", "=", " ", "'", "@", "$"]


def odd_file(rng: random.Random) -> tuple[str, list[str], str, bytes]:
    """Draw a command, its words, and a file of one's own with something odd in it."""
    command, word, path, usual = TRAINED if rng.random() < 0.02 else rng.choice(FILES)
    lines = usual.splitlines()
    how = rng.randrange(8)
    if how < 4:  # odd lines
        for line in rng.sample(LINES, rng.choice([1, 1, 1, 2])):
            lines.insert(rng.randrange(len(lines) + 1), line)
    text = "\n".join(lines) + "\n"
    content = text.encode()
    if how == 4:  # other encodings
        content = rng.choice([
            b"\xef\xbb\xbf" + content, text.encode("utf-16"), text.encode("utf-32"), f"{text}# é".encode("latin-1"),
            text.replace("\n", "\r\n").encode(), text.replace("\n", "\r").encode(), content + b"\0", b"\0" * 20,
            b"", b"\xff\xfe", b"\n\n", b"# only a comment", content.replace(b" ", b"\xc2\xa0"),
            content.replace(b"  ", b"\t"),
        ])  # fmt: skip
    elif how == 5:
        content = content[: rng.randrange(len(content))]
    elif how == 6:
        at = rng.randrange(len(content))
        content = content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    elif how == 7:
        content = f"{text}{rng.choice(KEYS)}: {rng.choice(VALUES)}\n".encode()
    return command, [word], path, content


def odd_words(rng: random.Random) -> tuple[str, list[str], str, bytes]:
    """Draw a command and odd words for it."""

    def word() -> str:
        equals = rng.choice(["=", "=", "=", "=", "=", "", "==", " = ", ":"])
        return f"{rng.choice(SIGNS)}{rng.choice(KEYS)}{equals}{rng.choice(VALUES) if equals else ''}"

    words = [word() for _ in range(rng.choice([1, 1, 1, 2]))]
    if rng.random() < 0.3:
        words.insert(0, rng.choice(["dataset@like=cityscapes", "inference=slide", "submission=acdc", "inference=tta"]))
    return rng.choice(["predict", "predict", "predict", "init"]), words, "local/other.yaml", b""


DRAWS = [odd_file, odd_words]
Run = Callable[[str, list[str]], tuple[object, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command up to its check in an empty folder: exit code, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    modules = {name: importlib.import_module(f"hrda_lit.{name}") for name in ("train", "predict", "init")}
    monkeypatch.setattr(modules["train"], "_train", lambda config: 0.5)
    monkeypatch.setattr(modules["init"], "init", lambda config: check_tree(config, InitKeys))

    def predict(config: DictConfig) -> SimpleNamespace:
        check_tree(config, PredictKeys)
        return SimpleNamespace(failed=0)

    monkeypatch.setattr(modules["predict"], "predict", predict)

    def run(command: str, words: list[str]) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [f"hrda-{command}", "--config-dir", str(tmp_path / "own"), *words])
        code: object = 0
        try:
            modules[command].main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def complaint(run: Run, own: Path, case: tuple[str, list[str], str, bytes]) -> str | None:
    """Return what is wrong with how a command ended, or None."""
    command, words, path, content = case
    file = own / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    what, before = f"{command} {words!r:.300} {content!r:.400}", {*Path().rglob("*")}
    try:
        code, _, err = run(command, words)
    except Exception as error:
        return f"{what}: {type(error).__name__}: {str(error)[:300]}"
    finally:
        file.unlink()
    if code in (0, None):
        return f"{what}: works, and says {err[:300]}" if err else None
    if (code, err[:7], err.count("\n")) != (1, "error: ", 1) or not len(err) - len(str(own)) < LONGEST:
        return f"{what}: code {code}, {len(err)} characters: {err[:600]}"
    if err.startswith("error: ;"):
        return f"{what}: names nothing: {err}"
    left = [str(path) for path in {*Path().rglob("*")} - before]
    return f"{what}: leaves {left}" if left else None


@pytest.mark.parametrize("count", [pytest.param(CASES, id="some"), pytest.param(MANY, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("draw", DRAWS)
def test_odd_files_and_words_work_or_are_one_sentence(
    draw: Callable[[random.Random], tuple[str, list[str], str, bytes]], count: int, run: Run, tmp_path: Path
) -> None:
    rng = random.Random(count)
    complaints = [said for _ in range(count) if (said := complaint(run, tmp_path / "own", draw(rng)))]
    assert not complaints, "\n".join(complaints[:40])
