import io

from rich.console import Console
from rich.progress import Progress

from detector.types import no_progress
from service import progress as progress_module
from service.progress import StageBars, progress_bars


def bars():
    progress = Progress(console=Console(file=io.StringIO()))
    return progress, StageBars(progress)


def shown(progress):
    return [(task.description, task.completed, task.total) for task in progress.tasks]


def test_every_stage_has_a_bar_of_its_own():
    progress, stages = bars()
    for stage, done, total in [("reading", 1, 2), ("reading", 2, 2), ("fitting", 1, 2)]:
        stages.update(stage, done, total)
    assert shown(progress) == [("reading", 2, 2), ("fitting", 1, 2)]


def test_a_stage_whose_text_changes_on_the_way_keeps_its_bar():
    progress, stages = bars()
    stages.update("epoch 1, loss 2.3", 1, 4)
    stages.update("epoch 1, loss 1.9", 2, 4)
    stages.update("epoch 2, loss 1.5", 3, 4)
    assert shown(progress) == [("epoch 2, loss 1.5", 3, 4)]


def test_stages_that_take_turns_keep_their_bars():
    progress, stages = bars()
    for stage, done, total in [("a", 1, 5), ("b", 1, 7), ("a", 2, 5), ("b", 2, 7)]:
        stages.update(stage, done, total)
    assert shown(progress) == [("a", 2, 5), ("b", 2, 7)]


def test_nothing_is_shown_where_nobody_watches(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(progress_module, "messages", Console(file=written))
    with progress_bars() as progress:
        progress("reading", 1, 2)
    assert progress is no_progress
    assert written.getvalue() == ""


def test_a_terminal_sees_the_stage_and_how_far_it_is(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(progress_module, "messages", Console(file=written, force_terminal=True, width=120))
    with progress_bars() as progress:
        progress("reading [images]", 1, 2)
    assert "reading [images]" in written.getvalue()
    assert "1/2" in written.getvalue()
