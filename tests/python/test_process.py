"""Life of the process: the interpreter's end, interrupts, other interpreters."""

import sys
import textwrap

import pytest
from helpers import SCALE, check_python, run_python

HEAD = """
    import atexit, gc, sys, threading, time
    import numpy as np
    import penstock as ps
    s, t = ps.Stream("cpu"), ps.Stream("cpu")
    entered = threading.Event()
"""

ENDINGS = {
    "nothing": "",
    "work in flight": """
        x = ps.zeros((100_000,), "float32", device="cpu")
        for _ in range(200):
            s.launch(lambda x: x.numpy().sum(), x)
            t.launch(lambda x: x.numpy().fill(1), x, writes=x)
    """,
    "work in flight in C++": """
        with s:
            for _ in range(50):
                x = ps.zeros((1000, 1000, 3), "uint8", "HWC")
                y = ps.resize(x, (500, 500))
    """,
    "a blocked stream": """
        def block():
            entered.set()
            threading.Event().wait()
        s.launch(block)
        t.wait(s)
        after = t.launch(print, "never")
        assert entered.wait(30)
    """,
    "a task that never ends": """
        def spin():
            entered.set()
            while True:
                pass
        s.launch(spin)
        assert entered.wait(30)
    """,
    "a task that sleeps": """
        def doze():
            entered.set()
            time.sleep(60)
        s.launch(doze)
        assert entered.wait(30)
    """,
    "a daemon thread that waits": """
        gate = threading.Event()
        s.launch(gate.wait)
        def wait():
            entered.set()
            s.sync()
        threading.Thread(target=wait, daemon=True).start()
        entered.wait(30)
    """,
    "daemon threads at work": """
        def work():
            mine = ps.Stream("cpu")
            while True:
                x = ps.zeros((1000,), "uint8", device="cpu")
                mine.launch(lambda x: x.numpy().fill(1), x, writes=x)
                entered.set()
                x.numpy()
        [threading.Thread(target=work, daemon=True).start() for _ in range(4)]
        entered.wait(30)
    """,
    "tensors in globals": """
        a = ps.zeros((10,), "uint8", device="cpu")
        b, c = a[1:], ps.as_tensor(np.zeros(5))
        d, e = a.numpy(), memoryview(a)
        f = ps.as_tensor(bytearray(10), on_release=lambda: None)
        event = s.launch(lambda: a)
        sys.modules["keeper"] = [a, b, c, d, e, f, event, s]
        cycle = [a, s]
        cycle.append(cycle)
    """,
    "current stream at the end": """
        s.__enter__()
        x = ps.zeros((10,), "uint8")
    """,
    "an exception in a task": """
        def fail():
            raise ValueError("at the end")
        s.launch(fail)
    """,
    "an exception while it ends": """
        def fail():
            entered.set()
            time.sleep(0.2)
            raise ValueError("at the end")
        s.launch(fail)
        t.wait(s)
        t.launch(print, "never")
        entered.wait(30)
    """,
    "use in an exit handler": """
        def last():
            print(s.launch(lambda: "last").result())
        atexit.register(last)
    """,
    "a pool thread of Python's": """
        from concurrent.futures import ThreadPoolExecutor
        executor = ThreadPoolExecutor(2)
        future = executor.submit(lambda: s.launch(lambda: 5).result())
        assert future.result() == 5
    """,
    "an owner with a finalizer": """
        class Owner:
            def __init__(self):
                self.array = np.zeros(10, "uint8")
                self.__array_interface__ = self.array.__array_interface__
            def __del__(self):
                ps.zeros((3,), "uint8", device="cpu")
        x = ps.as_tensor(Owner())
        s.launch(lambda x: time.sleep(0.1), x)
    """,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_end_is_orderly(name):
    done = run_python(textwrap.dedent(HEAD) + textwrap.dedent(ENDINGS[name]))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.seconds < 6, done.stderr
    assert "Fatal" not in done.stderr
    assert "terminate" not in done.stderr
    assert "leaked" not in done.stderr, done.stderr
    assert "never" not in done.stdout
    if name == "use in an exit handler":
        assert done.stdout.strip() == "last"


@pytest.mark.parametrize("ending", ["sys.exit(7)", "raise ValueError('out')", "os._exit(7)", "exit(7)"])
def test_the_exit_code_is_the_programs(ending):
    done = run_python(f"""
        import os, sys, threading
        import penstock as ps
        ps.Stream("cpu").launch(threading.Event().wait)
        {ending}
    """)
    assert done.returncode == (1 if "raise" in ending else 7), done.stderr


def test_many_short_lives():
    for turn in range(10 * SCALE):
        done = run_python(
            """
            import sys, threading
            import penstock as ps
            streams = [ps.Stream("cpu") for _ in range(8)]
            x = ps.zeros((100,), "uint8", device="cpu")
            for i in range(int(sys.argv[1])):
                streams[i % 8].launch(lambda x: x.numpy().sum(), x)
        """,
            str(turn * 3),
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_waits_after_the_end_do_not_hang():
    done = run_python("""
        import atexit, threading

        def last():  # registered first, called last
            for use in (event.sync, event.result, stream.sync, x.numpy, lambda: stream.launch(print)):
                try:
                    use()
                except ps.StreamError as error:
                    print("the end" if "at its end" in str(error) else error)
        atexit.register(last)

        import penstock as ps
        stream = ps.Stream("cpu")
        x = ps.zeros((3,), "uint8", device="cpu")
        event = stream.launch(threading.Event().wait, writes=x)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["the end"] * 5, done.stdout + done.stderr


def test_an_interrupt_ends_the_program():
    done = run_python("""
        import os, signal, threading
        import penstock as ps
        stream = ps.Stream("cpu")
        stream.launch(threading.Event().wait)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        stream.sync()
    """)
    assert "KeyboardInterrupt" in done.stderr
    assert done.seconds < 6


def test_a_signal_handler_runs_during_a_wait():
    out = check_python("""
        import os, signal, threading
        import penstock as ps
        stream, free = ps.Stream("cpu"), threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: (print("handled"), free.set()))
        def block():
            while not free.wait(0.01):
                pass
        stream.launch(block)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        stream.sync()
        print("over")
    """)
    assert out.split() == ["handled", "over"]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module has another name")
def test_another_interpreter_is_refused_and_does_no_harm():
    out = check_python("""
        import _xxsubinterpreters as interpreters
        import penstock as ps
        stream = ps.Stream("cpu")
        try:
            interpreters.run_string(interpreters.create(), "import penstock")
        except interpreters.RunFailedError as error:
            print("refused" if "the main one" in str(error) else error)
        print(stream.launch(lambda: 5).result())
    """)
    assert out.split() == ["refused", "5"]
