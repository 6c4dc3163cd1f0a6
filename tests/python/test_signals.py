"""Ctrl-C while a graph runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

from graphs import numbers

import penstock as ps

PROGRAM = """
    import penstock as ps, signal, sys, threading, time
    closed = []
    @ps.operator
    class Source:
        def __call__(self):
            n = 0
            while True:
                yield n
                n += 1
        def close(self):
            closed.append(1)
    seen = []
    @ps.operator
    def sink(x):
        if not seen:
            print("ready", flush=True)
        seen.append(x)
        {body}
"""


def start(body, end):
    code = textwrap.dedent(PROGRAM).format(body=body) + textwrap.dedent(end)
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout.readline().strip() == "ready"
    return program


def finish(program):
    try:
        out, err = program.communicate(timeout=20)
    finally:
        program.kill()
    return out, err


def test_ctrl_c_stops_drains_and_raises_keyboard_interrupt():
    program = start(
        "time.sleep(0.001)",
        """
        before = signal.getsignal(signal.SIGINT)
        try:
            ps.run(Source()() >> sink)
        except KeyboardInterrupt:
            print("interrupted", closed, seen == list(range(len(seen))), signal.getsignal(signal.SIGINT) is before)
        """,
    )
    begun = time.monotonic()
    program.send_signal(signal.SIGINT)
    out, err = finish(program)
    assert out.strip() == "interrupted [1] True True", err
    assert program.returncode == 0
    assert time.monotonic() - begun < 2


def test_without_a_handler_the_exit_code_says_so():
    program = start("time.sleep(0.001)", "ps.run(Source()() >> sink)")
    program.send_signal(signal.SIGINT)
    _, err = finish(program)
    assert "KeyboardInterrupt" in err
    assert program.returncode in (130, -signal.SIGINT)


def test_a_second_ctrl_c_leaves_even_if_an_operator_never_returns():
    program = start(
        "threading.Event().wait()",
        """
        before = signal.getsignal(signal.SIGINT)
        try:
            ps.run(Source()() >> sink)
        except KeyboardInterrupt:
            print("left", signal.getsignal(signal.SIGINT) is before, flush=True)
        """,
    )
    program.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert program.poll() is None, "the first one waits for what is in flight"
    begun = time.monotonic()
    program.send_signal(signal.SIGINT)
    out, err = finish(program)
    assert out.strip() == "left True", err
    assert time.monotonic() - begun < 6


def test_the_users_handler_is_restored():
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        ps.run(numbers(3))
        os.kill(os.getpid(), signal.SIGINT)
        assert calls == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_on_another_thread_leaves_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def program():
        ps.run(numbers(3) >> (lambda x: seen.append(signal.getsignal(signal.SIGINT))))

    thread = threading.Thread(target=program)
    thread.start()
    thread.join(20)
    assert seen == [before] * 3


def test_ctrl_c_while_flows_are_iterated():
    program = start(
        "return x",
        """
        try:
            for x in ps.iterate(Source()() >> sink):
                pass
        except KeyboardInterrupt:
            print("interrupted", closed)
        """,
    )
    program.send_signal(signal.SIGINT)
    out, err = finish(program)
    assert out.strip() == "interrupted [1]", err
