"""Claims of the memory with least recently used access, and of MANN (Santoro et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from kshot.errors import UserError
from kshot.functional import lrua
from kshot.functional.instances import first_instance_limit, instance_numbers, mean_by_instance
from kshot.functional.strings import string_labels
from kshot.methods.mann import MANN
from support import WAY, image_tasks, noise, outputs, small_method

B, H, R, W = 3, 2, 7, 4
GAMMA = 0.9


def steps(count: int, seed: int = 0) -> Iterator[tuple[lrua.Memory, lrua.Memory, Tensor, Tensor]]:
    """Random reads and writes: the memory before and after, w^w, and the gate sigma(alpha)."""
    memory = lrua.empty(B, H, R, W, noise(0, 1))
    for t in range(count):
        keys, vectors = noise(seed + 4 * t, B, H, W), noise(seed + 4 * t + 1, B, H, W)
        gate, strength = noise(seed + 4 * t + 2, B, H).sigmoid(), noise(seed + 4 * t + 3, B, H).exp()
        after, _, written = lrua.access(memory, lrua.Wanted(keys, vectors, gate, strength), GAMMA, bool(t % 2))
        yield memory, after, written, gate
        memory = after


def test_the_sums_of_the_weights() -> None:
    for before, after, written, gate in steps(40):
        torch.testing.assert_close(after.read.sum(-1), torch.ones(B, H, dtype=torch.float64))
        torch.testing.assert_close(written.sum(-1), gate + (1 - gate) * H)
        expected = GAMMA * before.usage.sum(-1) + H + written.sum((-1, -2))
        torch.testing.assert_close(after.usage.sum(-1), expected)
        assert (after.usage.sum(-1) <= H * (1 + H) / (1 - GAMMA)).all()


def test_n_rows_are_least_used_and_they_are_the_least() -> None:
    for _, after, _, _ in list(steps(30))[10:]:  # rows that were never written are used alike
        low = lrua.least_used(after.usage, H)
        mark = lrua.marks(low, R, torch.float64)
        assert mark.sum(-1).tolist() == [H] * B
        nth = after.usage.sort(-1).values[:, H - 1 : H]
        assert torch.equal(mark == 1, after.usage <= nth)
        assert torch.equal(low[:, 0], after.usage.argmin(-1))


def test_without_decay_only_the_current_weights_count() -> None:
    read, written, old = noise(1, B, H, R), noise(2, B, H, R), noise(3, B, R)
    assert torch.equal(lrua.next_usage(old, read, written, 0.0), read.sum(1) + written.sum(1))


def test_the_gate_chooses_between_last_read_and_least_used() -> None:
    read, least = noise(1, B, H, R).softmax(-1), lrua.marks(torch.tensor([[4, 1], [0, 2], [6, 5]]), R, torch.float64)
    alpha = torch.full((B, H), 800.0, dtype=torch.float64)
    assert torch.equal(lrua.write_weights(alpha.sigmoid(), read, least), read)
    assert torch.equal(lrua.write_weights((-alpha).sigmoid(), read, least), least[:, None].expand(B, H, R))


def test_a_row_erased_and_then_written_with_weight_one_is_what_was_written() -> None:
    row = lrua.marks(torch.tensor([[3], [0], [6]]), R, torch.float64)
    before, vector = noise(1, B, R, W), noise(2, B, 1, W)
    after = lrua.write(before, row[:, None], vector, row)
    assert torch.equal(after[row == 1], vector[:, 0])
    assert torch.equal(after[row == 0], before[row == 0])


def test_the_first_writes_touch_different_rows() -> None:
    """One head that always writes where least was used, and never reads, fills the memory before it overwrites."""
    memory = lrua.empty(1, 1, R, W, noise(0, 1))
    usage, rows = torch.zeros(1, R, dtype=torch.float64), []
    for t in range(R):
        least = lrua.marks(lrua.least_used(usage, 1), R, torch.float64)
        written = lrua.write_weights(torch.zeros(1, 1), memory.read, least)
        memory = memory._replace(rows=lrua.write(memory.rows, written, noise(t, 1, 1, W), least))
        usage = lrua.next_usage(usage, torch.zeros(1, 1, R), written, decay=1.0)
        assert written.sum() == 1
        rows.append(int(written.argmax()))
    assert sorted(rows) == list(range(R))
    assert torch.equal(memory.rows[0, rows], torch.cat([noise(t, 1, W) for t in range(R)]))


def test_reading_without_a_strength_is_nearly_uniform() -> None:
    """The paper's softmax of cosines gives no row of 128 more than e / (e + 127 / e) = 0.055; a strength of 10 all."""
    key = torch.tensor([[[1.0, 0.0]]])
    memory = torch.tensor([1.0, 0.0]).repeat(128, 1)
    memory[1:] *= -1
    for strength, share in ((1.0, math.e / (math.e + 127 / math.e)), (10.0, 1 / (1 + 127 * math.exp(-20)))):
        weights = lrua.read_weights(key, memory[None], torch.full((1, 1), strength))
        assert float(weights[0, 0, 0]) == pytest.approx(share, rel=1e-3)
    assert lrua.read(weights, memory[None])[0, 0].tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


