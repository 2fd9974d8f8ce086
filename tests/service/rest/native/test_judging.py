import asyncio
import threading
import time

import pytest
import torch

from detector.types import CalibrationError, ImageError
from service.engine.work import Lane, Priority
from service.errors import ClientGoneError, DeadlineError, EngineError, InputError, OverloadedError, TooLargeError
from service.images import pixel_digest
from service.rest.judging import Options, judge_encoded, judge_pixels

OPTIONS = Options(request_id="r")


async def gone_after(event):
    await event.wait()


def judge(run, runtime, files, options=OPTIONS, gone=None, permit=None):
    bundle = runtime.bundle("digits")
    return run(judge_encoded(runtime, bundle, files, options, gone, permit))


def test_each_file_has_a_record_in_order_and_a_bad_one_spoils_no_other(run, runtime, digit_pngs):
    first, second = digit_pngs(2)
    judged = judge(run, runtime, [("a", first), ("b", b"no image"), ("c", second)])
    assert [record["path"] for record in judged.records] == ["a", "b", "c"]
    assert [record["decision"] for record in judged.records] == ["clean", "undecided", "clean"]
    assert "not an image" in judged.records[1]["error"]
    assert [verdict is None for verdict in judged.verdicts] == [False, True, False]
    assert judged.images.shape == (2, 1, 8, 8)
    assert judged.stages.queue == 0.25
    assert judged.stages.compute == 0.5


def test_what_was_judged_is_told_with_its_places_and_digests(run, runtime, digit_pngs):
    judged = judge(run, runtime, [("b", b"no image"), ("a", digit_pngs(1)[0])])
    [told] = runtime.observability.heard
    assert told["positions"] == [1]
    assert told["digests"] == [pixel_digest(judged.images[0])]
    assert len(told["verdicts"]) == 1
    assert (told["request_id"], told["key_id"], told["source"]) == ("r", "anonymous", "request")


def test_nothing_is_asked_or_told_where_no_file_can_be_decoded(run, runtime):
    judged = judge(run, runtime, [("a", b""), ("b", b"text")])
    assert judged.images is None
    assert [record["error"] is None for record in judged.records] == [False, False]
    assert not runtime.engine.asks
    assert not runtime.observability.heard


def test_the_ask_says_what_the_request_says(run, runtime, png):
    options = Options(
        request_id="r", key_id="k", false_positive_rate=0.1, priority=Priority.HIGH, seconds=5, lane=Lane.BACKGROUND
    )
    before = time.monotonic()
    judge(run, runtime, [("a", png)], options)
    [ask] = runtime.engine.asks
    assert (ask.request_id, ask.key_id, ask.false_positive_rate) == ("r", "k", 0.1)
    assert (ask.priority, ask.lane) == (Priority.HIGH, Lane.BACKGROUND)
    assert before + 5 <= ask.deadline <= time.monotonic() + 5


@pytest.mark.parametrize(("asked", "seconds"), [(None, 10), (3.0, 3), (1e9, 60)])
def test_the_time_of_a_request_is_its_own_the_servers_or_the_longest(run, runtime, png, asked, seconds):
    before = time.monotonic()
    judge(run, runtime, [("a", png)], Options(request_id="r", seconds=asked))
    assert before + seconds <= runtime.engine.asks[0].deadline <= time.monotonic() + seconds


def test_a_permit_grows_to_the_number_of_images_and_stays_the_callers(run, runtime, png):
    with runtime.engine.permit() as permit:
        judge(run, runtime, [("a", png)] * 3, permit=permit)
        assert permit.n_images == 3
        assert runtime.engine.n_released == 0
    assert runtime.engine.permits.n_taken == 0


def test_images_beyond_the_places_or_the_cap_are_refused_before_they_are_decoded(run, make_runtime, png):
    runtime = make_runtime(files=8)
    with runtime.engine.permit(60), runtime.engine.permit() as permit, pytest.raises(OverloadedError):
        judge(run, runtime, [("a", png)] * 5, permit=permit)
    with runtime.engine.permit() as permit, pytest.raises(TooLargeError, match="9 images"):
        judge(run, runtime, [("a", png)] * 9, permit=permit)
    assert not runtime.engine.asks


