"""`isthmus bench`: measures, prints tables, writes JSON."""

import json
import time

from detector.files import replace_atomically
from detector.types import ProgressCallback
from service.bench.contenders import Calibrated, Opened, open_contender
from service.bench.document import Bench
from service.bench.machine import OthersMeter, this_machine
from service.bench.measuring import measure_contenders
from service.bench.peer_comparison import ComparedPeer, compare_peers
from service.bench.peers import require_packages
from service.bench.request import BenchRequest, check, contenders, settle_threads
from service.bench.scaling import SWEEPS, Sweep, sweep
from service.bench.tables import (
    PEER_NOTE,
    SCALING_NOTE,
    notes,
    peer_table,
    roofline_table,
    scaling_table,
    sources,
    speed_table,
)
from service.console import messages, results
from service.devices import choose_device
from service.errors import InputError
from service.memory_limits import require_batch_memory
from service.progress import progress_bars
from service.terminal_tables import rendered


def run_bench(request: BenchRequest) -> None:
    """Measure what is asked for; the tables go to stdout, the document into a file.

    Raises:
        InputError, DetectorError, ModelError: an option is not what it should be, or a batch does not fit into memory.
    """
    check(request)
    if request.has_peers:
        require_packages()
        if not any(isinstance(contender.subject, Calibrated) for contender in contenders(request)):
            raise InputError("peers are compared with a bundle that was calibrated; name one with --bundle")
    bench = measured(request)
    results.print(rendered(speed_table(bench.results)))
    results.print(rendered(roofline_table(bench.results)))
    if bench.peers:
        results.print(rendered(peer_table(bench.peers), leave_out=["source"]))
        results.print("\n".join([PEER_NOTE, *sources(bench.peers)]), markup=False)
    if bench.sweeps:
        results.print(rendered(scaling_table(bench.sweeps)))
        results.print(SCALING_NOTE, markup=False)
    for note in notes(bench.results, request.images, request.rounds, bench.threads):
        results.print(note, markup=False)
    if bench.disturbance is not None:
        results.print(bench.disturbance, markup=False, style="yellow")
    if request.out is not None:
        with replace_atomically(request.out) as temporary:
            text = json.dumps(bench.to_document(), indent=2, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        messages.print(f"written to {request.out}", markup=False)


def measured(request: BenchRequest) -> Bench:
    """Everything that was asked for, measured."""
    threads, machine, meter, started = settle_threads(), this_machine(), OthersMeter(), time.monotonic()
    with progress_bars() as progress:
        opened = _opened(request, progress)
        found = measure_contenders(opened, request, threads, progress)
        peers = _peers(opened, request, progress) if request.has_peers else []
        sweeps = _sweeps(request, progress) if request.has_scaling else []
    return Bench(
        request=request,
        machine=machine,
        threads=threads,
        others=meter.cores(),
        seconds=time.monotonic() - started,
        results=found,
        peers=peers,
        sweeps=sweeps,
    )


def _opened(request: BenchRequest, progress: ProgressCallback) -> list[Opened]:
    chosen = contenders(request)
    opened = []
    for number, contender in enumerate(chosen):
        progress("opening", number, len(chosen))
        opened.append(open_contender(contender, progress))
    progress("opening", len(chosen), len(chosen))
    if request.batch is not None:
        for one in opened:
            require_batch_memory(one.detector, request.batch, "--batch")
    return opened


def _peers(opened: list[Opened], request: BenchRequest, progress: ProgressCallback) -> list[ComparedPeer]:
    """Beside the first bundle that was calibrated: a made-up one tells nothing."""
    ours = next(one for one in opened if isinstance(one.contender.subject, Calibrated))
    return compare_peers(ours, request.images, request.rounds, progress)


def _sweeps(request: BenchRequest, progress: ProgressCallback) -> list[Sweep]:
    device = choose_device(request.device_names[0])
    return [sweep(axis, points, device, request.rounds, progress) for axis, points in SWEEPS.items()]
