"""Maths of the student: each function against its formula and finite differences, the whole against the paper."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from mlff.model_file import load_model
from mlff.painn import SIZES, Interaction, PaiNN, envelope, held_back
from torch import Tensor

POTENTIALS = Path(__file__).parents[2] / "potentials"
CUTOFF = 4.0


@pytest.fixture(autouse=True)
def _double_precision() -> object:
    torch.manual_seed(5)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def make_student(num_interactions: int = 3, gain: float = 1.0, zbl_radii: tuple[float, float] = (0.31, 0.66)) -> PaiNN:
    return scaled(PaiNN(["H", "O"], [1, 8], 6, num_interactions, 5, CUTOFF, [-0.6, -0.9], list(zbl_radii)), gain)


def scaled(student: PaiNN, gain: float) -> PaiNN:
    """Random weights that bend every SiLU, biases too; smaller filters, since messages add up."""
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            inputs = parameter.size(-1) if parameter.dim() > 1 else 4
            here = 0.3 * gain if "filter" in name else gain
            parameter.copy_(torch.randn(parameter.shape) * here / math.sqrt(inputs))
    return student


def graph_of(element: list[int], x: Tensor, cutoff: float = CUTOFF) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """element, center, neighbor, rij of isolated atoms."""
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j and float((x[j] - x[i]).norm()) < cutoff]
    center, neighbor = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
    return torch.tensor(element), center, neighbor, x[neighbor] - x[center]


def molecule() -> tuple[list[int], Tensor]:
    x = [[0.0, 0.0, 0.0], [1.1, 0.3, -0.2], [-0.4, 1.2, 0.5], [0.2, -0.9, 1.6], [2.5, 1.5, 1.0], [-1.5, -1.8, 0.3]]
    return [0, 1, 0, 1, 1, 0], torch.tensor(x)


# ---------------------------------------------------------------- functions


def test_envelope_and_its_derivatives_at_both_ends() -> None:
    y = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    value = envelope(y)
    (first,) = torch.autograd.grad(value.sum(), y, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), y)
    assert value.tolist() == pytest.approx([1.0, 0.5, 0.0], abs=1e-15)
    assert first.tolist() == pytest.approx([0.0, -1.875, 0.0], abs=1e-14)  # -30 y^2 (1 - y)^2
    assert second.tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-13)


def test_edge_basis_is_the_formula() -> None:
    student = make_student()
    rij = torch.randn(7, 3)
    rij[:4] *= torch.tensor([0.3, 0.53, 0.57, 0.65])[:, None] / rij[:4].norm(dim=1, keepdim=True)
    u, basis = student.edge_basis(rij)
    assert basis.shape == (7, 6)
    for e in range(7):
        d = math.dist((0, 0, 0), rij[e].tolist())
        assert u[e].tolist() == pytest.approx([c / d for c in rij[e].tolist()], rel=1e-14)
        t = min(1.0, max(0.0, (d - 0.5) / 0.1))
        d = max(d, 0.6) + 0.1 * (t**3 - t**4 / 2 - 0.5)
        y = d / CUTOFF
        fc = 1 - 10 * y**3 + 15 * y**4 - 6 * y**5
        assert basis[e, 0].item() == pytest.approx(fc, rel=1e-12)
        for k in range(1, 6):
            radial = math.sin(k * math.pi * d / CUTOFF) / d
            assert basis[e, k].item() == pytest.approx(fc * radial, rel=1e-11, abs=1e-14)


def test_edge_basis_against_finite_differences() -> None:
    rij = torch.randn(4, 3)
    rij[:3] *= torch.tensor([0.3, 0.53, 0.57])[:, None] / rij[:3].norm(dim=1, keepdim=True)
    assert torch.autograd.gradcheck(make_student().edge_basis, (rij.requires_grad_(),))


def test_distances_are_held_back_with_two_derivatives_that_fit() -> None:
    def derivatives(d: float) -> list[float]:
        x = torch.tensor([d], requires_grad=True)
        value = held_back(x, 0.5, 0.7).sum()
        (first,) = torch.autograd.grad(value, x, create_graph=True)
        second = torch.autograd.grad(first.sum(), x)[0] if first.requires_grad else torch.zeros(1)
        return [value.item(), first.item(), second.item()]

    h = 1e-7  # the third derivative is some 6 / 0.2^2 = 150 Å^-2
    for outside, inside, expected in ((0.5 - h, 0.5 + h, [0.6, 0.0, 0.0]), (0.7 + h, 0.7 - h, [0.7, 1.0, 0.0])):
        for d in (outside, inside):
            assert derivatives(d) == pytest.approx(expected, abs=1e-4)
    assert derivatives(0.1)[:2] == pytest.approx([0.6, 0.0], abs=1e-15)
    assert derivatives(3.0)[:2] == pytest.approx([3.0, 1.0], abs=1e-15)


@pytest.mark.parametrize("name", ["water-small", "water-medium"])
def test_shipped_students_have_walls(name: str) -> None:
    """Below what their training had, energy rises all the way: of pairs, and where an atom is put onto a molecule."""
    student = load_model(POTENTIALS / f"{name}.pt")[0].double()
    angle = math.radians(104.5)
    molecule = torch.tensor([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [0.96 * math.cos(angle), 0.96 * math.sin(angle), 0.0]])
    away = torch.tensor([0.1, -0.5, 0.8])
    away /= away.norm()
    atom = torch.zeros(1, 3)
    hosts = (([0], atom), ([1], atom), ([1, 0, 0], molecule), ([0, 0, 1], molecule.flip(0)))
    for (kinds, x), added in itertools.product(hosts, (0, 1)):
        energies = []
        for d in (0.5, 0.4, 0.3, 0.2, 0.1, 0.05):  # from the first atom
            graph = graph_of([*kinds, added], torch.cat([x, x[:1] + d * away]), student.cutoff)
            with torch.no_grad():
                energies.append(student(*graph).sum().item())
        assert all(b > a + 1.0 for a, b in itertools.pairwise(energies)), (kinds, added, energies)


# ---------------------------------------------------------------- ZBL


def zbl(zi: int, zj: int, d: float) -> float:
    """Universal ZBL of a pair (eV), with the constants of LAMMPS's pair_zbl_const.h, without a switch."""
    a = 0.46850 / (zi**0.23 + zj**0.23)
    terms = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
    return 14.399645 * zi * zj / d * sum(c * math.exp(-b * d / a) for c, b in terms)


