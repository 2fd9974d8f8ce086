import json

import pytest

from service.bench.document import Bench
from service.bench.machine import Machine
from service.bench.peer_comparison import ComparedPeer
from service.bench.request import BenchRequest
from service.bench.scaling import Axis, Measured, Point, Sweep
from service.bench.timing import Timing

MACHINE = Machine(cpu="Some CPU", cores=2, memory_bytes=2**30, load_average=0.5, gpus=(), system="Linux 6")
TIMING = Timing(seconds=(1.0, 1.0), n_images=16)


def bench(results, others=0.0):
    peer = ComparedPeer(
        name="p",
        source="s",
        forward_equivalents=1.0,
        n_scored=None,
        timing=TIMING,
        times_ours=2.0,
        auroc={"mean": (0.9, 0.8, 1.0)},
    )
    measured = tuple(Measured(point=Point(images=images), timing=TIMING, forward_equivalents=4) for images in (16, 32))
    return Bench(
        request=BenchRequest(devices=("cpu",), rounds=2),
        machine=MACHINE,
        threads=1,
        others=others,
        seconds=1.0,
        results=results,
        peers=[peer],
        sweeps=[Sweep(axis=Axis.IMAGES, measured=measured)],
    )


def test_the_document_says_where_and_with_what_it_was_measured(result):
    found = json.loads(json.dumps(bench([result()]).to_document(), allow_nan=False))
    assert found.keys() == {
        "schema",
        "schema_version",
        "date",
        "seconds",
        "machine",
        "versions",
        "threads",
        "rounds",
        "batch",
        "images",
        "busy",
        "contenders",
        "peers",
        "scaling",
    }
    assert found["machine"].keys() == {"cpu", "cores", "memory_bytes", "load_average", "gpus", "system"}
    assert (found["threads"], found["rounds"], found["images"]) == (1, 2, "noise")
    assert {"python", "torch", "isthmus"} <= found["versions"].keys()


def test_a_contender_is_written_with_every_round(result, made_up):
    calibrated, other = bench([result(), made_up]).to_document()["contenders"]
    assert (calibrated["is_made_up"], other["is_made_up"]) == (False, True)
    assert (calibrated["name"], other["name"]) == ("digits", "fast × digits")
    assert calibrated["images_per_second"] == 50
    assert calibrated["seconds"] == [2.0, 2.0, 2.0]
    assert calibrated["roofline_share"] == 0.8
    assert calibrated["latency_ms"] == {"p50": 21.0, "p99": 42.0, "n_images": 100}
    assert calibrated["forward_equivalents"] == {"most": 9, "expected": 4.5, "counted": 8.0, "taken": 8.0}
    assert calibrated["bare_classifier"]["images_per_second"] == pytest.approx(500)
    assert calibrated["memory"]["peak_bytes"] == 300 * 2**20


def test_peers_and_sweeps_are_written_with_what_they_were_made_of(result):
    found = bench([result()]).to_document()
    assert found["peers"][0]["auroc"] == {"mean": {"value": 0.9, "low": 0.8, "high": 1.0}}
    assert found["peers"][0]["time_relative_to_ours"] == 2
    assert [point["images"] for point in found["scaling"][0]["points"]] == [16, 32]


@pytest.mark.parametrize(("others", "busy"), [(0.0, False), (1.5, True)])
def test_a_busy_machine_is_marked(result, others, busy):
    found = bench([result()], others).to_document()["busy"]
    assert (found["is_busy"], found["words"] is not None) == (busy, busy)


def test_rounds_that_differ_mark_the_run_as_disturbed(result):
    found = bench([result(timing=Timing(seconds=(1.0, 2.0, 3.0), n_images=1))]).to_document()["busy"]
    assert (found["is_busy"], found["is_disturbed"]) == (False, True)
    assert "the spread was up to 50 %" in found["words"]