def test_empty_rows_have_finite_gradients() -> None:
    keys, memory = torch.zeros(1, 1, W, requires_grad=True), torch.zeros(1, R, W, requires_grad=True)
    lrua.read_weights(keys, memory, torch.ones(1, 1)).square().sum().backward()
    assert torch.isfinite(keys.grad).all()
    assert torch.isfinite(memory.grad).all()


def net(**options: object) -> MANN:
    method = small_method("mann", **options)
    assert isinstance(method, MANN)
    return method


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def by_hand(m: MANN, p: dict[str, Tensor], xs: Tensor, ys: Tensor) -> tuple[Tensor, list[list[list[float]]]]:
    """Log-probabilities [S, N] of one sequence, and the weights of its writes, in plain loops over heads and rows."""
    s = m.sizes
    U, n, rows = s.units, s.heads, range(s.rows)
    h, c, r = zeros(U), zeros(U), [zeros(s.width) for _ in range(n)]
    M = [zeros(s.width) + 1e-6 for _ in rows]
    usage, last = [1.0] + [0.0] * (s.rows - 1), [[1.0] + [0.0] * (s.rows - 1) for _ in range(n)]
    before, logs, writes = zeros(WAY), [], []
    for x, y in zip(xs, ys.tolist()):
        gates = p["inputs.weight"] @ (x.flatten() / x.max()) + p["inputs.bias"]
        gates = gates + p["labels.weight"] @ before + p["recurrent.weight"] @ torch.cat([h, *r])
        i, f, o, g = gates.split(U)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        raw = p["heads.weight"] @ h + p["heads.bias"]
        keys, adds = ([v.tanh() for v in part.split(s.width)] for part in raw[: -2 * n].split(n * s.width))
        alpha, beta = raw[-2 * n : -n].sigmoid(), (1 + raw[-n:].exp()).log()
        low = sorted(rows, key=lambda row: usage[row])[:n]
        write = [[alpha[j] * last[j][row] + (1 - alpha[j]) * (row in low) for row in rows] for j in range(n)]
        for row in rows:
            kept = 0 * M[row] if row == low[0] else M[row]
            M[row] = kept + sum(write[j][row] * adds[j] for j in range(n))
        now, r = [], []
        for j in range(n):
            e = []
            for row in M:
                lengths = ((keys[j] @ keys[j] + 1e-4) * (row @ row + 1e-4)).sqrt()
                e.append((beta[j] * (keys[j] @ row) / lengths).exp())
            now.append([v / sum(e) for v in e])
            r.append(sum(w * row for w, row in zip(now[j], M)))
        for row in rows:
            usage[row] = s.decay * usage[row] + sum(float((now[j][row] + write[j][row]).detach()) for j in range(n))
        last, before = now, torch.eye(WAY, dtype=torch.float64)[y]
        logs.append((p["outputs.weight"] @ torch.cat([h, *r]) + p["outputs.bias"]).log_softmax(-1))
        writes.append([[float(w.detach()) for w in head] for head in write])
    return torch.stack(logs), writes


