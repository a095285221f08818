"""The command line before Hydra reads it: nothing chosen from a group, any order, and values that need quotes."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hrda_lit.config.encoder_options import drop_options
from hrda_lit.config.help import show
from hrda_lit.config.misspelt import explained, is_hydras

P = ParamSpec("P")
R = TypeVar("R")

CONFIG_DIR = "HRDA_LIT_CONFIG_DIR"  # the folder of one's own YAML files, where --config-dir names none
_NULL = re.compile(r"(?P<choice>(?P<group>[\w/]+)(@[\w.]+)?)=null")
# Commands that predict as training did, unless told otherwise; a key alone changes that.
_AS_TRAINED, _CHANGE = {"evaluate", "predict"}, re.compile(r"inference\.\w.*=.*", re.DOTALL)
_EMPTY = re.compile(r"(?P<key>\w+(\.\w+)+)=\{\}")
_TAKES_A_VALUE = (
    "-cd",
    "--config-dir",
    "-cp",
    "--config-path",
    "-cn",
    "--config-name",
    "-p",
    "--package",
    "--cfg",
    "-c",
)


def readable_arguments(config_name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a command of Hydra so that its command line is made readable, or refused in one sentence.

    Args:
        config_name: of the command, e.g. "train".
    """

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if {"--help", "-h"} & set(sys.argv[1:]):
                show(config_name)
                sys.exit()
            try:
                sys.argv[1:] = readable([*sys.argv[1:], *_own_folder(sys.argv[1:])], config_name)
            except ValueError as error:
                _refuse(str(error))
            if "HYDRA_FULL_ERROR" in os.environ:
                return command(*args, **kwargs)
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own way to leave its errors to others
            try:
                return command(*args, **kwargs)
            except Exception as error:
                if not is_hydras(error):
                    raise
                _refuse(explained(error, config_name, sys.argv[1:]))
            finally:
                os.environ.pop("HYDRA_FULL_ERROR", None)

        return run

    return decorate


def _own_folder(arguments: Sequence[str]) -> list[str]:
    """Return the option for the folder of YAML files that the environment names, if the command line names none."""
    folder = os.environ.get(CONFIG_DIR)
    named = any(argument.split("=")[0] in ("--config-dir", "-cd") for argument in arguments)
    return ["--config-dir", str(Path(folder).expanduser())] if folder and not named else []


def _refuse(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(1)


def readable(arguments: Sequence[str], config_name: str = "train") -> list[str]:
    """Rewrite `group=null`, `key={}` and keys of an inference that is not chosen, and refuse what Hydra cannot read.

    Hydra knows the first in its files alone; the second it merges into what is there, which leaves all of it.

    Options come first, since Hydra's parser takes none amid overrides.

    Args:
        arguments: of the command line.
        config_name: of the command, e.g. "train".

    Returns:
        What Hydra reads.

    Raises:
        ValueError: if a value needs quotes.
    """
    parser, options, overrides, before = OverridesParser.create(), list[str](), list[str](), ""
    for argument in arguments:
        null = _NULL.fullmatch(argument)
        if null and (_groups() / null["group"]).is_dir():
            argument = f"{null['choice']}=[]"
        if "=" in argument and not argument.startswith("-") and before not in _TAKES_A_VALUE:
            _refuse_unreadable(parser, argument)
        if config_name in _AS_TRAINED and _CHANGE.fullmatch(argument):
            argument = f"++{argument}"
        empty = _EMPTY.fullmatch(argument)
        read = [f"~{empty['key']}", f"+{argument}"] if empty else [argument]
        (options if argument.startswith("-") or before in _TAKES_A_VALUE else overrides).extend(read)
        before = argument
    return options + overrides + drop_options(config_name, [*options, *overrides])


def _groups() -> Path:
    return Path(str(files("hrda_lit.conf")))


def _refuse_unreadable(parser: OverridesParser, argument: str) -> None:
    try:
        parser.parse_override(argument)
    except HydraException as error:
        key, _, value = argument.partition("=")
        quoted = value.strip("\"'").replace('"', r"\"")
        raise ValueError(
            f"{argument} cannot be read; put a value with brackets, accents, = or other signs into quotes within "
            f"quotes: '{key}=\"{quoted}\"'."
        ) from error
