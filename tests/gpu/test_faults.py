"""What goes wrong on a GPU: faults, no memory, no device, fork, the end of the process. Each in a process of its own."""

import re

import pytest

from .programs import check_python, run_python

pytestmark = pytest.mark.needs("torch")

# Faults that are seen only when the GPU runs into them.
FAULTS = {
    "illegal address": """
        import cupy
        kernel = cupy.RawModule(code='extern "C" __global__ void bad() { *(volatile int*)64 = 1; }').get_function("bad")
        def fault(x):
            kernel((1,), (1,), ())
    """,
    "device assert": """
        import torch
        def fault(x):
            x[torch.full((4,), 1 << 20, device="cuda")]
    """,
}
FAULTY = """
    import torch
    import penstock as ps
    from gpu import work
    work.TorchWork.slow(0)

    @ps.operator
    def source():
        for number in range(FRAMES):
            yield work.TorchWork.slow(number)

    @ps.operator
    def breaks_here(x):
        fault(x)
        return x

    @ps.operator(HOST)
    def sink(x):
        pass
"""


def faulty(kind, frames=1, host='host=("x",)'):
    import textwrap

    return textwrap.dedent(FAULTS[kind]) + textwrap.dedent(FAULTY).replace("FRAMES", str(frames)).replace("HOST", host)


