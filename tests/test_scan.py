"""Claims about loops over time: every way gives what a plain loop gives."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from kshot.errors import UserError
from kshot.functional import scan as scan_module
from kshot.functional.scan import Scan, scan
from support import noise

WARNINGS = ["`torch.jit.script_method` is deprecated:DeprecationWarning", "The .grad attribute of a Tensor:UserWarning"]


def its_own_warning(test: Callable[..., None]) -> Callable[..., None]:
    """Warnings that torch's compiler causes and hides."""
    for text in WARNINGS:
        test = pytest.mark.filterwarnings(f"ignore:{text}")(test)
    return test


compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="needs a C++ compiler")

L, B, D, H, SLOTS = 7, 3, 4, 5, 6
CELL = nn.LSTMCell(D, H, device="meta", dtype=torch.float64)
Args = tuple[Any, Any, Any]


def lstm(state: tuple[Tensor, Tensor], x: Tensor, p: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """One step of an LSTM: its output is its hidden state h."""
    h, c = functional_call(CELL, p, (x, state))
    return (h, c), h


def memory(state: dict[str, Tensor], x: dict[str, Tensor], p: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """One step of a memory addressed by content: read by cosine, then write the outer product of weights and value."""
    M, key = state["M"], x["x"] @ p["key"]  # [B, SLOTS, H], [B, H]
    near = torch.cosine_similarity(M, key[:, None], -1).softmax(-1)  # [B, SLOTS]
    read = torch.einsum("bs,bsh->bh", near, M)
    used = 0.9 * state["used"] + near
    weights = (-used).softmax(-1) * x["gate"]
    M = M + weights[..., None] * torch.tanh(x["x"] @ p["value"])[:, None]
    return {"M": M, "used": used}, read


def arguments(step: Callable[..., Any], steps: int = L) -> Args:
    """First state, inputs and parameters of a step, all of which can have gradients."""
    if step is lstm:
        params = {n: noise(i, *p.shape) / 3 for i, (n, p) in enumerate(CELL.named_parameters())}
        return (noise(10, B, H), noise(11, B, H)), noise(12, steps, B, D), params
    state = {"M": noise(13, B, SLOTS, H), "used": noise(14, B, SLOTS)}
    xs = {"x": noise(15, steps, B, D), "gate": noise(16, steps, B, 1).sigmoid()}
    return state, xs, {"key": noise(17, D, H), "value": noise(18, D, H)}


def plainly(step: Callable[..., Any], state: Any, xs: Any, params: Any) -> tuple[Any, Tensor]:
    """The loop as everybody would write it."""
    ys = []
    for t in range(len(pytree.tree_leaves(xs)[0])):
        state, y = step(state, pytree.tree_map(lambda x, t=t: x[t], xs), params)
        ys.append(y)
    return state, torch.stack(ys)


def values_and_gradients(run: Callable[..., Any], args: Args, state_too: bool = True) -> list[Tensor]:
    """Final state, ys, and gradients of a scalar of them by every argument."""
    leaves, tree = pytree.tree_flatten(args)
    first = len(pytree.tree_leaves(args[0]))
    leaves = [x.detach().clone().requires_grad_(state_too or i >= first) for i, x in enumerate(leaves)]
    found = pytree.tree_leaves(run(*pytree.tree_unflatten(leaves, tree)))
    total = sum((y * noise(i, *y.shape)).sum() for i, y in enumerate(found))
    return [*found, *torch.autograd.grad(total, [x for x in leaves if x.requires_grad])]


def same(a: list[Tensor], b: list[Tensor], rtol: float = 1e-12) -> None:
    """Equal to rounding."""
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=rtol, atol=rtol)


STEPS = pytest.mark.parametrize("step", [lstm, memory])


@STEPS
@pytest.mark.parametrize("remat", [0, 1, 3, L, 20, "sqrt"])
def test_it_is_the_plain_loop(step: Callable[..., Any], remat: Any) -> None:
    args = arguments(step)
    found = values_and_gradients(Scan(step, remat=remat), args)
    same(found, values_and_gradients(lambda *a: plainly(step, *a), args))


@compiler
@its_own_warning
@STEPS
def test_compiled_steps_are_the_plain_loop(step: Callable[..., Any]) -> None:
    """Also with a first state that needs no gradient, without gradients, and with other lengths: one program each.

    A sequence that was the second axis in memory has other strides for every length.
    """
    torch._dynamo.reset()
    plain = Scan(step)
    fast = Scan(step, way="compiled")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for state_too, steps, second in ((True, L, False), (False, L, False), (False, 3, False), (False, 4, True)):
            start, xs, params = arguments(step, steps)
            if second:
                xs = pytree.tree_map(lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), xs)
            args = (start, xs, params)
            expected = values_and_gradients(plain, args, state_too)
            same(values_and_gradients(fast, args, state_too), expected, rtol=1e-10)
    with torch.no_grad():
        same(*(pytree.tree_leaves(f(*arguments(step))) for f in (fast, plain)), rtol=1e-10)


@compiler
@its_own_warning
def test_compiled_steps_can_be_recomputed() -> None:
    torch._dynamo.reset()
    args = arguments(memory)
    found = values_and_gradients(Scan(memory, way="compiled", remat="sqrt"), args)
    same(found, values_and_gradients(lambda *a: scan(memory, *a), args), rtol=1e-10)


