"""What the engine promises whatever comes: random arrivals, cancellations, deadlines and faults."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.work import EngineState, Lane, Priority
from service.errors import DeadlineError, EngineError

asks = st.tuples(
    st.just("ask"),
    st.lists(st.integers(0, 255), min_size=1, max_size=9),
    st.fixed_dictionaries(
        {
            "key_id": st.sampled_from("xyz"),
            "bundle": st.sampled_from("ab"),
            "lane": st.sampled_from(Lane),
            "priority": st.sampled_from(Priority),
            "after": st.sampled_from([-1.0, 0.5, 2.0, 8.0, 1e6]),
        }
    ),
)
events = st.one_of(
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 1.0, 5.0, 70.0])),
    st.tuples(st.just("look")),
)
faults = st.one_of(
    events,
    st.tuples(st.just("raise"), st.sampled_from(["memory", "step"])),
)
acts = st.one_of(
    asks,
    events,
    st.tuples(st.just("step")),
    st.tuples(st.just("call"), st.sampled_from([0.5, 1e6])),
    st.tuples(st.just("fault"), st.lists(faults, min_size=1, max_size=3)),
)


class World:
    """A bench, what was asked of it, and what came of it."""

    def __init__(self, tools, failures_until_broken):
        self.tools = tools
        self.bench = tools.Bench(failures_until_broken=failures_until_broken, background_every=3)
        self.bench.device.doubtful = 128
        self.asked, self.values = [], []
        self.endings = Counter()
        make = self.bench.device.make
        self.bench.device.make = lambda *given: self.watched(make(*given))
        for hand in self.bench.hands.values():
            hand.inspection = self.watched(hand.inspection)

    def watched(self, inspection):
        """No step holds an image of an ask that is over or late when it begins."""
        step = inspection.step

        def checked():
            assert inspection.held
            for ticket in inspection.held:
                assert not ticket.job.is_over
                assert not ticket.job.pending.future.done()
                assert ticket.job.deadline > self.bench.clock.now
            return step()

        inspection.step = checked
        return inspection

    def do(self, act):
        match act:
            case ("ask", values, options):
                self.accept(lambda: self.bench.ask(*values, **options), values)
            case ("call", after):
                self.accept(lambda: self.bench.call(lambda _: "called", after=after), None)
            case ("cancel", number) if self.asked:
                self.asked[number % len(self.asked)].cancel()
            case ("pass", seconds):
                self.bench.clock.now += seconds
            case ("look",):
                self.bench.watchdog.look()
            case ("step",):
                self.bench.step()
            case ("raise", kind):
                raise self.tools.OUT_OF_MEMORY if kind == "memory" else ValueError("fault")
            case ("fault", parts):
                self.bench.device.before_step.append(lambda _: [self.do(part) for part in parts])

    def accept(self, ask, values):
        try:
            pending = ask()
        except EngineError:
            assert self.bench.register.state is EngineState.BROKEN or self.bench.register.is_hung
            return
        number = len(self.asked)
        pending.future.add_done_callback(lambda _: self.endings.update([number]))
        self.asked.append(pending)
        self.values.append(values)

    def check_an_end(self, pending, values):
        assert pending.future.done()
        if pending.future.cancelled():
            return
        error = pending.future.exception(0)
        if error is not None:
            assert isinstance(error, DeadlineError | EngineError)
        elif values is None:
            assert pending.future.result(0) == "called"
        else:
            assert self.tools.labels(pending) == values


@given(plan=st.lists(acts, max_size=40), failures_until_broken=st.sampled_from([2, 1000]))
@settings(max_examples=200)
def test_every_accepted_ask_ends_once_and_nothing_begins_for_one_that_is_over(tools_once, plan, failures_until_broken):
    world = World(tools_once, failures_until_broken)
    for act in plan:
        world.do(act)
    world.bench.run()
    assert world.endings == Counter(range(len(world.asked)))
    for pending, values in zip(world.asked, world.values, strict=True):
        world.check_an_end(pending, values)
    register = world.bench.register
    assert (register.jobs, register.queue.n_images) == (set(), 0)
    if register.state is not EngineState.BROKEN:
        assert all(hand.is_idle for hand in world.bench.hands.values())


@given(plan=st.lists(acts, max_size=25))
@settings(max_examples=60)
def test_an_engine_that_stops_in_the_middle_ends_every_ask_as_well(tools_once, plan):
    world = World(tools_once, 1000)
    for act in plan:
        world.do(act)
    world.bench.register.stop(EngineState.STOPPED)
    assert world.endings == Counter(range(len(world.asked)))
    assert not world.bench.step()
