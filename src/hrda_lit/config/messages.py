"""Templates of the sentences about a config: `key=value: expected ...; remedy`."""

import difflib
import re
from collections.abc import Iterable, Sequence

LONGEST = 80  # of a value that is shown
# Names that other libraries have for keys of ours, by their last part.
SYNONYMS = {
    "learning_rate": "optim.lr",
    "gradient_clip_val": "optim.clip",
    "accumulate_grad_batches": "loading.accumulate",
    "max_epochs": "trainer.max_steps",
    "epochs": "trainer.max_steps",
}


def wrong_value(key: str, value: object, expected: str) -> str:
    """Say what a key holds and what it needs."""
    remedy = f"correct {key}"
    if "text" in expected and isinstance(value, bool | int | float):
        why = ", since YAML reads no, off, on and yes as booleans" if isinstance(value, bool) else ""
        remedy = f"put it into quotes{why}"
    return f"{key}={show(value)}: expected {expected}; {remedy}."


def wrong_name(key: str, name: object, expected: str) -> str:
    """Say which name below a key is of a wrong type."""
    remedy = "put it into quotes" if "text" in expected else f"correct {key}"
    return f"{key} has the key {show(name)}: expected {expected}; {remedy}."


def unknown_key(key: str, names: Iterable[str]) -> str:
    """Say that a key does not exist, and which may be meant.

    Args:
        key: dotted name.
        names: dotted names of the keys that exist there.
    """
    near, group = nearest(key, sorted(names)), key.rpartition(".")[0]
    if near:
        return f"unknown key {key}; did you mean {near}?"
    here = [name.rpartition(".")[2] for name in sorted(names) if name.rpartition(".")[0] == group]
    return (
        f"unknown key {key}; {group} has {shorten(', '.join(here), 150)}."
        if group and here
        else (f"unknown key {key}; see --help for those there are.")
    )


def missing_key(key: str) -> str:
    """Say that a key must be set."""
    return f"missing key {key}; set {key}=... ."


def unresolved(key: str, reason: str) -> str:
    """Say that the value of a key refers to what is not there."""
    return f"{key} cannot be resolved: {shorten(reason, 150)}; correct {key}."


def not_allowed(key: str, value: object, instead: str) -> str:
    """Say that a value is never allowed here, and what to set instead."""
    return f"{key}={show(value)}: not allowed here; {instead}."


def does_not_fit(key: str, reason: str) -> str:
    """Say why what a key names cannot be built."""
    return f"{key} does not fit: {shorten(' '.join(reason.split()).rstrip('.'), 200)}; correct {key}."


def unknown_choice(group: str, choice: str, choices: Sequence[str]) -> str:
    """Say that a group of the config does not have a choice, and which may be meant."""
    near = difflib.get_close_matches(choice, choices, 1)
    known = shorten(", ".join(choices) or "nothing", 150)
    return (
        f"{group}={choice}: unknown choice; " + (f"did you mean {near[0]}? " if near else "") + f"{group} has {known}."
    )


def broken_yaml(path: object, line: int, problem: str) -> str:
    """Say where a YAML file cannot be read."""
    remedy = "correct that line"
    if "escape" in problem:
        remedy = "put a path with backslashes into single quotes"
    elif r"'\t'" in problem:
        remedy = "indent with spaces, not with tabs"
    return f"{path}, line {line}: {problem}; {remedy}."


def broken_file(path: str, reason: str) -> str:
    """Say that a YAML file cannot be read at all."""
    reason = shorten(" ".join(reason.split()).rstrip("."), 150)
    return f"{path or 'a YAML file'} cannot be read: {reason}; save it as YAML in UTF-8, with keys and values."


def needs_quotes(argument: str) -> str:
    """Say how to write a value that Hydra cannot read."""
    key, _, value = argument.partition("=")
    quoted = value.strip("\"'").replace('"', r"\"")
    return (
        f"{shorten(argument, LONGEST)} cannot be read; put a value with brackets, accents, = or other signs into "
        f"quotes within quotes: '{key}=\"{shorten(quoted, LONGEST)}\"'."
    )


def nearest(key: str, names: Sequence[str]) -> str | None:
    """Return the dotted name that looks most like a key, as a whole or by its last part; None: none does."""
    group, _, last = key.rpartition(".")
    if (synonym := SYNONYMS.get(last)) is not None:
        return synonym
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    if close := difflib.get_close_matches(last, beside, 1):
        return beside[close[0]]
    elsewhere = [name for name in names if name not in beside.values()]
    if close := difflib.get_close_matches(key, elsewhere, 1, 0.75):
        return close[0]
    parts = difflib.get_close_matches(last, {name.rpartition(".")[2] for name in elsewhere}, 1, 0.75)
    return min((name for name in elsewhere if name.rpartition(".")[2] in parts), key=len, default=None)


def show(value: object) -> str:
    """Write a value as a config does, on one short line."""
    text = " ".join(repr(list(value) if isinstance(value, tuple) else value).split())
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./:-]*", value):
        text = value
    return shorten({"None": "null", "True": "true", "False": "false"}.get(text, text), LONGEST)


def shorten(text: str, length: int) -> str:
    """Cut a text off after some characters."""
    return text if len(text) <= length else f"{text[:length]} ..."