def test_the_network_and_its_gradients_are_those_of_plain_loops() -> None:
    m, tasks = net(rows=6), image_tasks(4, T=2, shot=3)
    p = {n: v.detach().clone().requires_grad_() for n, v in m.net.named_parameters()}
    state, trace = m.adapt(tasks.xs, tasks.ys, WAY), m.trace(tasks.xs, tasks.ys, WAY)
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(2):
        logs, writes = by_hand(m, p, tasks.xs[t], tasks.ys[t])
        torch.testing.assert_close(state.sequence[t], logs, rtol=1e-9, atol=1e-9)
        chosen = torch.tensor(writes, dtype=torch.float64).sort(-1).values  # empty rows are all alike
        torch.testing.assert_close(trace["written"][t].sort(-1).values, chosen, rtol=1e-9, atol=1e-9)
        loss = loss - logs.gather(1, tasks.ys[t][:, None]).sum()
    torch.testing.assert_close(trace["read"].sum(-1), torch.ones(2, 9, 2, dtype=torch.float64))
    expected = torch.autograd.grad(loss, list(p.values()))
    chosen = state.sequence.gather(2, tasks.ys[..., None])
    for found, hand in zip(torch.autograd.grad(-chosen.sum(), list(m.net.parameters())), expected, strict=True):
        torch.testing.assert_close(found, hand, rtol=1e-7, atol=1e-9)


KINDS = [{}, {"controller": "feedforward"}, {"memory": False}, {"separate": False}, {"learn_strength": False}]


@pytest.mark.parametrize("options", [*KINDS, {"memory": False, "controller": "feedforward"}, {"labels": "strings"}])
def test_no_output_knows_a_label_of_its_own_or_a_later_step(options: dict[str, object]) -> None:
    """The gradient of output t by the label of step s is zero for s >= t, and not for s = t - 1."""
    m, tasks = net(**options), image_tasks(5, T=1, shot=2)
    labels = m.labels_of(m.codes(tasks.ys, WAY), tasks.ys).requires_grad_()
    _, played = m.play(m.scan(), tasks.xs, labels)
    for t in range(len(played)):
        (g,) = torch.autograd.grad(played[t].square().sum(), labels, retain_graph=True)
        assert (g[0, t:] == 0).all()
        assert t == 0 or (g[0, t - 1] != 0).any()
    blind = options == {"memory": False, "controller": "feedforward"}
    assert bool((g[0, 0] == 0).all()) == blind, "without memory and state only the last label is known"


@pytest.mark.parametrize("options", [*KINDS, {"labels": "strings"}])
def test_a_query_is_predicted_as_the_next_of_the_sequence(options: dict[str, object]) -> None:
    """Whatever its label may be, which nobody has said."""
    m, tasks = net(**options), image_tasks(6)
    asked = outputs(m, tasks)
    for i in range(2):
        longer = torch.cat([tasks.xs, tasks.xq[:, i : i + 1]], 1)
        with torch.no_grad():
            codes = m.codes(tasks.ys, WAY)
            labels = torch.cat([m.labels_of(codes, tasks.ys), codes[:, :1]], 1)
            _, played = m.play(m.scan(), longer, labels)
        expected = m.log_probs(played[-1])[:, None] @ codes.mT
        torch.testing.assert_close(asked[:, i], expected[:, 0], rtol=1e-9, atol=1e-9)


