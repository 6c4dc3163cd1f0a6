"""What ends a process or a device: no GPU, fork, exit, a fault in mid-run; and captures beside a run."""

from __future__ import annotations

import ctypes
import textwrap
import threading

import pytest
import simulated
from helpers import check_python, run_python
from programs import program

import penstock as ps


def test_without_a_visible_gpu_the_error_says_so():
    out = check_python(
        program("""
        print(ps.device_count(), ps.Stream().device)
        for use in (lambda: ps.empty((4,), "uint8", device="cuda"), lambda: ps.Stream("cuda")):
            try:
                use()
            except ps.DeviceError as error:
                print(error)
        ps.run(one() >> dropped)
        """),
        CUDA_VISIBLE_DEVICES="",
    )
    assert out.splitlines()[0] == "0 cpu"
    assert out.count('"cuda:0" was asked for, but this machine has 0 GPUs') == 2


def test_nothing_makes_a_context_before_the_first_use_of_a_gpu():
    out = check_python(
        program("""
        import numpy as np
        print(simulated.contexts())
        ps.devices(), ps.device_count()
        ps.as_tensor(np.zeros(4)).copy()
        ps.run(one() >> dropped, device="cpu")
        ps.run(ps.source(ps.synthetic(6, 4, count=1)) >> dropped, device="cuda")
        print(simulated.contexts())
        ps.Stream("cuda")
        print(simulated.contexts())
        ps.empty((4,), "uint8", device="cuda:1")
        print(simulated.contexts())
        """)
    )
    assert out.split() == ["0", "0", "1", "2"]


FORK = """
    stream, other = ps.Stream("cuda"), ps.Stream("cuda")
    USES = {{
        "Stream": lambda: ps.Stream("cuda"),
        "Stream cpu": lambda: ps.Stream("cpu"),
        "as_stream": lambda: ps.as_stream(stream.handle),
        "query": stream.query,
        "sync": stream.sync,
        "record": stream.record,
        "wait": lambda: stream.wait(other),
        "empty": lambda: ps.empty((4,), "uint8", device="cuda"),
        "zeros": lambda: ps.zeros((4,), "uint8", device="cuda"),
        "empty cpu": lambda: ps.empty((4,), "uint8", device="cpu"),
        "run": lambda: ps.run(one() >> dropped, device="cuda"),
        "run cpu": lambda: ps.run(one() >> dropped, device="cpu"),
        {uses}
    }}
    {first}
    print([name for name in threads() if name.startswith("penstock")])
    child = os.fork()
    if child == 0:
        asked = lambda: simulated.calls("cuStreamQuery", "cudaStreamQuery", "cuEventQuery", "cudaEventRecord")
        before = asked()
        for name, use in USES.items():
            try:
                use()
                print(name, "gave no error", flush=True)
            except ps.Error as error:
                print(name if "fork" not in str(error) else "refused", flush=True)
        print("refused" if asked() == before else "CUDA was asked", flush=True)
        USES.clear()
        stream = other = tensor = event = None
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(status, len(USES))
    {last}
"""


def forked(first="", uses="", last=""):
    threads = """
def threads():
    return [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
"""
    return check_python(program(threads + textwrap.dedent(FORK).format(first=first, uses=uses, last=last))).splitlines()


def test_a_forked_child_is_told_so_where_nothing_of_ours_runs():
    """CUDA has threads of its own, and they are not in the child."""
    threads, *told, status = forked()
    assert (threads, set(told), status) == ("[]", {"refused"}, f"0 {len(told) - 1}")


