"""Operators as callables: what is decorated, configured, connected, called."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import collect, listed, numbers

import penstock as ps


@ps.operator
def double(x):
    return 2 * x


@ps.operator
def scale(x, factor=2, *, offset=0):
    return x * factor + offset


@ps.operator
def needs(x, *, level):
    return x + level


@ps.operator
class Add:
    made = 0

    def __init__(self, amount=1):
        type(self).made += 1
        self.amount = amount

    def __call__(self, x):
        return x + self.amount


def test_a_function_called_with_data_runs_now():
    assert double(4) == 8
    array = np.arange(3)
    assert (double(array) == [0, 2, 4]).all()


def test_a_function_called_with_a_flow_is_connected():
    flow = double(numbers(3))
    assert isinstance(flow, ps.Flow)
    assert collect(flow) == [0, 2, 4]


def test_a_function_called_with_nothing_or_settings_is_configured():
    assert collect(numbers(3) >> double()) == [0, 2, 4]
    assert collect(numbers(3) >> scale(factor=3, offset=1)) == [1, 4, 7]
    assert collect(numbers(3) >> scale(offset=1)(factor=5)) == [1, 6, 11]


def test_settings_may_be_given_with_flows_and_with_data():
    assert collect(scale(numbers(2), 5, offset=1)) == [1, 6]
    assert collect(scale(numbers(2), factor=5)) == [0, 5]
    assert scale(2, offset=1) == 5
    assert scale(factor=10)(2) == 20


def test_a_setting_without_a_default_is_required():
    assert collect(needs(numbers(2), level=10)) == [10, 11]
    with pytest.raises(ps.GraphError, match=r"needs: setting 'level' has no default"):
        needs(numbers(2))


def test_a_flow_is_no_setting():
    with pytest.raises(ps.GraphError, match="level is a setting"):
        needs(numbers(2), level=numbers(1))


def test_an_unknown_keyword_names_the_nearest():
    with pytest.raises(ps.GraphError, match=r"unknown keyword 'factr'.*'factor'"):
        scale(numbers(1), factr=3)
    with pytest.raises(ps.GraphError, match=r"unknown keyword 'batsh'.*'batch'"):
        ps.operator(batsh=3)
    with pytest.raises(ps.GraphError, match=r"unknown keyword 'instancse'.*'instances'"):
        double(numbers(1), instancse=2)
    with pytest.raises(ps.GraphError, match=r"unknown keyword 'amuont'.*'amount'"):
        Add(amuont=2)


def test_too_many_arguments_are_refused():
    with pytest.raises(ps.GraphError, match="double: too many"):
        double(numbers(1), numbers(1))


def test_every_word_may_be_given_where_it_is_used():
    flow = double(numbers(4), name="twice", capacity=2)
    found = []
    stats = ps.run(flow >> (lambda x: found.append(x)))
    assert found == [0, 2, 4, 6]
    assert "twice" in stats.operators
    assert stats.edges[("numbers", "out", "twice", "x")].capacity == 2


def test_a_decorated_class_is_configured_and_made_when_the_run_starts():
    Add.__wrapped__.made = 0
    add = Add(10)
    flow = add(numbers(3))
    assert Add.__wrapped__.made == 0
    assert collect(flow) == [10, 11, 12]
    assert Add.__wrapped__.made == 1


def test_a_configured_class_called_with_data_keeps_one_object():
    Add.__wrapped__.made = 0
    add = Add(5)
    assert add(1) == 6
    assert add(2) == 7
    assert Add.__wrapped__.made == 1


def test_words_beside_the_arguments_of_init():
    found, stats = [], None
    stats = ps.run(Add(3, name="plus")(numbers(2)) >> (lambda x: found.append(x)))
    assert found == [3, 4]
    assert "plus" in stats.operators


def test_a_class_may_be_piped_into_without_arguments():
    assert collect(numbers(2) >> Add) == [1, 2]


def test_a_class_is_made_once_for_each_instance_on_its_thread_and_closed():
    import threading

    log = []

    @ps.operator(instances=3)
    class Worker:
        def __init__(self):
            self.thread = threading.get_ident()
            log.append(("made", self.thread, ps.current_stream().id))

        def __call__(self, x):
            assert threading.get_ident() == self.thread
            assert ps.current_stream().id == next(s for w, t, s in log if w == "made" and t == self.thread)
            return x

        def close(self):
            log.append(("closed", threading.get_ident(), ps.current_stream().id))

    assert collect(numbers(20) >> Worker()) == list(range(20))
    made = [entry[1:] for entry in log if entry[0] == "made"]
    closed = [entry[1:] for entry in log if entry[0] == "closed"]
    assert len(made) == len(set(made)) == 3
    assert sorted(made) == sorted(closed)


def test_a_class_without_call_is_refused():
    with pytest.raises(ps.GraphError, match="needs __call__"):

        @ps.operator
        class Nothing:
            pass


def test_any_callable_may_stand_where_an_operator_may():
    import torch

    layer = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(layer.weight)
    inputs = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    results = collect(listed(inputs) >> layer >> (lambda t: t.detach() * 2))
    assert [r.tolist() for r in results] == [[2.0, 4.0], [6.0, 8.0]]
    assert collect(numbers(3) >> str) == ["0", "1", "2"]


def test_operator_of_a_callable_with_words():
    assert collect(numbers(3) >> ps.operator(lambda x: x + 1, name="inc")) == [1, 2, 3]


def test_a_generator_function_is_a_source():
    @ps.operator
    def source(count=3):
        yield from range(count)

    assert collect(source()) == [0, 1, 2]
    assert collect(source(count=2)) == [0, 1]
    assert collect(source(2)) == [0, 1]
    assert collect(source >> double) == [0, 2, 4]
    assert collect(double(source)) == [0, 2, 4]


def test_a_source_uncalled_is_one_flow():
    starts = []

    @ps.operator
    def source():
        starts.append(1)
        yield 1

    assert collect(ps.merge(source, source)) == [1, 1]
    assert len(starts) == 1


def test_a_generator_with_parameters_is_a_source_of_them():
    @ps.operator
    def source(first, last):
        yield from range(first, last)

    assert collect(source(2, 5)) == [2, 3, 4]


def test_a_generator_that_gets_a_flow_emits_each():
    origins = []

    @ps.operator
    def tiles(x):
        yield x
        yield x + 10

    @ps.operator
    def look(x):
        origins.append((ps.message().origin.number, ps.message().origin.sub))
        return x

    assert collect(tiles(numbers(2)) >> look) == [0, 10, 1, 11]
    assert origins == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_source_class():
    @ps.operator
    class Source:
        closed = 0

        def __init__(self, count):
            self.count = count

        def __call__(self):
            yield from range(self.count)

        def close(self):
            type(self).closed += 1

    assert collect(Source(3)()) == [0, 1, 2]
    assert collect(Source(3) >> double) == [0, 2, 4]
    assert Source.__wrapped__.closed == 2


def test_a_generators_finally_runs_when_the_run_stops():
    done = []

    @ps.operator
    def source():
        try:
            while True:
                yield 1
        finally:
            done.append(1)

    for x in ps.iterate(source()):
        assert x == 1
        break
    assert done == [1]


def test_a_function_without_inputs_is_a_source():
    @ps.operator(count=3)
    def tick():
        return "tick"

    assert collect(tick()) == ["tick"] * 3


def test_none_emits_nothing():
    assert collect(numbers(6) >> ps.operator(lambda x: x if x % 2 else None)) == [1, 3, 5]


def test_several_outputs_as_a_tuple_or_a_dict():
    @ps.operator(outputs=("small", "large"))
    def split(x):
        return (x, None) if x < 2 else {"large": x}

    flow = split(numbers(4))
    assert collect(flow["small"]) == [0, 1]
    assert collect(split(numbers(4))["large"]) == [2, 3]
    small, large = split(numbers(4))
    assert sorted(collect(ps.merge(small, large))) == [0, 1, 2, 3]


def test_a_wrong_number_of_results_is_named():
    @ps.operator(outputs=("a", "b"))
    def bad(x):
        return (x,)

    with pytest.raises(ps.GraphError, match="bad: the result must be a tuple of 2"):
        collect(bad(numbers(1))["a"])

    @ps.operator(outputs=("a", "b"))
    def wrong(x):
        return {"c": x}

    with pytest.raises(ps.GraphError, match=r'names an output "c"'):
        collect(wrong(numbers(1))["a"])


def test_an_output_may_be_used_only_by_name_if_there_are_several():
    @ps.operator(outputs=("a", "b"))
    def split(x):
        return x, x

    with pytest.raises(ps.GraphError, match="2 outputs"):
        ps.run(double(split(numbers(1))))


def test_an_input_may_be_a_constant():
    @ps.operator
    def combine(a, b, c):
        return (a, b, c)

    assert collect(combine(1, numbers(2), 3)) == [(1, 0, 3), (1, 1, 3)]
    assert collect(combine(numbers(1), b=2, c=3)) == [(0, 2, 3)]


def test_as_many_inputs_as_are_given():
    @ps.operator
    def total(*xs):
        return sum(xs)

    a = numbers(3)
    assert collect(total(a, double(a), double(a))) == [0, 5, 10]


def test_batch_called_with_data_takes_a_list_and_gives_one():
    sizes = []

    @ps.operator(batch=3)
    def squares(xs):
        sizes.append(len(xs))
        return [x * x for x in xs]

    assert squares([1, 2, 3, 4]) == [1, 4, 9, 16]
    assert sizes == [3, 1]
    assert squares([]) == []
    with pytest.raises(ps.ArgumentTypeError, match="list"):
        squares(3)
    with pytest.raises(ps.GraphError, match="expected 2, found 1"):
        ps.operator(lambda xs: xs[:1], batch=4)([1, 2])


def test_a_chain_of_operators_is_an_operator():
    both = double >> scale(factor=3)
    assert both(1) == 6
    assert collect(numbers(2) >> both) == [0, 6]
    assert collect(both(numbers(2))) == [0, 6]


def test_names():
    stats = ps.run(double(double(double(numbers(1)))))
    assert list(stats.operators) == ["numbers", "double", "double_2", "double_3"]
    stats = ps.run(numbers(1) >> (lambda x: x))
    assert list(stats.operators) == ["numbers", "lambda"]
    with pytest.raises(ps.GraphError, match="two operators named"):
        ps.run(double(double(numbers(1), name="a"), name="a"))


def test_the_same_flow_runs_again():
    flow = Add(1)(numbers(3))
    assert collect(flow) == [1, 2, 3]
    assert collect(flow) == [1, 2, 3]


def test_a_decorated_function_keeps_its_documentation():
    @ps.operator
    def documented(x):
        """Says what it does."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Says what it does."


def test_a_decorated_class_can_be_a_base():
    class More(Add):
        def __call__(self, x):
            return super().__call__(x) * 10

    assert collect(numbers(2) >> ps.operator(More)(1)) == [10, 20]


def test_async_functions_are_refused():
    with pytest.raises(ps.GraphError, match="async"):

        @ps.operator
        async def never(x):
            return x