class Peak(TorchDispatchMode):
    """Bytes of the tensors that live at a time, of those made while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[int] = set()
        self.now = self.most = 0

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = f(*args, **(kwargs or {}))
        for x in pytree.tree_leaves(out):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in self.known:
                storage = x.untyped_storage()
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
        return out

    def gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def test_recomputed_loops_need_flat_memory() -> None:
    """Without the inputs, four times the length needs four times the memory; recomputed, about twice."""

    def most(remat: Any, steps: int) -> int:
        state, xs, params = arguments(memory, steps)
        params = {n: p.requires_grad_() for n, p in params.items()}
        with Peak() as peak:
            final, _ = Scan(lambda s, x, p: (memory(s, x, p)[0], x["gate"][:1]), remat=remat)(state, xs, params)
            final["M"].sum().backward()
        return peak.most

    plain, flat = ([most(remat, steps) for steps in (16, 64, 256)] for remat in (0, "sqrt"))
    assert plain[2] > 3.8 * plain[1] > 3.8**2 * plain[0]
    assert flat[2] < 2.5 * flat[1]
    assert 6 * flat[2] < plain[2]


@STEPS
def test_it_can_be_batched_and_differentiated_by_torch_func(step: Callable[..., Any]) -> None:
    args = [arguments(step), pytree.tree_map(lambda x: x.flip(-1) / 2, arguments(step))]
    stacked = pytree.tree_map(lambda *x: torch.stack(x), *args)

    def value(params: Any, state: Any, xs: Any) -> Tensor:
        return scan(step, state, xs, params)[1].square().sum()

    found = torch.vmap(torch.func.grad(value))(stacked[2], stacked[0], stacked[1])
    for i, (state, xs, params) in enumerate(args):
        leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
        expected = torch.autograd.grad(plainly(step, state, xs, leaves)[1].square().sum(), list(leaves.values()))
        same([g[i] for g in found.values()], list(expected))


@pytest.mark.parametrize("remat", [0, 3])
def test_gradients_can_be_differentiated_again(remat: int) -> None:
    state, xs, params = arguments(memory)

    def second(run: Callable[..., Any]) -> list[Tensor]:
        leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
        value = run(state, xs, leaves)[1].square().sum()
        first = torch.autograd.grad(value, list(leaves.values()), create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), list(leaves.values())))

    same(second(Scan(memory, remat=remat)), second(lambda *a: plainly(memory, *a)), rtol=1e-10)


def test_outputs_are_trees() -> None:
    state, ys = scan(lambda s, x: (s + 1, {"t": s, "x": (x,), "none": ()}), torch.tensor(0), torch.arange(4.0)[:, None])
    assert state == 4
    assert ys["t"].tolist() == [0, 1, 2, 3]
    assert ys["x"][0].shape == (4, 1)
    assert ys["none"] == ()


@pytest.mark.parametrize(
    ("xs", "shapes"),
    [
        ({"a": torch.zeros(3, 2), "b": torch.zeros(4)}, r"\(3, 2\), \(4,\)"),
        ((torch.zeros(3), torch.zeros(())), r"\(3,\), \(\)"),
        (torch.zeros(0, 2), r"\(0, 2\)"),
        ((), r"\(none\)"),
    ],
)
def test_lengths_are_checked(xs: Any, shapes: str) -> None:
    with pytest.raises(UserError, match=rf"one entry for each of L > 0 steps; got the shapes {shapes}"):
        scan(lambda s, x: (s, x), torch.zeros(()), xs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": "fast"}, "way must be eager, compiled or graphed; got 'fast'"),
        ({"remat": -1}, "remat must be a number of steps, 0 or 'sqrt'; got -1"),
        ({"remat": "root"}, "got 'root'"),
        ({"remat": 2, "way": "graphed"}, "remat=2 does not go with way='graphed'"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Scan(lstm, **options)


def test_a_state_of_another_form_is_refused() -> None:
    with pytest.raises(UserError, match="a state of the same form"):
        scan(lambda s, x: ((s, s), x), torch.zeros(()), torch.zeros(3))


def test_graphs_need_a_gpu() -> None:
    with pytest.raises(UserError, match="needs every tensor on a GPU; got some on cpu"):
        Scan(lstm, way="graphed")(*arguments(lstm))


def test_graphs_are_recorded_once_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recorder gets and what is made of its results, with a recorder that records nothing."""
    recorded: list[tuple[Tensor, ...]] = []

    def recorder(f: Callable[..., tuple[Tensor, ...]], places: tuple[Tensor, ...], **_: bool) -> Callable[..., Any]:
        f(*places)
        recorded.append(places)
        return f

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", recorder)
    monkeypatch.setattr(scan_module, "check_devices", lambda leaves: None)
    graphed = Scan(memory, way="graphed")
    for steps, state_too, count in ((L, True, 1), (L, True, 1), (3, True, 2), (3, False, 3)):
        args = arguments(memory, steps)
        expected = values_and_gradients(lambda *a: scan(memory, *a), args, state_too)
        same(values_and_gradients(graphed, args, state_too), expected)
        assert len(recorded) == count
    assert [x.requires_grad for x in recorded[2]] == [False] * 2 + [True] * 4


@pytest.mark.parametrize(("steps", "parts"), [(1, 0), (2, 0), (3, 2), (9, 3), (10, 3), (17, 4)])
def test_the_root_is_rounded_up(steps: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what would be one part is not recomputed."""
    calls: list[int] = []

    def counting(f: Callable[..., Any], step: object, state: object, xs: Tensor, **_: object) -> Any:
        calls.append(len(xs))
        return f(step, state, xs)

    monkeypatch.setattr(scan_module, "checkpoint", counting)
    scan(lambda s, x: (s * x, ()), torch.ones(2), torch.ones(steps, 2), remat="sqrt")
    assert len(calls) == parts
    assert sum(calls) in (0, steps)
