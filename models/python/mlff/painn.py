"""The student network: PaiNN, as a TorchScript-able module that sees a graph and nothing else.

K. T. Schütt, O. T. Unke, M. Gastegger, *Equivariant message passing for the prediction of tensorial
properties and molecular spectra*, ICML 2021, arXiv:2102.03150, equations (7) to (10).

Graph: ``element`` [num_nodes] index into ``elements``; edges sorted by center; ``center``, ``neighbor``
[num_edges] node indices; ``rij`` [num_edges, 3] = r_neighbor - r_center in Å, |rij| < cutoff.
State: ``x`` [nodes, 4, F]: row 0 is the scalar feature s, rows 1 to 3 are the x, y, z parts of v.

Where it departs from the paper, and why:

* Envelope 1 - 10 y^3 + 15 y^4 - 6 y^5 (y = d / cutoff; C2 at the cutoff) times the *filter*, bias included,
  instead of a cosine on the radial basis: energy and forces go to zero smoothly at the cutoff. Hence the
  filter is exactly linear in ``num_radial + 1`` functions of d: envelope * (1, sin(k pi d / cutoff) / d).
* The first interaction acts on v = 0 and on s that depends on the element alone, so its sum over neighbors is
  taken over moments per neighbor element, which have no channel index. Same function, far fewer operations.
* |Vv| is smoothed over ``norm_epsilon`` = 0.01 (sqrt(|Vv|^2 + epsilon)) where others take 1e-8: at Vv = 0 the norm has
  a cone, which dynamics crosses as if the forces jumped, so that energy drifts at any time step
  (doc/decisions/0007-smooth-norm.md).
* Universal ZBL repulsion inside a radius per pair of elements (``pair_energy``), so that dynamics never falls
  through the inner wall (Ziegler, Biersack, Littmark 1985). There the network sees no distance below
  ``inner_switch``: what it would make of distances that no training has is larger than any repulsion
  (doc/decisions/0010-inner-switch.md).
* Reference energies per element are added in double precision.

Precision: linear products run in the dtype of their weights, everything else (geometry, residual sums) in the
dtype of ``rij``, and atom energies are returned as float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["PaiNN", "SIZES"]

#: Named sizes: (num_channels F, num_interactions T, num_radial K).
SIZES: dict[str, tuple[int, int, int]] = {
    "large": (128, 3, 20),
    "medium": (64, 2, 12),
    "small": (32, 2, 10),
    "tiny": (16, 2, 8),
}

#: Under the square root of |Vv| in new students.
NORM_EPSILON = 1e-2

#: Å; the range in which distances are held back from the network of new students.
INNER_SWITCH = (0.5, 0.6)


def envelope(y: Tensor) -> Tensor:
    """1 - 10 y^3 + 15 y^4 - 6 y^5: one at 0, zero with two zero derivatives at 1."""
    return 1.0 - y * y * y * (10.0 - y * (15.0 - 6.0 * y))


def checked_inner_switch(values: Sequence[float], cutoff: float) -> tuple[float, float]:
    """First and last distance in Å; `ValueError` unless 0 <= first < last <= cutoff, or both are 0 (none)."""
    found = tuple(float(value) for value in values)
    if len(found) != 2 or (found != (0.0, 0.0) and not 0.0 <= found[0] < found[1] <= cutoff):
        raise ValueError(
            f"inner_switch: expected two distances, 0 <= first < last <= {cutoff:g}, or 0, 0; found {found}"
        )
    return found[0], found[1]


def held_back(d: Tensor, first: float, last: float) -> Tensor:
    """d above ``last``, (first + last) / 2 below ``first``, between them a way with two derivatives that fit.

    last + (last - first) (t^3 - t^4 / 2 - 1/2) with t = (d - first) / (last - first); its slope is 3 t^2 - 2 t^3.
    """
    t = ((d - first) / (last - first)).clamp(0.0, 1.0)
    return d.clamp(min=last) + (last - first) * (t * t * t * (1.0 - 0.5 * t) - 0.5)


def constants(values: list[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of the values, each exact; in TorchScript ``torch.tensor(values)`` rounds them to float32 first."""
    return torch.stack([torch.full([], value, dtype=dtype, device=device) for value in values])


