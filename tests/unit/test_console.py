"""What the terminal shows: progress as lines and as a bar, tables, JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from glm2x import console
from glm2x.console import bytes_words, duration_words, print_json, progress, rate_words, show_table

HOSTILE = "[red]a[/red] \x1b[31mb\u202e"


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(console.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (1_234.4, "1,234/s"),
        (44.2, "44/s"),
        (9.96, "10/s"),
        (1.0, "1.0/s"),
        (0.5, "30/min"),
        (0.0125, "45/h"),
        (0.0001, "0.4/h"),
    ],
)
def test_a_rate_is_in_the_unit_of_time_that_makes_it_1_or_more(rate: float, said: str) -> None:
    assert rate_words(rate) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3_600, "1 h"),
        (11_460, "3 h 11 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_time_is_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration_words(seconds) == said


def test_lines_say_done_total_rate_and_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("personal phase", 2_340, "samples") as bar:
        for _ in range(2):
            clock.now += 10
            bar.advance(440, "epoch 3")
        clock.now += 5
        bar.advance(1_460)
    assert capsys.readouterr().err.splitlines() == [
        "personal phase: 440/2,340 samples, 44/s, 43 s left  epoch 3",
        "personal phase: 880/2,340 samples, 44/s, 33 s left  epoch 3",
        "personal phase: 2,340 samples done in 25 s",
    ]


def test_the_rate_is_that_of_the_last_half_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("embed", 1_000) as bar:
        clock.now += 100
        bar.advance(100)  # 1 a second; then 10 a second
        for _ in range(4):
            clock.now += 10
            bar.advance(100)
        clock.now += 1
        bar.advance(500)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "embed: 100/1,000, 1.0/s, 15 min left"
    assert lines[4] == "embed: 500/1,000, 10/s, 50 s left"


def test_a_unit_that_takes_longer_than_that_has_a_rate_too(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("embed", 4, "windows") as bar:
        for _ in range(3):
            clock.now += 120
            bar.advance()
    assert capsys.readouterr().err.splitlines()[2] == "embed: 3/4 windows, 30/h, 2 min left"


def test_work_of_less_than_a_second_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("quick", 2, "genes") as bar:
        clock.now += 0.9
        bar.advance(2)
    assert capsys.readouterr().err == ""


def test_what_fails_does_not_say_that_it_is_done(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress("work", 2):
            clock.now += 60
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert capsys.readouterr().err == ""


def test_a_message_does_nothing_to_the_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("embed", 3) as bar:
        clock.now += 10
        bar.advance(1, HOSTILE)
    assert capsys.readouterr().err.splitlines()[0].endswith(r"  [red]a[/red] \x1b[31mb\u202e")


def test_a_table_that_is_piped_is_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_table({"model": "left", "mean r": "right"}, [("x" * 90, "0.1"), (HOSTILE, "-12.345"), ("a\nb", "")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["model", "mean", "r"]
    assert {len(line) for line in lines[:3]} == {90 + 2 + 7}  # numbers end in one column
    assert lines[2].startswith(r"[red]a[/red] \x1b[31mb\u202e ")
    assert lines[3] == "a b"


def test_json_is_one_document_and_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    with pytest.raises(ValueError, match="Out of range float"):
        print_json({"a": float("nan")})


def _on_a_terminal(program: str) -> str:
    """Run a program whose output and errors are a terminal of 80 columns; return what it wrote."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=theirs, stderr=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other side has closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_has_a_bar_that_goes_away() -> None:
    shown = _on_a_terminal(
        "import time\n"
        "from glm2x import console\n"
        "console._QUIET = 0.05\n"
        "with console.progress('predict', 10, 'genes') as bar:\n"
        "    for _ in range(9):\n"
        "        time.sleep(0.1)\n"
        "        bar.advance(1, '[b]ENSG0')\n"
        "    console.say('a line between')\n"
        "    bar.advance(1)\n"
    )
    assert "/10 genes" in shown
    assert "left" in shown
    assert "[b]ENSG0" in shown
    assert "a line between" in shown
    assert re.search(r"\x1b\[2Kpredict: 10 genes done in \d+ s\r\n$", shown)  # where the bar was


def test_a_table_keeps_to_the_terminals_width() -> None:
    shown = _on_a_terminal(
        "from glm2x.console import show_table\n"
        "show_table({'name': 'left', 'r': 'right'}, [('y' * 100, '0.123'), ('[b]z', '-1.000')])\n"
    )
    lines = shown.splitlines()
    assert max(map(len, lines)) == 80
    assert "\x1b" not in shown
    assert lines[2].endswith("0.123")
    assert sum(line.count("y") for line in lines) == 100
    assert lines[-1].startswith("[b]z")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        *((0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (5.24e8, "524.0 MB")),
        *((15.83e12, "15.8 TB"), (136.3e15, "136.3 PB"), (1e21, "1,000,000.0 PB")),
    ],
)
def test_bytes_in_words(number: float, words: str) -> None:
    assert bytes_words(number) == words
