import logging
import os

import pytest

from service.console import describe_os_error, printable, show_notices, write_error, write_json


def test_json_is_one_line_on_stdout_even_for_names_no_encoding_can_write(capsys):
    write_json({"path": os.fsdecode(b"\xff\n.png")})
    out, err = capsys.readouterr()
    assert out == '{"path": "\\udcff\\n.png"}\n'
    assert err == ""


def test_json_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="Out of range"):
        write_json({"score": float("nan")})


def test_an_error_is_one_line_on_stderr_whatever_it_holds(capsys):
    write_error("first\nsecond [bold] \x1b[31m" + "long " * 100)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "first second [bold]" in err
    assert "\x1b" not in err


def test_what_a_terminal_could_not_show_is_replaced():
    assert printable("a\x1b[2Jb\udcff") == "a�[2Jb�"


def test_notices_of_the_service_go_to_stderr(capsys):
    logger = logging.getLogger("service")
    before = list(logger.handlers)
    try:
        show_notices()
        logging.getLogger("service.imagesets").info("2 of 4 [images] left out")
    finally:
        logger.handlers = before
    out, err = capsys.readouterr()
    assert (out, err) == ("", "2 of 4 [images] left out\n")


def test_an_os_error_names_the_file_and_the_reason():
    assert describe_os_error(PermissionError(13, "Permission denied", "/a/b")) == "/a/b: Permission denied"
    assert describe_os_error(OSError("no more")) == "no more"
