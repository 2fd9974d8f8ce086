"""Run by `service.bench.memory` as a process: reads a contender from stdin, judges, writes its peak to stdout."""

import dataclasses
import json
import sys

import torch

from service.bench.contenders import Contender, open_contender
from service.bench.memory import Peak, gpu_peak
from service.bench.steps import work_of
from service.system_files import bytes_of_this_process

PEAK = "VmHWM"
"""The most that was resident at once."""


def main() -> None:
    """Judge once what the benchmark judges in one entry."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    contender = Contender.from_record(asked["contender"])
    opened = open_contender(contender)
    at_rest = bytes_of_this_process(PEAK)
    work_of(opened, asked["images"], asked["batch"]).run()
    peak = Peak(peak_bytes=bytes_of_this_process(PEAK), opened_bytes=at_rest, gpu_bytes=gpu_peak(contender))
    sys.stdout.write(json.dumps(dataclasses.asdict(peak)) + "\n")


if __name__ == "__main__":
    main()
