"""Forked children: an error that names fork, or a library as good as new; never a hang."""

import textwrap

import pytest
from helpers import SCALE, check_python, run_python

FORK = """
    import faulthandler, gc, os, random, signal, sys, threading, time
    import numpy as np
    import penstock as ps

    leave, rounds = sys.argv[1], int(sys.argv[2])
    stop = threading.Event()

    def hammer_memory(seed):
        chance = random.Random(seed)
        kept = []
        while not stop.is_set():
            kept.append(ps.empty((chance.randrange(1, 100_000),), "uint8", device="cpu"))
            if len(kept) > 20:
                kept.pop(chance.randrange(len(kept)))
            if chance.random() < 0.02:
                ps.memory.clear("cpu")
                ps.memory.stats("cpu")

    def hammer_streams(seed):
        streams = [ps.Stream("cpu") for _ in range(4)]
        chance = random.Random(seed)
        while not stop.is_set():
            x = ps.zeros((100,), "uint8", device="cpu")
            a, b = chance.choice(streams), chance.choice(streams)
            a.launch(len, x, writes=x)
            b.wait(a)
            event = b.launch(len, x)
            if chance.random() < 0.1:
                event.sync()
            if chance.random() < 0.05:
                streams[0] = ps.Stream("cpu")

    kept = [ps.zeros((1000,), "uint8", device="cpu") for _ in range(50)]
    wrapped = [ps.as_tensor(np.zeros(10)) for _ in range(10)]
    streams = [ps.Stream("cpu") for _ in range(10)]
    x = ps.zeros((100,), "uint8", device="cpu")
    events = [stream.launch(len, x) for stream in streams]
    views = [x[1:] for _ in range(10)]
    threads = [threading.Thread(target=f, args=(n,), daemon=True)
               for n, f in enumerate([hammer_memory, hammer_memory, hammer_streams, hammer_streams])]
    [thread.start() for thread in threads]

    USES = [
        lambda: ps.empty((10,), "uint8", device="cpu"),
        lambda: ps.zeros((10,), "uint8", device="cpu"),
        lambda: ps.Stream("cpu"),
        lambda: ps.StreamPool("cpu"),
        lambda: streams[0].sync(),
        lambda: streams[0].query(),
        lambda: streams[0].record(),
        lambda: streams[0].wait(streams[1]),
        lambda: streams[0].wait(x),
        lambda: streams[0].wait(events[1]),
        lambda: streams[0].launch(len, x),
        lambda: streams[0].launch(print),
        lambda: ps.uses(x, streams[0]),
        lambda: events[0].query(),
        lambda: events[0].sync(),
        lambda: events[0].result(),
        lambda: x.numpy(),
        lambda: x.copy(),
        lambda: ps.resize(ps.as_tensor(np.zeros((8, 8), "uint8")), (4, 4)),
        lambda: ps.memory.stats("cpu"),
        lambda: ps.memory.clear("cpu"),
        lambda: ps.memory.trim(0, "cpu"),
        lambda: ps.memory.snapshot("cpu"),
        lambda: ps.memory.set_limit(5, "cpu"),
        lambda: ps.memory.reset_peak("cpu"),
    ]

    def child():
        signal.alarm(20)  # a hang ends the child, and its exit code says so
        faulthandler.dump_traceback_later(15)
        for number, use in enumerate(USES):
            try:
                use()
            except ps.Error as error:
                if "fork" not in str(error):
                    os.write(2, f"use {number}: {error}\\n".encode())
                    os._exit(3)
            else:
                os.write(2, f"use {number}: no error\\n".encode())
                os._exit(4)
        for objects in (kept, wrapped, events, views, streams):
            objects.clear()
        gc.collect()
        faulthandler.cancel_dump_traceback_later()
        if leave == "os._exit":
            os._exit(0)
        sys.exit(0)

    for _ in range(rounds):
        time.sleep(random.random() * 0.005)
        pid = os.fork()
        if pid == 0:
            stop.set()
            child()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0, f"the child ended with {code}"
    stop.set()
    [thread.join(20) for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
    assert streams[0].launch(lambda: 5).result() == 5
    print("the parent goes on")
"""


@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
def test_a_forked_child_says_so_and_never_hangs(leave):
    done = run_python(FORK, leave, str(30 * SCALE), timeout_s=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the parent goes on" in done.stdout


def test_a_fork_while_only_pythons_threads_allocate():
    done = run_python(
        """
        import os, signal, threading, time
        import penstock as ps

        stop = threading.Event()
        def hammer():
            while not stop.is_set():
                [ps.empty((size,), "uint8", device="cpu") for size in range(1, 50_000, 999)]
                ps.memory.clear("cpu")
        [threading.Thread(target=hammer, daemon=True).start() for _ in range(3)]
        for _ in range(30):
            time.sleep(0.002)
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                try:
                    ps.empty((10,), "uint8", device="cpu")
                except ps.Error as error:
                    os._exit(0 if "fork" in str(error) else 3)
                os._exit(4)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stop.set()
    """,
        timeout_s=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_child_is_usable_if_nothing_had_begun():
    check_python("""
        import os, signal
        import numpy
        import penstock as ps
        used = ps.zeros((3,), "uint8", device="cpu")
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            stream = ps.Stream("cpu")
            x = ps.zeros((3,), "uint8", device="cpu")
            stream.launch(lambda x: x.numpy().fill(3), x, writes=x)
            assert x.numpy().tolist() == [3] * 3
            stream.sync()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """)


def test_multiprocessing_by_fork_and_by_spawn(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import multiprocessing, sys
        import penstock as ps

        def use(queue):
            try:
                queue.put(ps.Stream("cpu").launch(lambda: 5).result())
            except ps.Error as error:
                queue.put(str(error))

        if __name__ == "__main__":
            ps.Stream("cpu").launch(print, "parent").result()
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                queue = context.Queue()
                process = context.Process(target=use, args=(queue,))
                process.start()
                print(method, queue.get(timeout=30))
                process.join(30)
                assert process.exitcode == 0
    """)
    )
    out = check_python(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')").splitlines()
    assert out[0] == "parent"
    assert out[1].startswith("fork Stream: this process was forked")
    assert out[2] == "spawn 5"
