"""What an exception in an operator does."""

from __future__ import annotations

import traceback

import pytest
from graphs import Gate, collect, collect_with_stats, listed, numbers

import penstock as ps


@ps.operator
def picky(x):
    if x == 2:
        raise ValueError("two")
    return x


def test_an_exception_comes_out_of_run_as_itself_with_its_traceback_and_a_note():
    with pytest.raises(ValueError, match="two") as info:
        collect(picky(numbers(5)))
    assert "picky" in [frame.name for frame in traceback.extract_tb(info.value.__traceback__)]
    note = "\n".join(info.value.__notes__)
    assert "operator picky" in note
    assert "instance 0" in note
    assert "numbers #2" in note


def test_every_started_operator_is_closed():
    made, closed = [], []

    @ps.operator
    class Tidy:
        def __init__(self, name):
            self.name = name
            made.append(name)

        def __call__(self, x):
            return x

        def close(self):
            closed.append(self.name)

    with pytest.raises(ValueError, match="two"):
        collect(numbers(10) >> Tidy("before") >> picky >> Tidy("after"))
    assert "before" in made
    assert sorted(closed) == sorted(made)


def test_what_close_raises_is_told_too():
    @ps.operator
    class Untidy:
        def __call__(self, x):
            return x

        def close(self):
            raise RuntimeError("close failed")

    with pytest.raises(RuntimeError, match="close failed"):
        collect(numbers(1) >> Untidy())


def test_an_exception_in_init():
    @ps.operator
    class Broken:
        def __init__(self, path):
            raise FileNotFoundError(path)

        def __call__(self, x):
            return x

    with pytest.raises(FileNotFoundError, match="no such file") as info:
        collect(numbers(1) >> Broken("no such file"))
    assert any("operator Broken" in note for note in info.value.__notes__)


def test_an_exception_in_a_source():
    @ps.operator
    def source():
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        collect(source())


def test_later_exceptions_become_notes():
    both = [Gate(), Gate()]

    @ps.operator
    def first(x):
        both[0].open()
        both[1].opened.wait(20)
        raise ValueError("one of two")

    @ps.operator
    def second(x):
        both[1].open()
        both[0].opened.wait(20)
        raise KeyError("the other")

    source = numbers(1)
    with pytest.raises((ValueError, KeyError)) as info:
        ps.run(first(source), second(source))
    other = "KeyError" if isinstance(info.value, ValueError) else "ValueError"
    assert any(other in note for note in info.value.__notes__)


def test_skip_counts_and_keeps_the_last_error():
    found, stats = collect_with_stats(picky(numbers(5), on_error="skip"))
    assert found == [0, 1, 3, 4]
    assert stats.operators["picky"].skipped == 1
    error = stats.operators["picky"].last_error
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None


def test_a_skipped_message_leaves_a_gap():
    @ps.operator(optional="b")
    def pair(a, b):
        return (a, b)

    source = numbers(4)
    found = collect(pair(source, picky(source, on_error="skip")))
    assert found == [(0, 0), (1, 1), (2, None), (3, 3)]


def test_restart_makes_a_new_object_and_drops_the_message():
    made, closed = [], []

    @ps.operator(on_error="restart")
    class Fragile:
        def __init__(self):
            made.append(self)
            self.seen = []

        def __call__(self, x):
            self.seen.append(x)
            if x == 2:
                raise ValueError("two")
            return tuple(self.seen)

        def close(self):
            closed.append(self)

    assert collect(numbers(5) >> Fragile()) == [(0,), (0, 1), (3,), (3, 4)]
    assert len(made) == 2
    assert closed == made


def test_a_callable_gets_the_exception_and_the_message():
    asked = []

    def handler(error, message):
        asked.append((type(error), str(error), message.origin, message.value))

    assert collect(picky(numbers(4), on_error=handler)) == [0, 1, 3]
    assert asked == [(ValueError, "two", ("numbers", 2, None), 2)]


def test_raising_in_the_callable_ends_the_run():
    def handler(error, message):
        raise RuntimeError("enough") from error

    with pytest.raises(RuntimeError, match="enough") as info:
        collect(picky(numbers(4), on_error=handler))
    assert isinstance(info.value.__cause__, ValueError)


def test_max_errors():
    @ps.operator(on_error="skip", max_errors=2)
    def failing(x):
        raise ValueError(f"number {x}")

    with pytest.raises(ValueError, match="number 2"):
        collect(failing(numbers(5)))
    assert collect(failing(numbers(2))) == []


def test_end_on_a_source_ends_that_source_alone():
    @ps.operator(on_error="end")
    def camera():
        yield 1
        raise OSError("unplugged")

    assert sorted(collect(ps.merge(camera(), listed([2, 3], "other")))) == [1, 2, 3]
    with pytest.raises(ps.GraphError, match="for sources only"):
        collect(picky(numbers(1), on_error="end"))


def test_on_error_of_a_run_is_for_operators_that_say_nothing():
    assert collect(picky(numbers(4)), on_error="skip") == [0, 1, 3]
    with pytest.raises(ValueError, match="two"):
        collect(picky(numbers(4), on_error="raise"), on_error="skip")


@pytest.mark.parametrize("error", [ps.DeviceError("lost"), ps.OutOfMemory("none left"), MemoryError("none left")])
def test_faults_and_out_of_memory_always_raise(error):
    @ps.operator(on_error="skip")
    def failing(x):
        raise error

    with pytest.raises(type(error)):
        collect(failing(numbers(3)))


def test_keyboard_interrupt_and_system_exit_are_no_errors_to_skip():
    @ps.operator(on_error="skip")
    def leave(x):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        collect(leave(numbers(3)))


def test_an_exception_keeps_its_identity():
    error = ValueError("me")

    @ps.operator
    def failing(x):
        raise error

    with pytest.raises(ValueError, match="me") as info:
        collect(failing(numbers(1)))
    assert info.value is error


def test_a_run_after_a_failed_one():
    for _ in range(3):
        with pytest.raises(ValueError, match="two"):
            collect(picky(numbers(5)))
        assert collect(numbers(2)) == [0, 1]


def test_an_exception_with_instances_names_the_instance():
    @ps.operator(instances=2)
    def failing(x):
        if x == 3:
            raise ValueError("three")
        return x

    with pytest.raises(ValueError, match="three") as info:
        collect(failing(numbers(10)))
    assert any("instance" in note for note in info.value.__notes__)