class Linear(nn.Linear):
    """A linear map in the dtype of its weights, whatever dtype its input has; the result has the input's."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


class Interaction(nn.Module):
    """One message (eq. 7, 8) and one update (eq. 9, 10)."""

    __constants__ = ["num_channels", "norm_epsilon"]

    def __init__(self, num_channels: int, num_radial: int, norm_epsilon: float) -> None:
        super().__init__()
        F = num_channels
        self.num_channels = F
        self.norm_epsilon = norm_epsilon
        self.source = nn.Sequential(Linear(F, F), nn.SiLU(), Linear(F, 3 * F))  # phi = (s, vv, vs)
        self.filter = Linear(num_radial + 1, 3 * F, bias=False)  # w = (s, vv, vs); column 0 is the bias
        self.vector_u = Linear(F, F, bias=False)
        self.vector_v = Linear(F, F, bias=False)
        self.update = nn.Sequential(Linear(2 * F, F), nn.SiLU(), Linear(F, 3 * F))  # a = (ss, sv, vv)

    def message(
        self, x: Tensor, center: Tensor, neighbor: Tensor, u: Tensor, basis: Tensor, num_centers: int
    ) -> Tensor:
        """x + sum over neighbors of (phi_s w_s, phi_vv v w_vv + u phi_vs w_vs): [num_centers, 4, F].

        The rows (phi_s, phi_vs, phi_vv v) are made once a node, so that an edge only multiplies by its filter.
        """
        s, v = x.split([1, 3], dim=1)
        phi_s, phi_vv, phi_vs = self.source(s).split(self.num_channels, dim=2)
        narrow = self.filter.weight.dtype
        row_s = phi_s.to(narrow).index_select(0, neighbor)
        row_vs = phi_vs.to(narrow).index_select(0, neighbor)
        row_vv = (phi_vv * v).to(narrow).index_select(0, neighbor)
        w_s, w_vv, w_vs = self.filters(basis.to(narrow))
        message_s = (row_s * w_s).to(x.dtype)
        message_v = torch.addcmul(row_vv * w_vv, u.to(narrow).unsqueeze(2), row_vs * w_vs).to(x.dtype)
        s = s[:num_centers].index_add(0, center, message_s)
        v = v[:num_centers].index_add(0, center, message_v)
        return torch.cat([s, v], dim=1)

    def filters(self, basis: Tensor) -> list[Tensor]:
        """w_s, w_vv, w_vs, each [num_edges, 1, F]; apart, so that no edge-sized tensor is sliced."""
        w = self.filter.weight.split(self.num_channels, dim=0)
        return [torch.nn.functional.linear(basis, part).unsqueeze(1) for part in w]

    def first_message(
        self,
        embedding: Tensor,
        element: Tensor,
        center: Tensor,
        neighbor: Tensor,
        u: Tensor,
        basis: Tensor,
        num_centers: int,
    ) -> Tensor:
        """`message` for v = 0 and s = embedding[element]: sums over neighbors first, channels afterwards.

        moment[i, l, z, k] = sum over neighbors j of element z of (1, u)_l basis_k
        s_i += sum_zk moment[i, 0, z, k] w_s[k] phi_s[z]      v_i += sum_zk moment[i, 1:, z, k] w_vs[k] phi_vs[z]
        """
        F, num_elements, num_basis = self.num_channels, embedding.size(0), basis.size(1)
        directions = torch.cat([torch.ones_like(u[:, :1]), u], dim=1)
        per_edge = (directions.unsqueeze(2) * basis.unsqueeze(1)).flatten(1)
        row = center * num_elements + element.index_select(0, neighbor)
        moment = torch.zeros(num_centers * num_elements, 4 * num_basis, dtype=u.dtype, device=u.device)
        moment = moment.index_add(0, row, per_edge).view(num_centers, num_elements, 4, num_basis)
        moment = moment.transpose(1, 2).reshape(num_centers, 4, num_elements * num_basis)
        phi_s, _, phi_vs = self.source(embedding).split(F, dim=1)
        w_s, _, w_vs = self.filter.weight.t().split(F, dim=1)
        narrow = self.filter.weight.dtype
        map_s = (phi_s.to(narrow).unsqueeze(1) * w_s.unsqueeze(0)).reshape(num_elements * num_basis, F)
        map_v = (phi_vs.to(narrow).unsqueeze(1) * w_vs.unsqueeze(0)).reshape(num_elements * num_basis, F)
        moment_s, moment_v = moment.to(narrow).split([1, 3], dim=1)
        s = embedding.to(u.dtype).index_select(0, element[:num_centers]).unsqueeze(1)
        return torch.cat([s + (moment_s @ map_s).to(u.dtype), (moment_v @ map_v).to(u.dtype)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Update: s += a_ss + a_sv <Uv, Vv>, v += a_vv Uv with a = MLP(s, |Vv|)."""
        s, v = x.split([1, 3], dim=1)
        Uv, Vv = self.vector_u(v), self.vector_v(v)
        norm = torch.sqrt((Vv * Vv).sum(1, keepdim=True) + self.norm_epsilon)
        a_ss, a_sv, a_vv = self.update(torch.cat([s, norm], dim=2)).split(self.num_channels, dim=2)
        ds = a_ss + a_sv * (Uv * Vv).sum(1, keepdim=True)
        return x + torch.cat([ds, a_vv * Uv], dim=1)


