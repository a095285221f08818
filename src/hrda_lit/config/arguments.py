"""The command line: rewritten for Hydra, and what Hydra refuses in one sentence."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hrda_lit.config import messages
from hrda_lit.config.encoder_options import drop_options
from hrda_lit.config.explain import explain, is_from_hydra
from hrda_lit.config.help import show

P = ParamSpec("P")
R = TypeVar("R")

CONFIG_DIR = "HRDA_LIT_CONFIG_DIR"  # the folder of one's own YAML files, where --config-dir names none
_NULL = re.compile(r"(?P<choice>(?P<group>[\w/]+)(@[\w.]+)?)=null")
_DICT = re.compile(r"(?P<key>\w+(\.\w+)*)=(?P<value>\{.*\})", re.DOTALL)
# Commands that predict as training did, unless a key changes that.
_AS_TRAINED, _CHANGE = {"evaluate", "predict"}, re.compile(r"inference\.\w.*=.*", re.DOTALL)
_TAKES_A_VALUE = (
    "-cd", "--config-dir", "-cp", "--config-path", "-cn", "--config-name", "-p", "--package", "--cfg", "-c",
)  # fmt: skip


def read_command_line(config_name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a command of Hydra so that its command line is rewritten, or refused in one sentence.

    Args:
        config_name: config of the command, e.g. "train".
    """

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if {"--help", "-h"} & set(sys.argv[1:]):
                show(config_name)
                sys.exit()
            try:
                sys.argv[1:] = rewrite_arguments([*sys.argv[1:], *_own_folder(sys.argv[1:])], config_name)
            except ValueError as error:
                _refuse(str(error))
            if "HYDRA_FULL_ERROR" in os.environ:
                return command(*args, **kwargs)
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own way to leave its errors to others
            try:
                return command(*args, **kwargs)
            except Exception as error:
                if not is_from_hydra(error):
                    raise
                _refuse(explain(error, config_name, sys.argv[1:]))
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


def rewrite_arguments(arguments: Sequence[str], config_name: str = "train") -> list[str]:
    """Rewrite what Hydra cannot do on a command line, and refuse what it cannot read.

    Hydra knows `group=null` in files alone. It merges `key={}` into what stands there, which changes nothing, and
    refuses `key={new: 1}`. Its parser takes no options amid overrides, so options come first.

    Args:
        arguments: words of the command line.
        config_name: config of the command, e.g. "train".

    Returns:
        What Hydra reads.

    Raises:
        ValueError: if a value needs quotes.
    """
    parser, options, overrides, before = OverridesParser.create(), list[str](), list[str](), ""
    for argument in arguments:
        if argument.startswith("-") or before in _TAKES_A_VALUE:
            options.append(argument)
        else:
            if "=" in argument:
                _refuse_unreadable(parser, argument)
            overrides.extend(_rewrite(argument, config_name))
        before = argument
    return options + overrides + drop_options(config_name, [*options, *overrides])


def _rewrite(argument: str, config_name: str) -> Iterator[str]:
    if (null := _NULL.fullmatch(argument)) and _is_group(null["group"]):
        yield f"{null['choice']}=[]"
    elif (group := _DICT.fullmatch(argument)) and not _is_group(group["key"]):
        if not group["value"].strip("{} "):
            yield f"~{group['key']}"
        yield f"++{argument}"
    elif config_name in _AS_TRAINED and _CHANGE.fullmatch(argument):
        yield f"++{argument}"
    else:
        yield argument


def _is_group(name: str) -> bool:
    return Path(str(files("hrda_lit.conf")), name).is_dir()


def _refuse_unreadable(parser: OverridesParser, argument: str) -> None:
    try:
        parser.parse_override(argument)
    except HydraException as error:
        raise ValueError(messages.needs_quotes(argument)) from error
