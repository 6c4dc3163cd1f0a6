"""What an operator on a GPU finds current and leaves behind: its copies, its streams, its faults."""

from __future__ import annotations

import pytest
from helpers import check_python
from programs import program, run

both = pytest.mark.parametrize("name", ["torch", "cupy"])


@both
@pytest.mark.parametrize("which", ["producer", "writer"])
def test_what_is_written_is_copied_behind_its_producer_and_kept_until_then(name, which):
    """The library copies, on the writer's stream. The slow one of the two is behind the other."""
    text = """
    @ps.operator
    def frames():
        for n in range(FRAMES):
            yield Array().fill(value(n), late_ms=(20 if n == 0 else 1) if WHICH == "producer" else 0)
    @ps.operator
    def other(x):
        pass
    @ps.operator(writes=("x",))
    def write(x):
        look(x, late_ms=0 if WHICH == "producer" else 1)
        x.fill(255)
    made = frames()
    ps.run(made >> other, made >> write, device="cuda", streams="per_operator")
    print(wrong(), WHICH == "producer" or lib.backing.reused > 0)
    """
    assert run(text.replace("WHICH", repr(which)), name) == ["[]", "True"]


@both
@pytest.mark.parametrize("emits", ["inside", "after"])
@pytest.mark.parametrize("made", ["ps.Stream('cuda')", "context.extra_stream('side')"])
def test_work_on_a_stream_of_ours_that_the_operator_entered_is_ordered(name, emits, made):
    text = """
    class Slow(ps.Operator):
        def setup(self, spec):
            spec.output("out")
        def start(self):
            self.number = 0
        def compute(self, inputs, outputs, context):
            outputs.emit(Array().fill(value(self.number), late_ms=1), "out")
            self.number += 1
    class Aside(ps.Operator):
        def setup(self, spec):
            spec.input("in")
            spec.output("out")
        def compute(self, inputs, outputs, context):
            x = inputs.receive("in")
            with MADE:
                y = Array()
                x.copy_to(y.address, late_ms=1)
                if INSIDE:
                    outputs.emit(y, "out")
            if not INSIDE:
                outputs.emit(y, "out")
    class Check(ps.Operator):
        def setup(self, spec):
            spec.input("in")
        def compute(self, inputs, outputs, context):
            look(inputs.receive("in"))
    class App(ps.Application):
        def compose(self):
            aside = Aside(self)
            self.add_flow(Slow(self, count=FRAMES), aside)
            self.add_flow(aside, Check(self))
    App().run()
    print(wrong())
    """
    assert run(text.replace("MADE", made).replace("INSIDE", str(emits == "inside")), name) == ["[]"]


def test_the_first_operator_that_asks_has_a_current_stream():
    """Nobody used the device so far, and what it launches there is ordered for the consumer."""
    out = check_python(
        program("""
        frames, targets = [], []
        @ps.operator
        def first():
            for number in range(3):
                stream = ps.current_stream("cuda")
                print(stream is not None)
                frames.append(simulated.Memory(4096))
                simulated.delay(stream.handle, 20)
                simulated.fill(stream.handle, frames[-1].address, 7, 4096)
                yield frames[-1]
        @ps.operator
        def second(x):
            targets.append(simulated.Memory(4096))
            simulated.copy(ps.current_stream("cuda").handle, targets[-1].address, x.address, 4096)
        print(simulated.contexts())
        ps.run(second(first()), device="cuda", streams="per_operator")
        simulated.raw("cudaDeviceSynchronize")
        print([target.peek() for target in targets])
        """)
    )
    assert out.splitlines() == ["0", "True", "True", "True", "[{7}, {7}, {7}]"]


@pytest.mark.parametrize("reader", ["breaks >> dropped", "breaks >> host", "breaks"])
def test_a_lost_device_names_who_had_work_there(reader):
    """The one that broke it, however that was noticed, and not one whose work was seen complete before."""
    out = check_python(
        program(f"""
        turn, over = threading.Event(), threading.Event()
        @ps.operator
        def early():
            yield simulated.Memory(4096)
            while not over.wait(0.001):  # what follows is there when the device is lost
                yield None
        @ps.operator
        def innocent(x):
            return x
        @ps.operator(host=("x",))
        def seen(x):
            turn.set()
        @ps.operator
        def late():
            while not turn.wait(0.001):
                yield None
            yield simulated.Memory(4096)
        @ps.operator
        def breaks(x):
            stream = ps.current_stream("cuda").handle
            simulated.delay(stream, 50)
            simulated.fault(stream)
            threading.Timer(0.3, over.set).start()
            return x
        @ps.operator(host=("x",))
        def host(x):
            pass
        try:
            ps.run(early() >> innocent >> seen, late() >> {reader}, device="cuda", streams="per_operator")
        except ps.DeviceError as error:
            notes = [note for note in error.__notes__ if "had work of these operators" in note]
            print(len(notes), "one of which broke it" in notes[0])
            names = notes[0].split(": ")[1].split(", ")
            print("breaks" in names, "innocent" in names)
        """)
    )
    assert out.splitlines() == ["1 True", "True False"]


@both
@pytest.mark.parametrize("ends", ["return x", "raise KeyError"])
@pytest.mark.parametrize(("outer", "words"), [("default", ""), ("pool", ""), ("ours", ""), ("pool", "batch=2")])
def test_a_direct_call_gives_the_current_stream_back(name, ends, outer, words):
    text = """
    import contextlib
    @ps.operator(WORDS)
    def enter(x):
        side = side_stream()
        lib.cuda.set_stream(side) if NAME == "torch" else side.use()
        seen.append(lib.backing.current())
        ENDS
    seen = []
    outer = {"default": contextlib.nullcontext(), "pool": side_stream(), "ours": ps.Stream("cuda")}[OUTER]
    with outer:
        before = lib.backing.current()
        try:
            enter([1])
        except KeyError:
            seen.append("raised")
        print(seen[0] != before, lib.backing.current() == before, seen[1:])
    print(lib.backing.current())
    """
    raised = "['raised']" if ends.startswith("raise") else "[]"
    found = run(text.replace("ENDS", ends).replace("OUTER", repr(outer)).replace("WORDS", words), name)
    assert found == ["True", "True", raised, "0"]


@both
def test_a_block_of_ours_around_yields_holds_for_all_of_them(name):
    text = """
    stream, seen = ps.Stream("cuda"), set()
    @ps.operator
    def frames():
        with stream:
            for n in range(FRAMES):
                seen.add((int(ps.current_stream("cuda") == stream), int(lib.backing.current() == stream.handle)))
                yield Array().fill(value(n), late_ms=1)
    @ps.operator
    def check(x):
        assert ps.current_stream("cuda") != stream and lib.backing.current() != stream.handle
        look(x)
    ps.run(frames() >> check, device="cuda", streams="per_operator")
    print(wrong(), seen == {(1, 1)})
    """
    assert run(text, name) == ["[]", "True"]
