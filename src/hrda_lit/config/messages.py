"""Templates of the sentences about a config: `key=value: expected ...; remedy`."""

import difflib
import re
from collections.abc import Iterable, Sequence

from hrda_lit.system.text import LONGEST_REASON, reason_of, shorten

# Names that other libraries have for keys of ours, by their last part.
SYNONYMS = {
    "learning_rate": "optim.lr",
    "gradient_clip_val": "optim.clip",
    "accumulate_grad_batches": "loading.accumulate",
    "max_epochs": "trainer.max_steps",
    "epochs": "trainer.max_steps",
    "max_iters": "trainer.max_steps",
    "gpus": "trainer.devices",
    "wandb": "logger=wandb",
    "pretrained": "network.backbone.weights",
    "dataset": "dataset@source, dataset@target or dataset@val",
}
# Keys of parts that are chosen by name, and by what.
CHOICES = {key: f"dataset@{key}" for key in ("source", "target", "val", "like")} | {
    "network.backbone": "network.backbone.name",
    "network.head": "network/head",
    "network.attention": "network/attention",
}


def wrong_value(key: str, value: object, expected: str) -> str:
    """Say what a key holds and what it needs."""
    key = shorten(key)
    remedy = f"correct {key}."
    if "text" in expected and isinstance(value, bool | int | float):
        why = ", since YAML reads no, off, on and yes as booleans" if isinstance(value, bool) else ""
        remedy = f"put it into quotes{why}."
    elif key in CHOICES and isinstance(value, str):
        remedy = f"did you mean {CHOICES[key]}={shorten(value)}?"
    return f"{key}={show(value)}: expected {shorten(expected, LONGEST_REASON)}; {remedy}"


def wrong_name(key: str, name: object, expected: str) -> str:
    """Say which name below a key is of a wrong type."""
    remedy = "put it into quotes" if "text" in expected else f"correct {shorten(key)}"
    return f"{shorten(key)} has the key {show(name)}: expected {expected}; {remedy}."


def unknown_key(key: str, names: Iterable[str]) -> str:
    """Say that a dotted key does not exist, and which of `names` may be meant."""
    names, group = sorted(names), key.rpartition(".")[0]
    near = nearest(key, names)
    here = [name.rpartition(".")[2] for name in names if group and name.rpartition(".")[0] == group]
    if near:
        remedy = f"did you mean {near}?"
    elif here:
        remedy = f"{group} has {list_choices(here)}."
    else:
        remedy = "see --help for those there are."
    return f"unknown key {shorten(key)}; {remedy}"


def reserved_key(key: str) -> str:
    """Say that Hydra's own keys (`_partial_`, `_args_`, ...) are not the config's to set."""
    return f"unknown key {shorten(key)}; Hydra's own keys have no effect here, remove it."


def missing_key(key: str) -> str:
    """Say that a key must be set."""
    return f"missing key {key}; set {key}=... ."


def unresolved(key: str, error: Exception) -> str:
    """Say that the value of a key refers to what is not there."""
    reason = shorten(str(error).splitlines()[0], LONGEST_REASON)
    return f"{key} cannot be resolved: {reason}; correct {key}."


def not_allowed(key: str, value: object, instead: str) -> str:
    """Say that a value is never allowed here, and what to set instead."""
    return f"{key}={show(value)}: not allowed here; {instead}."


def does_not_fit(key: str, error: BaseException) -> str:
    """Say why what a key names cannot be built."""
    return f"{key} does not fit: {reason_of(error)}; correct {key}."


def unknown_choice(group: str, choice: str, choices: Sequence[str]) -> str:
    """Say that a group of the config does not have a choice, and which may be meant."""
    near, group = difflib.get_close_matches(choice, choices, 1), shorten(group)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{group}={shorten(choice)}: unknown choice; {meant}{group} has {list_choices(choices)}."


def refused(word: str, error: BaseException) -> str:
    """Say why Hydra does not take a word of the command line, or "" where the word is not known."""
    if not word:
        return f"{reason_of(error)}; see --help."
    reason = str(error).partition("\n")[0].rstrip(".") or "Hydra does not take this value"
    return f"{shorten(word)}: {shorten(reason, LONGEST_REASON)}; correct it."


def several_values(key: str) -> str:
    """Say how to sweep over values."""
    return f"{shorten(key)}: several values; sweep over them with -m, or put a list into brackets."


def broken_yaml(path: object, line: int, problem: str) -> str:
    """Say where a YAML file cannot be read."""
    remedy = "correct that line"
    if "escape" in problem:
        remedy = "put a path with backslashes into single quotes"
    elif r"'\t'" in problem:
        remedy = "indent with spaces, not with tabs"
    return f"{path}, line {line}: {shorten(problem, LONGEST_REASON)}; {remedy}."


def broken_file(path: str, reason: str) -> str:
    """Say that a YAML file cannot be read at all."""
    path, reason = path or "a YAML file", shorten(reason, LONGEST_REASON) or "its content is odd"
    return f"{path} cannot be read: {reason}; save it as YAML in UTF-8, with keys and values."


def unreadable(override: str, quoted: str | None) -> str:
    """Say how to write a word of the command line that Hydra cannot read; `quoted` is what it can, if any."""
    if quoted is None:
        remedy = "write key=value, with a dotted key of letters and digits"
    else:
        remedy = f"close its brackets, or put the value into quotes within quotes: '{shorten(quoted)}'"
    return f"{shorten(override)} cannot be read; {remedy}."


def nearest(key: str, names: Sequence[str]) -> str | None:
    """Return the dotted name that looks most like a key, as a whole or by its last part; None: none does."""
    group, _, last = key.rpartition(".")
    if last in SYNONYMS:
        return SYNONYMS[last]
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    close = difflib.get_close_matches(last, beside, 1)
    if close:
        return beside[close[0]]
    elsewhere = [name for name in names if name not in beside.values()]
    close = difflib.get_close_matches(key, elsewhere, 1, 0.75)
    if close:
        return close[0]
    parts = difflib.get_close_matches(last, {name.rpartition(".")[2] for name in elsewhere}, 1, 0.75)
    return min((name for name in elsewhere if name.rpartition(".")[2] in parts), key=len, default=None)


def list_choices(names: Iterable[object]) -> str:
    """List names for a sentence, as many as it has room for."""
    return shorten(", ".join(map(str, names)) or "nothing", LONGEST_REASON)


def show(value: object) -> str:
    """Write a value as a config does, on one short line."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./:-]*", value):
        text = value
    return shorten({"None": "null", "True": "true", "False": "false"}.get(text, text))