def test_a_forked_child_is_told_so():
    _, *told, status, values = forked(
        first="with stream: tensor = ps.zeros((100,), 'uint8', device='cuda'); event = stream.record()",
        uses="""
        "event.query": lambda: event.query(),
        "event.sync": lambda: event.sync(),
        "cpu": lambda: tensor.cpu(),
        "copy": lambda: tensor.copy(),
        "copy_to": lambda: tensor.copy_to(tensor),
        "uses": lambda: ps.uses(tensor, stream),
        "dlpack": lambda: tensor.__dlpack__(),
        "interface": lambda: tensor.__cuda_array_interface__,
        "as_tensor": lambda: ps.as_tensor(simulated),
        """,
        last="print(set(tensor.cpu().numpy().tolist()))",
    )
    assert (set(told), status, values) == ({"refused"}, f"0 {len(told) - 1}", "{0}")


@pytest.mark.parametrize("how", ["", "sys.exit(3)", "raise SystemExit(3)"])
def test_an_exit_with_work_in_flight(how):
    done = run_python(
        program(f"""
        stream = ps.Stream("cuda")
        memory = simulated.Memory(4096, 0, stream.handle)
        simulated.hold(stream.handle)
        with stream:
            tensor = ps.as_tensor(memory)
            copied = tensor.copy()
        del tensor
        {how}
        """)
    )
    assert (done.returncode, done.stderr) == (3 if how else 0, "")
    assert done.seconds < 20