KINDS = [
    pytest.param("illegal address", marks=pytest.mark.needs("cupy")),
    "device assert",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_a_device_error_that_names_the_operator(kind):
    """The sink waits for its frame by a gate: what breaks the frame comes out there, not at a library's call."""
    done = run_python(
        faulty(kind)
        + """
try:
    ps.run(source() >> breaks_here >> sink, streams="per_operator")
except ps.DeviceError as error:
    text = "\\n".join([str(error), *getattr(error, "__notes__", [])])
    print("DeviceError", "breaks_here" in text, text)
"""
    )
    assert done.stdout.startswith("DeviceError True"), (done.stdout, done.stderr[-3000:])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.seconds < 60


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_every_call_says_so(kind):
    """Nothing hangs, and nothing works as if nothing had happened: streams, memory, runs."""
    done = run_python(
        faulty(kind)
        + """
kept = ps.zeros((100,), "uint8", device="cuda")
stream = ps.Stream("cuda")
try:
    ps.run(source() >> breaks_here >> sink, streams="per_operator")
except ps.DeviceError:
    pass
calls = [
    lambda: ps.zeros((100,), "uint8", device="cuda"),
    lambda: ps.Stream("cuda"),
    lambda: stream.sync(),
    lambda: kept.cpu(),
    lambda: kept.copy(),
    lambda: ps.run(source() >> sink),
]
for number, call in enumerate(calls):
    try:
        call()
        print(number, "no error")
    except ps.Error as error:
        assert isinstance(error, ps.DeviceError), (number, error)
    except RuntimeError as error:
        assert number == 5, (number, error)  # PyTorch's own, in the source
print(ps.zeros((3,), "uint8", device="cpu").numpy().sum(), "the CPU works")
"""
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["0 the CPU works"]
    assert done.seconds < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streams", ["per_operator", "chain"])
def test_a_fault_in_many_frames_ends_the_program(kind, streams):
    """Uncaught: exit code 1 and a traceback, whoever sees the fault first; no hang and no crash."""
    done = run_python(faulty(kind, 500, "") + f"\nps.run(source() >> breaks_here >> sink, streams='{streams}')\n")
    if done.returncode == 0:  # nobody looked before the end
        pytest.fail(f"the fault was lost: {done.stderr[-2000:]}")
    assert done.returncode == 1, done.stderr[-3000:]
    assert "Traceback" in done.stderr
    assert re.search(r"DeviceError|CUDA error|CUDADriverError|CUDARuntimeError", done.stderr), done.stderr[-3000:]
    assert done.seconds < 60


def test_out_of_memory_lists_what_there_is():
    out = check_python(
        """
        import torch
        import penstock as ps
        kept = ps.zeros((1 << 20,), "uint8", device="cuda")
        total = torch.cuda.mem_get_info()[1]
        for size in (total + 1, 1 << 50, (1 << 62)):
            try:
                ps.empty((size,), "uint8", device="cuda")
                print("no error", size)
            except ps.OutOfMemory as error:
                assert isinstance(error, MemoryError)
                print(size, "|", error)
        print("works", ps.zeros((1 << 20,), "uint8", device="cuda").cpu().numpy().sum())
        """
    )
    *errors, last = out.splitlines()
    assert last == "works 0"
    assert len(errors) == 3
    for line in errors:
        assert re.search(r"\d{9,} bytes", line.split("|")[1]), line
    assert "cuda:0" in errors[0]
    assert re.search(r"\d+ bytes live", errors[0])


def test_out_of_memory_in_an_operator_names_it():
    out = check_python(
        """
        import penstock as ps

        @ps.operator
        def source():
            yield from range(10)

        @ps.operator(on_error="skip")
        def asks_for_too_much(x):
            return ps.empty((1 << 50,), "uint8", device="cuda")

        try:
            ps.run(source() >> asks_for_too_much)
        except ps.OutOfMemory as error:
            print("OutOfMemory", "asks_for_too_much" in "".join([str(error), *error.__notes__]))
        """
    )
    assert out.split() == ["OutOfMemory", "True"]


def test_a_limit_is_kept_and_bigger_tensors_work():
    out = check_python(
        """
        import penstock as ps
        ps.memory.clear("cuda")
        ps.memory.set_limit(64 << 20, "cuda")
        ps.memory.reset_peak("cuda")
        for number in range(200):
            ps.zeros(((number % 30 + 1) << 20,), "uint8", device="cuda")
        stats = ps.memory.stats("cuda")
        print(stats["bytes_peak"] <= 64 << 20)
        large = ps.zeros((256 << 20,), "uint8", device="cuda")
        print(large[-1:].cpu().numpy()[0])
        """
    )
    assert out.split() == ["True", "0"]


def test_no_visible_device_is_a_clear_error():
    out = check_python(
        """
        import penstock as ps
        assert ps.device_count() == 0
        assert ps.devices() == ["cpu"]
        for call in (lambda: ps.zeros((4,), "uint8", device="cuda"), lambda: ps.Stream("cuda"),
                     lambda: ps.zeros((4,), "uint8").cuda(), lambda: ps.as_stream(1 << 20)):
            try:
                call()
                print("no error")
            except ps.DeviceError as error:
                print("GPU" in str(error), error)

        @ps.operator
        def source():
            yield 1
        try:
            ps.run(source(), device="cuda")
            print("no error")
        except ps.Error as error:
            print("GPU" in str(error), error)
        assert list(ps.iterate(source())) == [1]
        """,
        CUDA_VISIBLE_DEVICES="",
    )
    assert all(line.startswith("True") for line in out.splitlines())
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_says_so(leave):
    """CUDA has started and work is in flight; the child gets errors, ends well, and the parent goes on."""
    out = check_python(
        """
        import faulthandler, gc, os, signal, sys
        import penstock as ps
        from gpu import work
        stream = ps.Stream("cuda")
        with stream:
            x = ps.as_tensor(work.TorchWork.slow(3))
            y = x.copy()
        event = stream.record()

        @ps.operator
        def source():
            yield ps.zeros((4,), "uint8", device="cuda")

        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                faulthandler.dump_traceback_later(15)
                calls = [
                    lambda: ps.zeros((4,), "uint8", device="cuda"),
                    lambda: ps.Stream("cuda"),
                    lambda: stream.sync(),
                    lambda: stream.query(),
                    lambda: event.query(),
                    lambda: y.cpu(),
                    lambda: y.copy(),
                    lambda: ps.run(source()),
                ]
                for number, call in enumerate(calls):
                    try:
                        call()
                    except ps.Error as error:
                        if "fork" in str(error):
                            continue
                        os.write(2, f"call {number}: {error}\\n".encode())
                    os.write(2, f"call {number}: not refused\\n".encode())
                    os._exit(3)
                del x, y, stream, event, calls, call
                gc.collect()
                LEAVE
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print(int(y.cpu().numpy()[-1]))
        """.replace("LEAVE", leave)
    )
    assert out.split() == ["3"]


ENDINGS = {
    "nothing but the import and a tensor": 'x = ps.zeros((4,), "uint8", device="cuda")',
    "a long kernel": "x = ps.as_tensor(work.TorchWork.slow(1, 2_000_000_000))",
    "work on many streams": """
        streams = [ps.Stream("cuda") for _ in range(32)]
        kept = []
        for number in range(500):
            with streams[number % 32]:
                kept.append(ps.as_tensor(work.TorchWork.slow(number)).copy())
    """,
    "tensors in a cycle and in a module": """
        x = ps.zeros((4,), "uint8", device="cuda")
        cycle = [x, ps.as_tensor(work.TorchWork.slow(1)), ps.Stream("cuda")]
        cycle.append(cycle)
        sys.modules["keeper"] = cycle
    """,
    "a stream that is current": 'stream = ps.Stream("cuda"); stream.__enter__(); x = work.TorchWork.slow(1)',
    "exports that others hold": """
        x = ps.zeros((100,), "float32", device="cuda")
        held = [x.torch(), torch.from_dlpack(x), x.__dlpack__(), x.__cuda_array_interface__]
    """,
    "a run in the background": "run = ps.start(endless() >> copied)\nwait_for_frames()",
    "a run whose source hangs": """
        entered = threading.Event()
        @ps.operator
        def hangs():
            yield work.TorchWork.slow(1)
            entered.set()
            threading.Event().wait()
        run = ps.start(hangs() >> copied)
        assert entered.wait(30)
        wait_for_frames(1)
    """,
    "a run, and an exit in the middle": "run = ps.start(endless() >> copied)\nwait_for_frames()\nsys.exit(0)",
    "a daemon thread that waits": """
        s = ps.Stream("cuda")
        with s:
            x = work.TorchWork.slow(1, 2_000_000_000)
        threading.Thread(target=s.sync, daemon=True).start()
        time.sleep(0.1)
    """,
}
HEAD = """
import sys, threading, time
import torch
import penstock as ps
from gpu import work

@ps.operator
def endless():
    number = 0
    while True:
        yield work.TorchWork.slow(number)
        number += 1

seen = []

@ps.operator
def copied(x):
    ps.as_tensor(x).copy()
    seen.append(1)

def wait_for_frames(count=20):
    limit = time.monotonic() + 30
    while len(seen) < count:
        assert time.monotonic() < limit, "no frames came"
        time.sleep(0.001)
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_well(ending):
    """What runs is stopped, for 2 s at most; exit code 0, nothing said."""
    import textwrap

    done = run_python(HEAD + textwrap.dedent(ENDINGS[ending]))
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    assert done.stderr == ""
    assert done.seconds < 60
