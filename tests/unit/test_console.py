import io
import logging
import sys

import pytest

from rankdistill import console
from rankdistill.cli.options import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_logging():
    logger = logging.getLogger("rankdistill")
    before = (list(logger.handlers), logger.level, logger.propagate)
    console._stderr.cache_clear()
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])
    console._stderr.cache_clear()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_messages_go_to_stderr_alone_and_once(monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    for _ in range(2):
        console.setup_logging()
    logger = logging.getLogger("rankdistill.data")
    logger.debug("not shown")
    logger.info("read [bold]12[/bold] rows")
    logger.warning("3 left out")
    lines = [line.rstrip() for line in sys.stderr.getvalue().splitlines()]
    assert lines == ["read [bold]12[/bold] rows", "warning: 3 left out"]
    assert capsys.readouterr().out == ""


def test_debug_shows_every_message_with_its_module(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    console.setup_logging(debug=True)
    logging.getLogger("rankdistill.data").debug("shown")
    assert sys.stderr.getvalue() == "rankdistill.data: shown\n"


def test_a_bar_is_drawn_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with console.progress(2, "epoch 1/3") as advance:
        advance(note="loss 0.5")
        advance()
    assert "epoch 1/3" in sys.stderr.getvalue()
    assert "2/2" in sys.stderr.getvalue()
    assert "loss 0.5" in sys.stderr.getvalue()


def test_a_bar_inside_of_a_bar_does_not_break_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with console.progress(1, "outer") as outer:
        with console.progress(1, "inner") as inner:
            inner()
        outer()
    assert "outer" in sys.stderr.getvalue()


def test_nothing_is_drawn_into_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with console.progress(2, "epoch") as advance:
        advance()
    assert sys.stderr.getvalue() == ""


def test_an_error_under_a_bar_comes_through(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="broken"), console.progress(2, "epoch"):
        raise ValueError("broken")


def test_a_table_in_a_file_keeps_each_row_on_one_line(capsys):
    console.table(["model", "MAP"], [["[caser]" + "x" * 150, "0.0967"], ["none", None]], title="Results")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Results"
    assert any(line.startswith(" [caser]" + "x" * 150) or line.startswith("[caser]") for line in lines)
    assert all(line.endswith("0.0967") for line in lines if "xxx" in line)


def test_numbers_stand_flush_right(capsys):
    console.table(["users"], [["7"], ["1,234"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert len(next(line for line in lines if "7" in line)) == len(next(line for line in lines if "1,234" in line))


def test_a_difference_stands_flush_right(capsys):
    console.table(["change"], [["+0.10 %"], ["−12.25 %"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert len({len(line) for line in lines}) == 1


def test_a_folded_table_is_no_wider_than_100_columns_in_a_file_and_breaks_at_words(capsys):
    settings = [f"a_setting_of_trial_{number}=0.25" for number in range(12)]
    console.table(["trial", "other settings"], [["1", ", ".join(settings)]], folded=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [word.strip(",") for line in lines for word in line.split() if "=" in word] == settings


def test_a_sentence_is_folded_at_words_on_a_terminal_and_whole_in_a_file(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    sentence = "the value on new users will be lower, which the test of a run shows: /a/path/" + "x" * 50
    console.line(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"
    monkeypatch.setattr(sys, "stdout", Terminal())
    console.line(sentence)
    lines = sys.stdout.getvalue().splitlines()
    assert len(lines) == 3
    assert " ".join(lines) == sentence
    assert max(map(len, lines[:-1])) <= 40


def test_what_has_no_rows_is_shown_by_its_lines_alone(capsys):
    Output().show({}, ("", "MAP"), [], "no student met the goal")
    assert capsys.readouterr().out == "no student met the goal\n"
