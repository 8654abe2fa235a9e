"""What is measured: the works, who takes part, and the bars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .common import PICTURES, SINE


@dataclass(frozen=True)
class Bar:
    """What kshot is to reach.

    Attributes:
        text: in words.
        ratio: how many times as fast as the best peer.
        memory: largest part of the best peer's peak memory.
        seconds: longest time.
    """

    text: str
    ratio: float | None = None
    memory: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Entry:
    """One library at a work.

    Attributes:
        library: its name, which is that of its environment.
        module: of benchmarks/works.
        variants: forms of which the fastest is taken, after a trial of each.
        bar: for the entries that are kshot's.
        label: its name in the table, by default the library's.
        change: entries of the work's `kind` that differ for it.
        peer: whether it counts as a peer; a hand-written loop does not, but everyone must agree with it.
    """

    library: str
    module: str
    variants: tuple[str, ...] = ("",)
    bar: Bar | None = None
    label: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    peer: bool = True

    @property
    def name(self) -> str:
        """As in records and in the table."""
        return self.label or self.library


@dataclass(frozen=True)
class Work:
    """One thing to do, in the same way by several libraries.

    Attributes:
        title: in words.
        kind: shapes and rates, see the modules.
        entries: kshot's first, since they write the first weights.
        rounds: how often everyone has a turn.
        steps: in each turn.
        tolerance: relative difference that the first losses may have, and that of any parameter's gradients.
        threads: of torch, if the work says so itself.
        scale: what the seconds of a step are multiplied with; unit: what that is the time of.
        rate: tasks in a step, if the table shows tasks a second.
    """

    title: str
    kind: dict[str, Any]
    entries: tuple[Entry, ...]
    rounds: int = 5
    steps: int = 1
    tolerance: float = 3e-4
    threads: int | None = None
    scale: float = 1.0
    unit: str = "step"
    rate: int | None = None


def maml_peers(chunks: tuple[int, ...]) -> tuple[Entry, ...]:
    """Everyone who can do second-order MAML; chunks: the sizes of which parallel-metalearn's fastest is taken."""
    return (
        Entry("kshot", "maml_plain_torch", label="hand-written loop", peer=False),
        Entry("higher", "maml_higher"),
        Entry("torchopt", "maml_torchopt", ("loop", "vmap")),
        Entry("iteryne", "maml_iteryne"),
        Entry("parallel-metalearn", "maml_parallel_metalearn", ("sequential", *(f"vmap:{c}" for c in chunks))),
    )


def maml_pictures(way: int, tasks: int, steps: int, bar: Bar, *, strided: bool, rounds: int) -> Work:
    """MAML on pictures, Conv4-64, 1-shot with one query a class as in the published recipe."""
    kind = {"data": PICTURES, "way": way, "shot": 1, "query": 1, "tasks": tasks, "steps": steps, "filters": 64}
    kind |= {"strided": strided, "alpha": 2.0 / way / 4, "lr": 1e-4}
    encoder = "strided" if strided else "max-pool"
    title = (
        f"MAML, Conv4-64 ({encoder}), {way}-way 1-shot, {tasks} tasks, {steps} step{'s' * (steps > 1)}, second order"
    )
    ours = [Entry("kshot", "maml_kshot", ("eager",), bar)]
    if steps > 1:
        forms = ("eager+loop+threads+recompute", "eager+loop+recompute")
        labels = ("kshot, recomputed", "kshot, recomputed, tasks one by one")
        ours += [Entry("kshot", "maml_kshot", (f,), bar, label=label) for f, label in zip(forms, labels)]
    else:
        ours.append(Entry("kshot", "maml_kshot", ("compiled",), bar, label="kshot compiled"))
    # Single precision: a ReLU that flips in the first of the inner steps changes the gradient by percents, for every
    # library (float64 agrees to 1e-9: make test-peers).
    tolerance = 0.2 if steps > 1 else 3e-4 if strided else 1e-2
    return Work(title, kind, (*ours, *maml_peers((4, tasks))), rounds=rounds, tolerance=tolerance)


OMNIGLOT = {"classes": 4400, "each": 20}
FIVE_WAY = {"data": PICTURES, "way": 5, "shot": 1, "query": 15}
MAML_5 = Bar("at least 1.5 times the best peer", ratio=1.5)
MAML_20 = Bar("at least 1.5 times the best peer in time, peak memory at most a third", ratio=1.5, memory=1 / 3)
TRAINER = Bar("at most 3 % more than the bare step", ratio=1 / 1.03)
SINE_MAML = {"data": SINE, "tasks": 25, "steps": 5, "shot": 10, "query": 10, "alpha": 0.01, "lr": 1e-3}
RECOMPUTED = "eager+loop+recompute"


