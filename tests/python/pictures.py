"""Plans that tests of pictures draw."""

import random

from penstock._picture import Edge, Operator, Plan


def plan(*edges, operators=None):
    """Operators and edges from "a.out -> b.in" or "a -> b"; "~>" closes a cycle."""
    ports = {}
    made = []
    for text in edges:
        left, arrow, right = text.split()
        (sender, _, output), (receiver, _, port) = left.partition("."), right.partition(".")
        output, port = output or "out", port or "in"
        for name in (sender, receiver):
            ports.setdefault(name, ([], []))
        if output not in ports[sender][1]:
            ports[sender][1].append(output)
        if port not in ports[receiver][0]:
            ports[receiver][0].append(port)
        made.append(Edge(sender, output, receiver, port, 4, "block", arrow == "~>"))
    found = [
        Operator(name, name, tuple(inputs), tuple(outputs), **(operators or {}).get(name, {}))
        for name, (inputs, outputs) in ports.items()
    ]
    return Plan(tuple(found), tuple(made))


def random_plan(seed, count=40):
    chance = random.Random(seed)
    edges = []
    for number in range(4, count):
        for port in range(chance.choice((1, 1, 1, 2, 3))):
            sender = f"operator_{chance.randrange(max(0, number - 9), number)}"
            edges.append(f"{sender}.out{chance.randrange(2)} -> operator_{number}.in{port}")
        if chance.random() < 0.1:
            edges.append(f"operator_{number}.back ~> operator_{chance.randrange(4, number + 1)}.again")
    return plan(*edges)


CHAIN = plan("camera -> resize", "resize -> detect", "detect -> sink")
WALL = plan(
    *(f"cam{n} -> rgb{n}" for n in range(4)),
    *(f"rgb{n} -> merge" for n in range(4)),
    "merge -> detect",
    "detect -> track",
    "merge -> join.frame",
    "track -> join.boxes",
    "join -> draw",
    "draw -> wall",
    "wall -> sink",
)
LOOP = plan("numbers -> tracker.frame", "loop -> tracker.state", "tracker.state ~> loop", "tracker.picture -> draw")
LONG = plan(
    "a_name_of_twenty_eight_signs -> another_of_as_many_letters__.with_an_input",
    "a_name_of_twenty_eight_signs -> another_of_as_many_letters__.and_another_input",
    operators={
        "a_name_of_twenty_eight_signs": {
            "instances": 12,
            "words": {"batch": 16, "max_delay_ms": 10, "order": "arrival"},
        },
        "another_of_as_many_letters__": {"join": "position", "words": {"on_error": "skip", "per": "source"}},
    },
)
PLANS = [CHAIN, WALL, LOOP, LONG, plan("a ~> a"), *(random_plan(seed) for seed in range(8))]