def pair_energy(student: PaiNN, element: list[int], d: float) -> Tensor:
    return student.pair_energy(*graph_of(element, torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.6 * d, 0.8 * d]])), 2)


@pytest.mark.parametrize("element", [[0, 0], [0, 1], [1, 1]])
@pytest.mark.parametrize("d", [0.1, 0.3, 0.5])
def test_zbl_is_the_universal_potential_times_the_envelope(element: list[int], d: float) -> None:
    student = make_student()
    reach = sum(student.zbl_radii[z] for z in element)
    energy = pair_energy(student, element, d)
    y = d / reach
    expected = zbl(*(int(student.atomic_numbers[z]) for z in element), d) * (1 - 10 * y**3 + 15 * y**4 - 6 * y**5)
    assert energy.sum().item() == pytest.approx(expected, rel=1e-13)
    assert energy[0].item() == energy[1].item()  # half to each


def test_zbl_near_the_nuclei_is_the_coulomb_repulsion() -> None:
    # Where a pair is close, nuclei are bare: e^2/(4 pi epsilon_0) Zi Zj / d, to first order in d / a. With the sum of
    # the weights 1 and of weight times decay s = 1.18: at d = 1e-4 Å and a = 0.1776 Å (O-O) the rest is 7e-4.
    energy = pair_energy(make_student(), [1, 1], 1e-4).sum().item()
    assert energy == pytest.approx(14.399645 * 64 / 1e-4, rel=1e-3)