def test_string_labels() -> None:
    """Five digits of their own: all 5^5 strings come up, no two classes of a task share one, each task has others."""
    ys = torch.stack([torch.arange(400).roll(i) for i in range(120)])
    codes = string_labels(ys, 400).unflatten(-1, (5, 5))  # [120, 400, 5, 5]
    assert (codes.sum(-1) == 1).all()
    numbers = (codes.argmax(-1) * 5 ** torch.arange(5)).sum(-1)  # [120, 400]
    assert all(len(set(row)) == 400 for row in numbers.tolist())
    assert set(numbers.flatten().tolist()) == set(range(5**5))
    share = codes.double().mean((0, 1))  # [5, 5]
    assert (share - 0.2).abs().max() < 4.5 * (0.16 / numbers.numel()) ** 0.5
    with pytest.raises(UserError, match="there are 3125 strings, too few for the labels of 4000 classes"):
        string_labels(ys, 4000)


def test_the_probability_of_a_string_is_that_of_its_characters() -> None:
    m, tasks = net(labels="strings"), image_tasks(8)
    state = m.adapt(tasks.xs, tasks.ys, WAY)
    characters = m.parts(m.log_probs(m.next_outputs(state, tasks.xq)))  # [T, Q, 5, 5]
    strings = m.parts(state.codes).argmax(-1)  # [T, N, 5]
    logits = m.predict(state, tasks.xq)
    for t, q, n in ((0, 0, 0), (1, 3, 2)):
        expected = sum(characters[t, q, place, letter] for place, letter in enumerate(strings[t, n].tolist()))
        torch.testing.assert_close(logits[t, q, n], expected)
    assert outputs(m, image_tasks(8, way=4)).shape[-1] == 4, "any number of classes"


def test_accuracy_by_instance() -> None:
    ys = torch.tensor([[1, 0, 1, 1, 0], [2, 2, 2, 2, 2]])
    assert instance_numbers(ys).tolist() == [[0, 0, 1, 2, 1], [0, 1, 2, 3, 4]]
    right = torch.tensor([[1.0, 0, 1, 1, 0], [0, 1, 1, 1, 0]], dtype=torch.float64)
    expected = torch.tensor([[0.5, 0.5, 1, torch.nan], [0, 1, 1, 1]], dtype=torch.float64)
    torch.testing.assert_close(mean_by_instance(right, ys, 4), expected, equal_nan=True)


def test_the_limit_of_the_first_instance_is_reached_by_guessing_labels_not_yet_seen() -> None:
    for way, published in ((5, 45.7), (15, 22.1)):
        right = sum(1 / (way - k) for k in range(way)) / way
        assert first_instance_limit(way) == pytest.approx(100 * right)
        assert round(first_instance_limit(way), 1) == published


def test_the_label_that_is_seen_is_that_of_the_example_before() -> None:
    """A network that answers with the label it is shown: it would always be right if labels were not shifted."""
    m = net(memory=False, controller="feedforward", units=WAY)
    with torch.no_grad():
        for name, value in (("inputs", 0.0), ("labels", 9.0), ("outputs", 9.0)):
            weight = getattr(m.net, name).weight
            weight.copy_(value * torch.eye(*weight.shape))
    tasks = image_tasks(9, T=50, shot=4)
    with torch.no_grad():
        said, found = m.adapt(tasks.xs, tasks.ys, WAY).sequence.argmax(-1), m.further(tasks)
    assert torch.equal(said[:, 1:], tasks.ys[:, :-1])
    assert float(found["accuracy_instance_1"].mean()) < first_instance_limit(WAY)
    assert list(found) == [f"accuracy_instance_{i}" for i in (1, 2, 3, 4)], "no class has a fifth example"


def test_the_wrong_sizes_are_explained() -> None:
    for options, message in (
        ({"heads": 9}, "9 heads write to as many rows; got only 8"),
        ({"units": 0}, "units must be at least 1; got 0"),
        ({"decay": 1.0}, "decay must be from 0 to less than 1; got 1.0"),
        ({"strength": 0.0}, "strength must be greater than 0; got 0.0"),
    ):
        with pytest.raises(UserError, match=message):
            net(**options)
    m, tasks = net(memory=False), image_tasks()
    assert m.trace(tasks.xs, tasks.ys, WAY) == {}, "there is no memory"