def test_an_exit_while_a_graph_runs():
    done = run_python(
        program("""
        warm = ps.Stream("cuda")
        @ps.operator
        def endless():
            while True:
                yield ps.zeros((4096,), "uint8", device="cuda")
        @ps.operator
        def slow(x):
            simulated.delay(ps.current_stream("cuda").handle, 5)
        run = ps.start(endless() >> slow, device="cuda")
        time.sleep(0.2)
        """)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.seconds < 20


LOST = """
    warm = ps.Stream("cuda")
    @ps.operator
    def frames():
        for number in range(1000):
            stream = ps.current_stream("cuda").handle
            if number == 20:
                simulated.fault(stream)
            yield ps.empty((4096,), "uint8", device="cuda")
    @ps.operator({words})
    def used(x):
        return ps.as_tensor(x).copy()
    @ps.operator
    def kept(x):
        held.append(x)
    held = []
    try:
        ps.run(frames() >> used >> kept, device="cuda", streams="per_operator", on_error={on_error!r})
        print("no error")
    except ps.DeviceError as error:
        print("IllegalAddress" in str(error))
    held.clear()
    try:
        ps.zeros((4,), "uint8", device="cuda")
        print("no error")
    except ps.DeviceError as error:
        print("IllegalAddress" in str(error))
    print(ps.zeros((4,), "uint8", device="cpu").numpy().sum(), ps.Stream("cpu").query())
    print(set(ps.zeros((4,), "uint8", device="cuda:1").cpu().numpy().tolist()))
"""


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("words", ["", "host=('x',)", "instances=2"])
def test_a_device_that_is_lost_ends_the_run_and_harms_no_other(words, on_error):
    done = run_python(program(LOST.format(words=words, on_error=on_error)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True", "True", "0 True", "{0}"]
    assert done.stderr == ""


def test_streams_of_a_lost_device_make_room_for_others():
    out = check_python(
        program("""
        streams = [ps.Stream("cuda") for _ in range(4)]
        tensors = []
        for stream in streams:
            with stream:
                tensors.append(ps.zeros((100,), "uint8", device="cuda"))
            stream.record()
        simulated.fault(streams[0].handle)
        try:
            streams[0].sync()
        except ps.DeviceError:
            print("lost")
        del stream
        streams.clear()
        tensors.clear()
        others = [ps.Stream("cpu") for _ in range(8)] + [ps.Stream("cuda:1") for _ in range(8)]
        print(all(stream.query() for stream in others))
        """)
    )
    assert out.split() == ["lost", "True"]


def test_what_came_from_others_is_let_go_on_a_lost_device():
    out = check_python(
        program("""
        import gc, weakref
        foreign = simulated.Stream()
        memory = simulated.Memory(4096, 0, foreign.handle)
        watch = weakref.ref(memory)
        own = ps.Stream("cuda")
        with own:
            tensor = ps.as_tensor(memory)
            copied = tensor.copy()
        simulated.fault(own.handle)
        try:
            own.sync()
        except ps.DeviceError as error:
            print("IllegalAddress" in str(error))
        del memory, tensor, copied, own
        until = time.monotonic() + 10
        while watch() is not None and time.monotonic() < until:
            gc.collect()
        print(watch() is None)
        """)
    )
    assert out.split() == ["True", "True"]


def test_a_stream_that_its_owner_destroyed_before_us():
    """The back edge has nobody to wait any more; the memory is let go all the same."""
    out = check_python(
        program("""
        import gc, weakref
        foreign = simulated.Stream()
        memory = simulated.Memory(4096, 5, foreign.handle)
        watch = weakref.ref(memory)
        with ps.Stream("cuda"):
            tensor = ps.as_tensor(memory)
            copied = tensor.copy()
        foreign.close()
        del memory, tensor
        until = time.monotonic() + 10
        while watch() is not None and time.monotonic() < until:
            gc.collect()
        print(watch() is None, set(copied.cpu().numpy().tolist()))
        """)
    )
    assert out == "True {5}\n"


@pytest.mark.parametrize("mode", [simulated.GLOBAL, simulated.THREAD_LOCAL, simulated.RELAXED])
def test_a_capture_of_somebody_elses_goes_on_beside_a_run(mode):
    """Our threads query events and take memory all the while; the capture must not mind."""

    @ps.operator
    def frames():
        for _ in range(200):
            stream = ps.current_stream("cuda").handle
            frame = ps.empty((4096,), "uint8", device="cuda")
            simulated.fill(stream, frame.data, 1, 4096)
            yield frame

    @ps.operator(host=("x",))
    def used(x):
        return ps.as_tensor(x).copy()

    @ps.operator
    def dropped(x):
        pass

    stream = simulated.Stream()
    memory = simulated.Memory(4096)
    statuses = []
    is_over = threading.Event()

    def capture():
        while not is_over.is_set():
            graph = ctypes.c_void_p()
            simulated.check(simulated.raw("cudaStreamBeginCapture", stream.handle, ctypes.c_int(mode)))
            try:
                for _ in range(20):
                    simulated.fill(stream.handle, memory.address, 1, 4096)
            finally:
                statuses.append(simulated.raw("cudaStreamEndCapture", stream.handle, ctypes.addressof(graph)))

    thread = threading.Thread(target=capture)
    thread.start()
    try:
        ps.run(frames() >> used >> dropped, device="cuda", streams="per_operator")
    finally:
        is_over.set()
        thread.join()
    assert len(statuses) > 1
    assert set(statuses) == {0}
    stream.close()


def test_a_fault_in_the_last_kernel_of_a_run_is_raised():
    """Nobody asks the device afterwards, but the run does before it says that it is over."""
    out = check_python(
        program("""
        @ps.operator
        def frames():
            for _ in range(3):
                yield ps.zeros((4,), "uint8", device="cuda")
        @ps.operator
        def last(x):
            if ps.message().origin.number == 2:
                simulated.fault(ps.current_stream("cuda").handle)
        try:
            ps.run(last(frames()), device="cuda")
        except ps.DeviceError as error:
            print("illegal memory access" in str(error))
        """)
    )
    assert out.split() == ["True"]


def test_what_was_lent_without_an_order_is_let_go_on_a_lost_device():
    """Its end asks the whole device, which can't answer any more; nothing is thrown out of that."""
    out = check_python(
        program("""
        x = ps.zeros((4,), "uint8", device="cuda")
        capsule = x.__dlpack__(stream=-1)
        stream = ps.Stream("cuda")
        simulated.fault(stream.handle)
        time.sleep(0.05)
        del x, capsule
        print("on")
        """)
    )
    assert out.split() == ["on"]