class PaiNN(nn.Module):
    """The student. ``forward`` gives atom energies [num_nodes] (eV, float64) of a whole graph.

    An engine that exchanges rows between ranks calls the parts: `edge_basis`, `first_interaction`,
    `interaction` for k = 1 .. num_interactions - 1, `readout`, `pair_energy`. There the centers are the
    first ``num_centers`` nodes and ``x`` holds rows of all nodes.

    Parameters
    ----------
    elements, atomic_numbers
        chemical symbols in the order of the element index, and their atomic numbers
    num_channels, num_interactions, num_radial
        F, T and K; see `SIZES`
    cutoff
        Å
    reference_energies
        eV for each element, added to every atom of it
    zbl_radii
        Å for each element; the ZBL repulsion of a pair vanishes smoothly at the sum of its two radii
    norm_epsilon
        added to |Vv|^2 under the square root
    inner_switch
        Å, two distances; for the network, but not for the repulsion, all below the first are one distance half-way
        between them (`held_back`). (0, 0): the network sees distances as they are
    """

    __constants__ = ["num_interactions", "num_radial", "cutoff", "inner_switch", "zbl_weights", "zbl_decays",
                     "zbl_length", "coulomb"]  # fmt: skip

    # universal ZBL: screening sum_m weight_m exp(-decay_m d / a), a = length / (Zi^0.23 + Zj^0.23)
    zbl_weights = (0.18175, 0.50986, 0.28022, 0.02817)
    zbl_decays = (3.19980, 0.94229, 0.40290, 0.20162)
    zbl_length = 0.46850  # Å
    coulomb = 14.399645  # e^2 / (4 pi epsilon_0) in eV Å

    def __init__(
        self,
        elements: list[str],
        atomic_numbers: list[int],
        num_channels: int,
        num_interactions: int,
        num_radial: int,
        cutoff: float,
        reference_energies: list[float],
        zbl_radii: list[float],
        norm_epsilon: float = NORM_EPSILON,
        inner_switch: tuple[float, float] = INNER_SWITCH,
    ) -> None:
        super().__init__()
        lengths = {len(elements), len(atomic_numbers), len(reference_energies), len(zbl_radii)}
        if lengths != {len(elements)} or not elements:
            raise ValueError(
                "expected one atomic number, reference energy and ZBL radius for each element, found "
                f"{len(elements)} elements, {len(atomic_numbers)} numbers, {len(reference_energies)} energies, "
                f"{len(zbl_radii)} radii"
            )
        self.elements = elements
        self.atomic_numbers = [float(z) for z in atomic_numbers]
        self.num_channels = num_channels
        self.num_interactions = num_interactions
        self.num_radial = num_radial
        self.cutoff = float(cutoff)
        self.reference_energies = [float(e) for e in reference_energies]
        self.zbl_radii = [float(r) for r in zbl_radii]
        self.norm_epsilon = float(norm_epsilon)
        self.inner_switch = checked_inner_switch(inner_switch, self.cutoff)

        self.embedding = nn.Parameter(torch.randn(len(elements), num_channels))
        self.interactions = nn.ModuleList(
            Interaction(num_channels, num_radial, self.norm_epsilon) for _ in range(num_interactions)
        )
        self.energy = nn.Sequential(Linear(num_channels, num_channels // 2), nn.SiLU(), Linear(num_channels // 2, 1))

    @torch.jit.export
    def edge_basis(self, rij: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors u [num_edges, 3] and envelope * (1, sin(k pi d / cutoff) / d) [num_edges, K + 1].

        The second of distances d as the network sees them (`inner_switch`).
        """
        d = torch.linalg.vector_norm(rij, dim=1, keepdim=True)
        u = rij * d.reciprocal()
        if self.inner_switch[1] > 0.0:
            d = held_back(d, self.inner_switch[0], self.inner_switch[1])
        k = torch.arange(1, self.num_radial + 1, dtype=rij.dtype, device=rij.device)
        fc = envelope(d / self.cutoff)
        return u, torch.cat([fc, torch.sin(d * (k * (math.pi / self.cutoff))) * (fc * d.reciprocal())], dim=1)

    @torch.jit.export
    def first_interaction(
        self, element: Tensor, center: Tensor, neighbor: Tensor, u: Tensor, basis: Tensor, num_centers: int
    ) -> Tensor:
        """x [num_centers, 4, F] after the first interaction, which needs no row of any neighbor."""
        x = torch.empty(0)
        # torch's stubs know the elements of a list as plain modules; TorchScript wants nothing after such a comment
        for k, layer in enumerate(self.interactions):
            if k == 0:
                x = layer(layer.first_message(self.embedding, element, center, neighbor, u, basis, num_centers))  # type: ignore[operator]
        return x

    @torch.jit.export
    def interaction(
        self, k: int, x: Tensor, center: Tensor, neighbor: Tensor, u: Tensor, basis: Tensor, num_centers: int
    ) -> Tensor:
        """x [num_centers, 4, F] after interaction k >= 1, from x [num_nodes, 4, F] before it."""
        for i, layer in enumerate(self.interactions):
            if i == k:
                x = layer(layer.message(x, center, neighbor, u, basis, num_centers))  # type: ignore[operator]
        return x

    @torch.jit.export
    def readout(self, x: Tensor, element: Tensor) -> Tensor:
        """Atom energies [num_centers] (eV, float64) from final features, with the reference energies."""
        reference = constants(self.reference_energies, torch.float64, x.device)
        return self.energy(x[:, 0]).squeeze(1).to(torch.float64) + reference.index_select(0, element[: x.size(0)])

    @torch.jit.export
    def pair_energy(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor, num_centers: int) -> Tensor:
        """ZBL energy [num_centers] (eV, float64); half of each pair's goes to either atom."""
        d = torch.linalg.vector_norm(rij, dim=1)
        number = constants(self.atomic_numbers, rij.dtype, rij.device)
        radius = constants(self.zbl_radii, rij.dtype, rij.device)
        zi, zj = element.index_select(0, center), element.index_select(0, neighbor)
        charge = number.pow(0.23)
        x = d * ((charge.index_select(0, zi) + charge.index_select(0, zj)) / self.zbl_length)
        screening = torch.zeros_like(d)
        for weight, decay in zip(self.zbl_weights, self.zbl_decays, strict=False):
            screening = screening + weight * torch.exp(-decay * x)
        y = (d / (radius.index_select(0, zi) + radius.index_select(0, zj))).clamp(max=1.0)
        product = number.index_select(0, zi) * number.index_select(0, zj)
        pair = (0.5 * self.coulomb) * product / d * screening * envelope(y)
        return torch.zeros(num_centers, dtype=torch.float64, device=d.device).index_add(
            0, center, pair.to(torch.float64)
        )

    def forward(self, element: Tensor, center: Tensor, neighbor: Tensor, rij: Tensor) -> Tensor:
        """Atom energies [num_nodes] (eV, float64); every node is a center."""
        num_nodes = element.size(0)
        u, basis = self.edge_basis(rij)
        x = self.first_interaction(element, center, neighbor, u, basis, num_nodes)
        for k in range(1, self.num_interactions):
            x = self.interaction(k, x, center, neighbor, u, basis, num_nodes)
        return self.readout(x, element) + self.pair_energy(element, center, neighbor, rij, num_nodes)
