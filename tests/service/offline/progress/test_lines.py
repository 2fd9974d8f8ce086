import json

import pyarrow as pa

from service.offline.progress.lines import JsonLines, PlainLines
from service.offline.progress.meter import Reading
from service.offline.work import JudgedShard

READING = Reading(
    n_done=12,
    n_listed=50,
    is_listed=False,
    n_flagged=1,
    n_errors=0,
    n_shards=3,
    images_per_second=6.0,
    seconds_left=None,
)


def test_plain_lines_go_to_stderr_and_leave_stdout_to_the_result(capsys) -> None:
    PlainLines().show(READING)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "judging images: 12 of at least 50  6/s  1 flagged  0 unreadable\n")


def test_a_stage_is_one_line_however_many_steps_it_has(capsys) -> None:
    lines = PlainLines()
    for step in range(3):
        lines.stage("summing up", step, 2)
    lines.stage("writing the report", 0, 1)
    assert capsys.readouterr().err == "summing up\nwriting the report\n"


def test_json_lines_have_an_event_each(capsys) -> None:
    lines = JsonLines()
    lines.show(READING)
    lines.shard(JudgedShard(number=4, results=pa.table({"path": ["a", "b"]}), timings=None))
    lines.stage("summing up", 1, 5)
    out, err = capsys.readouterr()
    assert err == ""
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "event": "progress",
            "images_done": 12,
            "images_listed": 50,
            "is_listed": False,
            "flagged": 1,
            "errors": 0,
            "shards_done": 3,
            "images_per_second": 6.0,
            "seconds_left": None,
        },
        {"event": "shard", "shard": 4, "images": 2},
        {"event": "stage", "stage": "summing up", "done": 1, "total": 5},
    ]
