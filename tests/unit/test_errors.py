from __future__ import annotations

from glm2x.errors import DataError, Glm2xError, LeakError, UsageError


def test_a_message_says_what_where_got_wanted_and_what_to_do() -> None:
    error = DataError("it is wrong", where="x.vcf", got="1", wanted="2", do="mend it")
    assert str(error).splitlines() == [
        "it is wrong",
        "  where:  x.vcf",
        "  got:    1",
        "  wanted: 2",
        "  do:     mend it",
    ]


def test_what_is_not_known_is_left_out() -> None:
    assert str(UsageError("it is wrong", do="mend it")) == "it is wrong\n  do:     mend it"


def test_exit_codes() -> None:
    assert [kind.exit_code for kind in (Glm2xError, DataError, UsageError, LeakError)] == [1, 1, 2, 3]


def test_what_a_damaged_file_holds_does_nothing_to_the_terminal() -> None:
    error = DataError("two\nlines stay", where="caf\u00e9", got="\x1b[31mred\x07\x00", do="a\tb \u202e")
    assert str(error).splitlines() == [
        "two",
        "lines stay",
        "  where:  caf\u00e9",
        "  got:    \\x1b[31mred\\x07\\x00",
        "  do:     a\\tb \\u202e",
    ]
