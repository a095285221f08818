"""Text from files cannot move the cursor, forge a line or be taken for markup."""

import io
import logging

import pytest
from rich.table import Table

from hrda_lit.system.errors import format_error
from hrda_lit.system.text import PlainConsole, PrintableFormatter, printable, quieten_libraries

HOSTILE = [
    "[/x]",
    "[bold]red",
    ":smile:",
    "\x1b[2Jgone",
    "a\nerror: forged",
    "a\rb",
    "\x07",
    "\x9b31m",
    "\u202etxt",
    "\udcff",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_but_signs_is_left_and_nothing_is_lost(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode("utf-8")
    assert printable(shown) == shown
    assert shown.encode().decode("unicode_escape" if shown != text else "utf-8") == text


def test_names_of_all_scripts_stay() -> None:
    assert printable("Straße 道路 дорога") == "Straße 道路 дорога"
    assert printable(None) == "None"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_console_shows_what_it_is_given(text: str) -> None:
    console = PlainConsole(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    table = Table("class", text, title=text)
    table.add_row(text, "1")
    console.print(table)
    console.print(text, soft_wrap=True)
    lines = console.file.getvalue().splitlines()
    assert sum(printable(text) in line for line in lines) == 4
    assert lines[-1] == printable(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_and_a_line_of_the_log_are_one_line(text: str) -> None:
    assert format_error(ValueError(text)).isprintable()
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "passed over: %s", (text,), None)
    assert PrintableFormatter("%(message)s").format(record) == f"passed over: {printable(text)}"


def test_of_libraries_only_warnings_are_printed(caplog: pytest.LogCaptureFixture) -> None:
    quieten_libraries()
    with caplog.at_level(logging.INFO):
        for name in ("matplotlib.font_manager", "lightning.pytorch.utilities.rank_zero", "hrda_lit.train"):
            logging.getLogger(name).info("a notice of %s", name)
            logging.getLogger(name).warning("a warning")
    assert caplog.messages == ["a warning", "a warning", "a notice of hrda_lit.train", "a warning"]
