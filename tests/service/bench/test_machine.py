import os

import pytest

from service.bench import machine
from service.bench.machine import OthersMeter, busy_seconds, is_busy, this_machine, versions

TICKS = os.sysconf("SC_CLK_TCK")


def stat(tmp_path, user, idle, waiting=0):
    (tmp_path / "stat").write_text(f"cpu  {user * TICKS} 0 0 {idle * TICKS} {waiting * TICKS} 0 0 0 0 0\ncpu0 1\n")


def test_idling_and_waiting_are_no_work(tmp_path):
    stat(tmp_path, user=7, idle=100, waiting=50)
    assert busy_seconds(tmp_path) == 7


def test_others_are_all_that_works_but_this_process(tmp_path, monkeypatch):
    clock = iter([100.0, 110.0])
    own = iter([3.0, 11.0])
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(machine.os, "times", lambda: os.times_result((next(own), 0, 0, 0, 0)))
    stat(tmp_path, user=50, idle=0)
    meter = OthersMeter(tmp_path)
    # In ten seconds 13 were worked, 8 of them here.
    stat(tmp_path, user=63, idle=0)
    assert meter.cores() == pytest.approx(0.5)


def test_a_system_that_does_not_say_leaves_it_open(tmp_path):
    assert OthersMeter(tmp_path).cores() is None
    assert not is_busy(None, 2)


@pytest.mark.parametrize(
    ("others", "cores", "busy"), [(0.2, 2, False), (0.3, 2, True), (3.0, 64, False), (7.0, 64, True)]
)
def test_a_large_machine_is_disturbed_by_more(others, cores, busy):
    assert is_busy(others, cores) is busy


def test_a_machine_is_described_by_what_it_says(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n")
    (tmp_path / "meminfo").write_text("MemTotal:  1024 kB\n")
    found = this_machine(tmp_path)
    assert (found.cpu, found.memory_bytes) == ("Some CPU @ 3 GHz", 2**20)
    assert found.cores >= 1


def test_versions_name_the_runtime_by_one_name_whichever_package_brought_it():
    found = versions()
    assert {"python", "torch", "isthmus", "onnxruntime"} <= found.keys()
    assert "onnxruntime-gpu" not in found