def test_zbl_ends_smoothly_at_the_sum_of_the_radii() -> None:
    student = make_student()
    reach = 0.31 + 0.66

    def derivatives(d: float) -> list[float]:
        x = torch.tensor([d], requires_grad=True)
        graph = torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([1])
        value = student.pair_energy(*graph, torch.stack([x, 0 * x, 0 * x], dim=1), 1).sum()
        (first,) = torch.autograd.grad(value, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        return [value.item(), first.item(), second.item()]

    # the envelope is 10 (delta / reach)^3 at its end: energy, force, curvature fall by 8, 4, 2 when delta is halved
    near, nearer = derivatives(reach - 2e-3), derivatives(reach - 1e-3)
    assert [a / b for a, b in zip(near, nearer, strict=True)] == pytest.approx([8.0, 4.0, 2.0], rel=0.03)
    assert derivatives(reach + 1e-9) == [0.0, 0.0, 0.0]
    assert derivatives(CUTOFF - 0.1) == [0.0, 0.0, 0.0]


# ---------------------------------------------------------------- the network


def test_first_interaction_equals_the_generic_one_without_vectors() -> None:
    student = make_student(gain=1.3).requires_grad_(False)
    element, center, neighbor, rij = graph_of(*molecule())
    u, basis = student.edge_basis(rij)
    x = torch.cat([student.embedding[element].unsqueeze(1), torch.zeros(len(element), 3, 6)], dim=1)
    expected = student.interaction(0, x, center, neighbor, u, basis, len(element))
    for num_centers in (len(element), 4):  # also where the last nodes are no centers
        some = center < num_centers
        found = student.first_interaction(element, center[some], neighbor[some], u[some], basis[some], num_centers)
        assert float((found - expected[:num_centers]).abs().max()) < 1e-12 * float(expected.abs().max())


def test_forces_against_finite_differences() -> None:
    student = make_student(gain=1.2)
    element, x = molecule()
    graph = graph_of(element, x)

    def energy(x: Tensor) -> Tensor:
        return student(graph[0], graph[1], graph[2], x[graph[2]] - x[graph[1]]).sum()

    assert torch.autograd.gradcheck(energy, (x.clone().requires_grad_(),), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_features_turn_with_the_graph(mirror: float) -> None:
    """s stays, v turns; under inversion and reflection too."""
    student = make_student(gain=1.2).requires_grad_(False)
    element, center, neighbor, rij = graph_of(*molecule())
    turn = mirror * torch.linalg.qr(torch.randn(3, 3))[0]

    def features(rij: Tensor) -> list[Tensor]:
        u, basis = student.edge_basis(rij)
        x = [student.first_interaction(element, center, neighbor, u, basis, len(element))]
        for k in (1, 2):
            x.append(student.interaction(k, x[-1], center, neighbor, u, basis, len(element)))
        return x

    for x, turned in zip(features(rij), features(rij @ turn.T), strict=True):
        size = float(x.abs().max())
        assert float((turned[:, 0] - x[:, 0]).abs().max()) < 1e-12 * size
        assert float((turned[:, 1:] - torch.einsum("ab,nbf->naf", turn, x[:, 1:])).abs().max()) < 1e-12 * size
        assert float(x[:, 1:].abs().max()) > 1e-3 * size  # there is something to turn


def test_energy_is_smooth_at_the_cutoff() -> None:
    student = make_student(gain=1.2)

    def energy_and_force(delta: float) -> tuple[float, float]:
        x = torch.tensor([[0.0, 0.0, 0.0], [1.1, 0.3, -0.2], [-(CUTOFF - delta), 0.0, 0.0]], requires_grad=True)
        value = student(*graph_of([0, 1, 0], x)).sum()
        return value.item(), torch.autograd.grad(value, x)[0][2, 0].item()

    apart, _ = energy_and_force(-0.01)
    (near, force), (nearer, half) = energy_and_force(0.02), energy_and_force(0.01)
    assert abs(nearer - apart) > 1e-11  # the pair is felt, far above rounding
    assert (near - apart) / (nearer - apart) == pytest.approx(8.0, rel=0.05)
    assert force / half == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_scripted_equals_eager(dtype: torch.dtype) -> None:
    torch.set_default_dtype(torch.float32)  # as in real life: a constant that TorchScript narrows to it is seen
    student = make_student(gain=1.2, zbl_radii=(0.61, 0.77)).to(dtype)  # so that bonds feel ZBL
    element, center, neighbor, rij = graph_of(*molecule())
    scripted = torch.jit.script(student)
    results = []
    for model in (student, scripted, scripted, scripted):  # the third call is the optimised one
        r = rij.to(dtype).requires_grad_()
        energy = model(element, center, neighbor, r)
        assert energy.dtype == torch.float64
        results.append((energy.detach(), torch.autograd.grad(energy.sum(), r)[0]))
    # the same operations, fused or in another order: a rounding each in a chain of some 16 T = 48 sums, up to the
    # reference energies, which are double in both
    tolerance = 100 * torch.finfo(dtype).eps
    for energy, gradient in results[1:]:
        assert float((energy - results[0][0]).abs().max()) < tolerance * float(results[0][0].abs().max())
        assert float((gradient - results[0][1]).abs().max()) < tolerance * float(results[0][1].abs().max())


def test_weights_may_be_narrower_than_the_geometry() -> None:
    """Linear products in the dtype of the weights, the rest in that of rij."""
    student = make_student().to(torch.float32)
    element, center, neighbor, rij = graph_of(*molecule())
    u, basis = student.edge_basis(rij)
    x = student.first_interaction(element, center, neighbor, u, basis, len(element))
    x = student.interaction(1, x, center, neighbor, u, basis, len(element))
    assert u.dtype == basis.dtype == x.dtype == torch.float64


def test_lone_atom_and_no_atoms() -> None:
    student = make_student()
    nothing = torch.zeros(0, dtype=torch.long)
    empty = torch.zeros(0, 3)
    alone = student(torch.tensor([1, 0]), nothing, nothing, empty)
    assert alone.shape == (2,) and bool(torch.isfinite(alone).all())
    assert student(nothing, nothing, nothing, empty).shape == (0,)
    with torch.no_grad():  # without a readout, the reference energies to the last digit
        for parameter in student.energy[2].parameters():
            parameter.zero_()
    assert student(torch.tensor([1, 0]), nothing, nothing, empty).tolist() == [-0.9, -0.6]


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 elements, 1 numbers"):
        PaiNN(["H", "O"], [1], 6, 1, 5, CUTOFF, [0.0, 0.0], [0.3, 0.6])


def test_named_sizes() -> None:
    counts = {
        name: sum(p.numel() for p in PaiNN(["H", "O"], [1, 8], *size, 5.0, [0, 0], [0.3, 0.6]).parameters())
        for name, size in SIZES.items()
    }
    assert counts["large"] == pytest.approx(590e3, rel=0.04)
    assert counts["medium"] == pytest.approx(100e3, rel=0.04)
    assert counts["small"] == pytest.approx(25e3, rel=0.04)


# ---------------------------------------------------------------- the paper


def silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def linear(weight: Tensor, bias: Tensor | None, x: list[float]) -> list[float]:
    product = [sum(w * value for w, value in zip(row, x, strict=True)) for row in weight.tolist()]
    return product if bias is None else [y + b for y, b in zip(product, bias.tolist(), strict=True)]


def mlp(layers: torch.nn.Sequential, x: list[float]) -> list[float]:
    hidden = [silu(value) for value in linear(layers[0].weight, layers[0].bias, x)]
    return linear(layers[2].weight, layers[2].bias, hidden)


def textbook_interaction(
    layer: Interaction, s: list[list[float]], v: list[list[list[float]]], edges: list[tuple[int, int, list[float]]]
) -> tuple[list[list[float]], list[list[list[float]]]]:
    """Equations (7) to (10) of arXiv:2102.03150, one number at a time; v[i][f] is a vector of three."""
    F, K = len(s[0]), layer.filter.weight.size(1) - 1
    channels, axes = range(F), range(3)
    phi = [mlp(layer.source, s[j]) for j in range(len(s))]
    new_s, new_v = [list(row) for row in s], [[list(vector) for vector in row] for row in v]

    for i, j, r in edges:  # message
        d = math.sqrt(sum(c * c for c in r))
        y = d / CUTOFF
        radial = [math.sin(k * math.pi * d / CUTOFF) / d for k in range(1, K + 1)]
        fc = 1 - 10 * y**3 + 15 * y**4 - 6 * y**5
        # the filter's bias is its column 0; the envelope multiplies the whole filter
        w = [fc * value for value in linear(layer.filter.weight[:, 1:], layer.filter.weight[:, 0], radial)]
        for f in channels:
            new_s[i][f] += phi[j][f] * w[f]
            for a in axes:
                new_v[i][f][a] += v[j][f][a] * phi[j][F + f] * w[F + f]
                new_v[i][f][a] += phi[j][2 * F + f] * w[2 * F + f] * r[a] / d

    for i in range(len(s)):  # update
        U = [linear(layer.vector_u.weight, None, [new_v[i][f][a] for f in channels]) for a in axes]
        V = [linear(layer.vector_v.weight, None, [new_v[i][f][a] for f in channels]) for a in axes]
        norm = [math.sqrt(sum(V[a][f] ** 2 for a in axes) + layer.norm_epsilon) for f in channels]
        factor = mlp(layer.update, new_s[i] + norm)
        a_ss, a_sv, a_vv = factor[:F], factor[F : 2 * F], factor[2 * F :]
        for f in channels:
            new_s[i][f] += a_ss[f] + a_sv[f] * sum(U[a][f] * V[a][f] for a in axes)
            for a in axes:
                new_v[i][f][a] += a_vv[f] * U[a][f]
    return new_s, new_v


@pytest.mark.parametrize("num_interactions", [1, 2, 3])
def test_student_is_the_textbook(num_interactions: int) -> None:
    student = make_student(num_interactions, gain=1.2, zbl_radii=(0.5, 0.9))
    element, x = molecule()
    edges = [
        (i, j, [b - a for a, b in zip(x[i].tolist(), x[j].tolist(), strict=True)])
        for i, j in itertools.permutations(range(len(x)), 2)
        if math.dist(x[i].tolist(), x[j].tolist()) < CUTOFF
    ]
    s = [student.embedding[z].tolist() for z in element]
    v = [[[0.0, 0.0, 0.0] for _ in row] for row in s]
    for layer in student.interactions:
        s, v = textbook_interaction(layer, s, v, edges)

    expected = []
    for i, z in enumerate(element):
        energy = mlp(student.energy, s[i])[0] + [-0.6, -0.9][z]
        for center, j, r in edges:
            d = math.hypot(*r)
            y = d / (student.zbl_radii[z] + student.zbl_radii[element[j]])
            if center == i and y < 1:
                energy += 0.5 * zbl([1, 8][z], [1, 8][element[j]], d) * (1 - 10 * y**3 + 15 * y**4 - 6 * y**5)
        expected.append(energy)

    found = student(*graph_of(element, x)).tolist()
    assert max(abs(energy) for energy in expected) > 0.1
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)
