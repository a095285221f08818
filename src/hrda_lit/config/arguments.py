"""The command line: rewritten for Hydra, and refused in one sentence where Hydra cannot read it."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from hrda_lit.config import messages
from hrda_lit.config.explain import compose_config, explain_errors, find_configs
from hrda_lit.config.help import show
from hrda_lit.system.text import LONGEST_REASON, shorten

CONFIG_DIR = "HRDA_LIT_CONFIG_DIR"  # the folder of one's own YAML files, where --config-dir names none
_FULL_ERROR = "HYDRA_FULL_ERROR"  # makes Hydra raise its errors instead of printing them
_NULL = re.compile(r"(?P<choice>(?P<group>[\w/]+)(@[\w.]+)?)=null")
# A text or path with accents, brackets or =, which can only be meant as it is.
_TEXT = re.compile(r"[^\[({\"'\\$,}][^\"'\\$,{}]*")
_DICT = re.compile(r"(?P<key>\w+(\.\w+)*)=(?P<value>\{.*\})", re.DOTALL)
# Keys that may be new, of what takes more than its YAML file shows: inference as in training, and other libraries.
_CHANGED_INFERENCE = re.compile(r"inference\.\w.*=.*", re.DOTALL)
_OF_LIBRARIES = re.compile(r"(trainer|logger|network\.backbone\.options)\.\w.*=.*", re.DOTALL)
_OPEN = {
    "evaluate": _CHANGED_INFERENCE,
    "predict": _CHANGED_INFERENCE,
    "train": _OF_LIBRARIES,
    "inspect": _OF_LIBRARIES,
}
_NEW = object()
_ENCODER = re.compile(r"network\.backbone\.name=[\w.,-]+")
_OPTIONS = "network.backbone.options"


def run_hydra(command: Callable[[], Any], config_name: str) -> None:
    """Run a command of Hydra on the rewritten command line, or print its help.

    Args:
        command: function that `hydra.main` has decorated.
        config_name: config of the command, e.g. "train".

    Raises:
        ValueError: if the command line or a YAML file does not fit.
        FileNotFoundError: if the folder of one's own YAML files is missing.
    """
    args = _parse(sys.argv[1:])
    if args.help:
        show(config_name)
        return
    folder = find_config_dir(args.config_dir or (args.shell_completion and _folder_to_complete_from()))
    search = [] if folder is None else [search_in(folder)]
    # Hydra's parser takes no options between overrides.
    options = [word for word in sys.argv[1:] if word not in args.overrides]
    if folder is not None and args.config_dir is None:
        options += ["--config-dir", str(folder)]
    overrides = rewrite_overrides(args.overrides, config_name, search)
    sys.argv[1:] = [*options, *overrides]
    traced = _FULL_ERROR in os.environ
    os.environ[_FULL_ERROR] = "1"
    try:
        with explain_errors(config_name, [*search, *overrides], traced):
            command()
    finally:
        if not traced:
            del os.environ[_FULL_ERROR]


def _parse(words: Sequence[str]) -> argparse.Namespace:
    def refuse(message: str) -> NoReturn:
        raise ValueError(f"{shorten(message, LONGEST_REASON)}; see --help.")

    parser: argparse.ArgumentParser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(words)


def _folder_to_complete_from() -> str | None:
    """Take the option of the folder out of the line that a shell completes, since Hydra ignores it there."""
    line = os.environ.get("COMP_LINE", "")
    found = re.search(r"(--config-dir|-cd)[= ]+(\S+) ", line)
    if found is None or not Path(found[2]).expanduser().is_dir():
        return None
    os.environ["COMP_LINE"] = line.replace(found[0], "", 1)
    return found[2]


@contextmanager
def start_hydra(
    config_name: str, overrides: Sequence[str], config_dir: str | Path | None
) -> Iterator[tuple[Hydra, list[str]]]:
    """Yield Hydra and the words that it reads as a command line; its errors are those of one.

    Logging and Hydra are left in the state in which a notebook or another program had them.
    """
    folder = find_config_dir(config_dir)
    search = [] if folder is None else [search_in(folder)]
    words = [*search, *rewrite_overrides(overrides, config_name, search)]
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with explain_errors(config_name, words), find_configs(config_name) as hydra:
            yield hydra, words
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


def find_config_dir(given: str | Path | None = None) -> Path | None:
    """Return the folder of one's own YAML files: the given one or that of HRDA_LIT_CONFIG_DIR; None: none.

    Raises:
        FileNotFoundError: if it is not a folder or cannot be read.
    """
    given = given or os.environ.get(CONFIG_DIR)
    if not given:
        return None
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise FileNotFoundError(
            f"no folder at {folder} that can be read; name one with YAML files by --config-dir (config_dir)."
        )
    return folder


def search_in(folder: Path) -> str:
    """Return the override by which Hydra looks for configs in a further folder."""
    path = re.sub(r'\\(?=")|"', r"\\\g<0>", str(folder))
    return f'hydra.searchpath=["file://{path}"]'


def rewrite_overrides(overrides: Sequence[str], config_name: str, search: Sequence[str] = ()) -> list[str]:
    """Rewrite what Hydra cannot do on a command line, and refuse what it cannot read.

    Hydra takes `group=null` only in files, merges `key={}`, which changes nothing, refuses `key={new: 1}`, and reads
    no text with accents, brackets or `=` that has no quotes.

    Args:
        overrides: words of the command line, without options.
        config_name: config of the command, e.g. "train".
        search: override of the folder of one's own YAML files, see `search_in`.

    Returns:
        Words for Hydra.

    Raises:
        ValueError: if Hydra cannot read a word.
        TypeError: if a word is not a text.
    """
    parser, rewritten = OverridesParser.create(), list[str]()
    for override in overrides:
        if not isinstance(override, str):
            got = type(override).__name__
            raise TypeError(
                f'got a {got}, need texts like "experiment=hrda_demo", one for each key; pass a list as *list.'
            )
        if not _is_readable(parser, override):
            key, equals, value = override.partition("=")
            escaped = value.strip("\"'").replace('"', r"\"")
            quoted = f'{key}="{escaped}"'
            helps = bool(equals) and _is_readable(parser, quoted)
            if not helps or not _TEXT.fullmatch(value):
                raise ValueError(messages.unreadable(override, quoted if helps else None))
            override = quoted
        rewritten += _rewrite(override)
    return _fit_keys(config_name, rewritten, search)


def _rewrite(argument: str) -> Iterator[str]:
    null, mapping = _NULL.fullmatch(argument), _DICT.fullmatch(argument)
    if null and _is_group(null["group"]):
        yield f"{null['choice']}=[]"
    elif mapping and not _is_group(mapping["key"]):
        if not mapping["value"].strip("{} "):
            yield f"~{mapping['key']}"
        yield f"++{argument}"
    else:
        yield argument


def _is_group(name: str) -> bool:
    return os.path.isdir(Path(str(files("hrda_lit.conf")), name))


def _is_readable(parser: OverridesParser, override: str) -> bool:
    try:
        parser.parse_override(override)
    except HydraException:
        return False
    return True


def _fit_keys(config_name: str, overrides: list[str], search: Sequence[str]) -> list[str]:
    """Add the keys that are new where new ones may be, and drop the options of a replaced encoder."""
    opened = [text for text in overrides if config_name in _OPEN and _OPEN[config_name].fullmatch(text)]
    named = [text for text in overrides if _ENCODER.fullmatch(text)]
    if not opened and not named:
        return overrides
    try:
        config = _compose(config_name, [*search, *(text for text in overrides if text not in [*opened, *named])])
    except Exception:  # Hydra says the same afterwards, and why
        return [f"++{text}" if text in opened else text for text in overrides]
    new = [text for text in opened if OmegaConf.select(config, text.partition("=")[0], default=_NEW) is _NEW]
    fitted = [f"++{text}" if text in new else text for text in overrides]
    return [*fitted, *_drop_options(config, named, fitted)]


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the config of a command line; of a sweep, that of its first job."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return compose_config(config_name, [_first(override) for override in parsed if not override.is_interval_sweep()])


def _first(override: Override) -> str:
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"


def _drop_options(config: DictConfig, named: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return overrides that remove the options of the encoder that another one replaces.

    Drop rates stay, and within a family of encoders the output stride: `resnet101c` for `resnet50c`.
    Where the command line sets options itself, all stay.
    """
    if not named or any(text.lstrip("+~").startswith(_OPTIONS) for text in overrides):
        return []
    replaced = str(OmegaConf.select(config, "network.backbone.name"))
    families = {_family(name) for name in named[-1].partition("=")[2].split(",")}
    kept = {"output_stride"} if families == {_family(replaced)} else set()
    options = OmegaConf.select(config, _OPTIONS) or {}
    return [f"~{_OPTIONS}.{key}" for key in options if not key.endswith("_rate") and key not in kept]


def _family(name: str) -> str:
    found = re.match(r"[a-z]+", name)
    return found[0] if found else name