def trainer(title: str, kind: dict[str, Any], steps: int, *, compiled: bool = False) -> Work:
    """kshot's trainer beside the bare loop."""
    entries = (
        Entry("kshot", "trainer", ("trainer",), TRAINER, label="kshot train"),
        Entry("kshot", "trainer", ("bare",), label="bare loop"),
    )
    return Work(title, {**kind, "compiled": compiled}, entries, rounds=5, steps=steps)


WORKS: dict[str, Work] = {
    "maml-sine": Work(
        "MAML on sine curves, 25 tasks, 5 inner steps, 10-shot, second order",
        SINE_MAML,
        (
            Entry("kshot", "maml_kshot", ("eager",), Bar("at least 8 times the best peer", ratio=8)),
            Entry(
                "kshot",
                "maml_kshot",
                ("compiled",),
                Bar("at least 50 times the best peer", ratio=50),
                label="kshot compiled",
            ),
            *maml_peers((5, 25)),
        ),
        rounds=7,
        steps=50,
    ),
    "protonet-60way": Work(
        "ProtoNet, 60-way 5-shot 5-query Conv4-64 step",
        {"data": PICTURES, "way": 60, "shot": 5, "query": 5, "tasks": 1, "filters": 64, "lr": 1e-3},
        (
            Entry("kshot", "protonet_kshot", ("eager",), Bar("at least 2.2 times easyfsl", ratio=2.2)),
            Entry("easyfsl", "protonet_easyfsl"),
        ),
        steps=2,
        rounds=7,
        tolerance=1e-3,
    ),
    "maml-5way": maml_pictures(5, 32, 1, MAML_5, strided=False, rounds=5),
    "maml-5way-strided": maml_pictures(5, 32, 1, MAML_5, strided=True, rounds=7),
    "maml-20way": maml_pictures(20, 16, 5, MAML_20, strided=False, rounds=3),
    "maml-20way-strided": maml_pictures(20, 16, 5, MAML_20, strided=True, rounds=3),
    "memory-steps": Work(
        "peak memory of MAML's recomputed gradient with 5 and with 20 inner steps, Conv4-64, 20-way, 4 tasks",
        {**maml_pictures(20, 4, 20, MAML_20, strided=False, rounds=1).kind},
        (
            Entry(
                "kshot",
                "maml_kshot",
                (RECOMPUTED,),
                Bar("grows by less than 25 % from 5 to 20 steps", memory=1.25),
                label="kshot, 20 steps",
            ),
            Entry("kshot", "maml_kshot", (RECOMPUTED,), label="kshot, 5 steps", change={"steps": 5}),
        ),
        rounds=1,
        tolerance=float("inf"),
    ),
    "drawing": Work(
        "drawing 5-way 1-shot 15-query tasks in batches of 32, one core",
        {**FIVE_WAY, **OMNIGLOT, "tasks": 32},
        (
            Entry(
                "kshot",
                "drawing",
                ("plain",),
                Bar("at least 20,000 tasks a second and 4 times the fastest peer", ratio=4, seconds=32 / 20_000),
            ),
            Entry(
                "kshot",
                "drawing",
                ("affine",),
                Bar("at least 2,000 tasks a second", seconds=32 / 2_000),
                label="kshot with affine augmentation",
            ),
            Entry("easyfsl", "drawing"),
            Entry("parallel-metalearn", "drawing"),
        ),
        rounds=9,
        steps=100,
        threads=1,
        rate=32,
    ),
    "evaluating": Work(
        "evaluating ProtoNet on 1,000 20-way 5-shot 15-query tasks, Conv4-64",
        {
            "data": PICTURES,
            "way": 20,
            "shot": 5,
            "query": 15,
            "classes": 200,
            "each": 20,
            "filters": 64,
            "episodes": 20,
        },
        (
            Entry(
                "kshot",
                "evaluating",
                bar=Bar("under 60 s, and at least 3 times easyfsl", ratio=3, seconds=60),
            ),
            Entry("easyfsl", "evaluating"),
        ),
        scale=50,
        unit="1,000 tasks, from rounds of 20",
    ),
    "trainer-sine": trainer("kshot's trainer over the bare step, MAML on sine curves", SINE_MAML, 200),
    "trainer-sine-compiled": trainer(
        "kshot's trainer over the bare step, compiled MAML on sine curves", SINE_MAML, 1000, compiled=True
    ),
    "trainer-protonet": trainer(
        "kshot's trainer over the bare step, ProtoNet 5-way 1-shot, 4 tasks",
        {**FIVE_WAY, "classes": 400, "each": 20, "tasks": 4, "filters": 64, "lr": 1e-3},
        12,
    ),
}
