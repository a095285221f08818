"""The command line before Hydra reads it: nothing chosen from a group, and values that need quotes."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import ParamSpec, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

P = ParamSpec("P")
R = TypeVar("R")

_NULL = re.compile(r"(?P<choice>(?P<group>[\w/]+)(@[\w.]+)?)=null")
_EMPTY = re.compile(r"(?P<key>\w+(\.\w+)+)=\{\}")
_TAKES_A_VALUE = ("-cd", "--config-dir", "-cp", "--config-path", "-cn", "--config-name", "-p", "--package")


def readable_arguments(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a command of Hydra so that its command line is made readable, or refused in one sentence."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            sys.argv[1:] = readable(sys.argv[1:])
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        return command(*args, **kwargs)

    return run


def readable(arguments: Sequence[str]) -> list[str]:
    """Rewrite `group=null` and `key={}`, and refuse what Hydra's grammar cannot read.

    Hydra knows the former in its files alone; the latter it merges into what is there, which leaves all of it.

    Args:
        arguments: of the command line.

    Returns:
        What Hydra reads.

    Raises:
        ValueError: if a value needs quotes.
    """
    parser, made, before = OverridesParser.create(), [], ""
    for argument in arguments:
        null = _NULL.fullmatch(argument)
        if null and (_groups() / null["group"]).is_dir():
            argument = f"{null['choice']}=[]"
        if "=" in argument and not argument.startswith("-") and before not in _TAKES_A_VALUE:
            _refuse_unreadable(parser, argument)
        empty = _EMPTY.fullmatch(argument)
        made += [f"~{empty['key']}", f"+{argument}"] if empty else [argument]
        before = argument
    return made


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