def test_a_request_without_images_is_refused(run, runtime):
    with pytest.raises(InputError, match="no image"):
        judge(run, runtime, [])


@pytest.mark.parametrize("rate", [-1.0, 1.0, 1e-6, 1e-9, 1e-300, 5e-324, float("nan")])
def test_a_rate_that_nothing_supports_is_refused(run, runtime, png, rate):
    with pytest.raises((CalibrationError, InputError)):
        judge(run, runtime, [("a", png)], Options(request_id="r", false_positive_rate=rate))
    assert not runtime.engine.asks


def test_nothing_starts_for_a_client_that_has_gone_already(run, runtime, png):
    started = []
    submit = runtime.decoders.submit
    runtime.decoders.submit = lambda *work: started.append(work) or submit(*work)

    async def gone():
        return None

    with pytest.raises(ClientGoneError):
        judge(run, runtime, [("a", png)], gone=gone())
    assert not started
    assert not runtime.engine.asks


def test_a_client_that_leaves_while_the_engine_works_cancels_its_images(run, runtime, png):
    runtime.engine.holds = True

    async def leave():
        event = asyncio.Event()
        bundle = runtime.bundle("digits")
        work = asyncio.create_task(judge_encoded(runtime, bundle, [("a", png)], OPTIONS, gone_after(event), None))
        while not runtime.engine.held:
            await asyncio.sleep(0.001)
        event.set()
        with pytest.raises(ClientGoneError):
            await work

    run(leave())
    assert runtime.engine.cancelled == runtime.engine.held
    assert not runtime.observability.heard


def test_a_client_that_leaves_while_files_are_decoded_has_no_more_of_them_decoded(run, runtime, png, monkeypatch):
    begun, may_go_on = threading.Event(), threading.Event()
    decoded = []

    def slow(data, preprocessing, limits):
        decoded.append(data)
        begun.set()
        may_go_on.wait(30)
        raise InputError("slow")

    monkeypatch.setattr("service.rest.preparing.decode", slow)

    async def leave():
        event = asyncio.Event()
        bundle = runtime.bundle("digits")
        work = asyncio.create_task(judge_encoded(runtime, bundle, [("a", png)] * 9, OPTIONS, gone_after(event), None))
        await asyncio.to_thread(begun.wait, 30)
        event.set()
        with pytest.raises(ClientGoneError):
            await work
        may_go_on.set()

    run(leave())
    runtime.decoders.shutdown()
    assert len(decoded) == 1
    assert not runtime.engine.asks


def test_a_request_whose_time_is_up_fails_and_is_cancelled(run, runtime, png):
    runtime.engine.holds = True
    with pytest.raises(DeadlineError):
        judge(run, runtime, [("a", png)], Options(request_id="r", seconds=0.05))
    assert runtime.engine.cancelled == runtime.engine.held


def test_a_failure_of_the_engine_is_handed_on(run, runtime, png):
    runtime.engine.error = EngineError("no memory")
    with pytest.raises(EngineError, match="no memory"):
        judge(run, runtime, [("a", png)])


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_pixels_go_to_the_engine_as_they_came(run, runtime, pixels, kind):
    images = pixels if kind is torch.uint8 else pixels.float() / 255
    judged = run(judge_pixels(runtime, runtime.bundle("digits"), images, ["0", "1", "2"], OPTIONS, None, None))
    assert runtime.engine.asks[0].images.data_ptr() == images.data_ptr()
    assert [record["path"] for record in judged.records] == ["0", "1", "2"]
    assert runtime.observability.heard[0]["digests"] == [pixel_digest(image) for image in images]


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 1, 8, 9),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.full((1, 1, 8, 8), 1.5),
        torch.zeros(1, 1, 8, 8, dtype=torch.int64),
        torch.zeros(1, dtype=torch.uint8),
    ],
)
def test_pixels_of_another_shape_kind_or_range_are_refused(run, runtime, images):
    with pytest.raises(ImageError):
        run(judge_pixels(runtime, runtime.bundle("digits"), images, ["0"], OPTIONS, None, None))
    assert not runtime.engine.asks
