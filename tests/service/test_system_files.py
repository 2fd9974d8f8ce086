from pathlib import Path

import pytest

from service.system_files import bytes_of_this_process, first_value, read_lines, whole_number, whole_numbers


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert read_lines(missing) == []
    assert first_value(missing, "MemTotal") == ""
    assert whole_numbers(missing) == {}
    assert whole_number(missing) is None
    assert bytes_of_this_process("VmRSS", tmp_path) is None


def test_the_first_value_of_a_name_counts_and_may_hold_colons(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("model\t: 7\nmodel name\t: one: two\nmodel name\t: three\n")
    assert first_value(file, "model name") == "one: two"


def test_names_with_numbers_have_a_colon_or_none_and_a_unit_or_none(tmp_path: Path) -> None:
    file = tmp_path / "fields"
    file.write_text("MemFree:  12 kB\ninactive_file 34\nState:\tS (sleeping)\nempty\n")
    assert whole_numbers(file) == {"MemFree": 12, "inactive_file": 34}


@pytest.mark.parametrize(("text", "number"), [("4096\n", 4096), ("max\n", None), ("", None)])
def test_a_file_of_one_number_may_hold_none(tmp_path: Path, text: str, number: int | None) -> None:
    file = tmp_path / "memory.max"
    file.write_text(text)
    assert whole_number(file) == number


def test_sizes_of_this_process_are_kept_in_kibibytes(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nVmHWM:\t  20 kB\nVmRSS:\t  10 kB\n")
    assert bytes_of_this_process("VmHWM", tmp_path) == 20 * 1024
    assert bytes_of_this_process("VmRSS", tmp_path) == 10 * 1024
