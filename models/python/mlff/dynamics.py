"""Molecular dynamics of many small replicas side by side, in PyTorch, with a student or the teacher as the potential.

Made for labelling and exploring, where LAMMPS would wait for launches: all replicas are one graph, neighbors are found
by brute force at every step in static shapes, and on a GPU the whole step (neighbors, network, gradient, integrator,
thermostats) is one CUDA graph.

Units: Å, fs, eV, atomic mass units, K; virials in eV, pressures in eV/Å³.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .data import Graph, Potential, energy_forces_virial, find_pairs, image_shifts, write_atomically

__all__ = ["BOLTZMANN", "Dynamics", "GPA", "Record", "drift", "relax", "water_box", "water_molecule"]

BOLTZMANN = 8.617333262e-5  # eV/K
ACCELERATION = 9.648533212e-3  # (eV/Å) / amu in Å/fs²
GPA = 160.2176634  # eV/Å³ in GPa


class ResidentConstants(TorchFunctionMode):
    """``torch.tensor(numbers, device=...)`` inside a network gives one kept tensor instead of a new copy each call.

    A copy from host memory cannot be captured in a CUDA graph, and it stalls the stream outside one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Any, Tensor] = {}

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.tensor or not isinstance(args[0], (list, tuple)):
            return func(*args, **kwargs)
        name = (tuple(args[0]), *sorted((k, str(v)) for k, v in kwargs.items()))
        if name not in self.kept:
            self.kept[name] = func(*args, **kwargs)
        return self.kept[name]


@dataclass
class Record:
    """What a run leaves behind, as arrays over samples [samples, replicas, ...].

    ``step``, ``energy`` (potential, eV), ``kinetic`` (eV), ``virial`` [.., 6] (eV), ``positions`` [.., n, 3] (Å, not
    wrapped).
    """

    step: list[int] = field(default_factory=list)
    energy: list[np.ndarray] = field(default_factory=list)
    kinetic: list[np.ndarray] = field(default_factory=list)
    virial: list[np.ndarray] = field(default_factory=list)
    frame_step: list[int] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """Stacked arrays by field."""
        return {name: np.array(value) for name, value in vars(self).items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        np.savez(path, **self.arrays())  # type: ignore[arg-type]  # no field is named as savez's own allow_pickle


class Placement(TypedDict):
    """Keywords of PyTorch that say where a tensor is and how precise."""

    device: torch.device
    dtype: torch.dtype


class Dynamics:
    """Replicas with equal numbers of atoms, each with its own box, temperature, time step and thermostat.

    Integrator: BAOAB (half kick, half drift, Langevin, half drift, half kick); without friction it is velocity Verlet.
    A global stochastic rescaling of velocities (Bussi, Donadio, Parrinello 2007) may follow; it hardly disturbs
    diffusion.

    Parameters
    ----------
    potential : see `mlff.data`
    cutoff : Å
    element : int [n] or [replicas, n]
        index into the potential's elements
    mass : [n] or [replicas, n], amu
    positions : [replicas, n, 3], Å
    cell : [replicas, 3, 3], Å, or None where nothing is periodic
    temperature : [replicas], K
    time_step : [replicas], fs
    friction : [replicas], 1/fs; zero: no Langevin thermostat
    rescaling_time : [replicas], fs; infinity: no global rescaling
    spare : float
        room for edges, as a multiple of those of the start
    """

    def __init__(
        self,
        potential: Potential,
        cutoff: float,
        element: Tensor,
        mass: Tensor,
        positions: Tensor,
        cell: Tensor | None,
        temperature: Sequence[float],
        time_step: Sequence[float],
        friction: Sequence[float],
        rescaling_time: Sequence[float] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        use_graph: bool | None = None,
        spare: float = 1.4,
    ) -> None:
        self.device = torch.device(device)
        self.potential, self.cutoff, self.seed = potential, cutoff, seed
        self.replicas, self.n = positions.shape[:2]
        B, n = self.replicas, self.n
        on: Placement = {"device": self.device, "dtype": torch.float64}
        self.positions = positions.to(**on).clone()
        self.element = element.expand(B, n).reshape(-1).to(self.device)
        self.mass = mass.expand(B, n).to(**on).unsqueeze(2)
        self.cell = self.inverse = self.shifts = None
        self.volume = torch.full((B,), torch.inf, **on)
        if cell is not None:
            host = cell.double().cpu()
            self.shifts = image_shifts(host, cutoff).to(self.device)
            self.cell, self.inverse = host.to(self.device), torch.linalg.inv(host).to(self.device)
            self.volume = torch.linalg.det(host).abs().to(self.device)
        column = (B, 1, 1)
        self.temperature = torch.as_tensor(temperature, **on)
        self.time_step = torch.as_tensor(time_step, **on).view(column)
        decay = torch.exp(-torch.as_tensor(friction, **on).view(column) * self.time_step)
        thermal = torch.sqrt(BOLTZMANN * ACCELERATION * self.temperature.view(column) / self.mass)
        self.keep, self.noise = decay, torch.sqrt(1 - decay * decay) * thermal
        self.kick = 0.5 * self.time_step * ACCELERATION / self.mass
        self.rescale = None
        if rescaling_time is not None:
            self.rescale = torch.exp(-self.time_step.view(B) / torch.as_tensor(rescaling_time, **on))
        self.step = 0
        torch.manual_seed(seed)
        self.velocities = thermal * torch.randn(B, n, 3, dtype=torch.float64).to(self.device)
        self.stop_drift()
        self.forces = torch.zeros_like(self.positions)
        self.energy = torch.zeros(B, **on)
        self.virial = torch.zeros(B, 6, **on)
        self.most_edges = torch.zeros((), dtype=torch.int64, device=self.device)
        self.frame = torch.arange(B, device=self.device).repeat_interleave(n)
        self.num_edges = int(find_pairs(self.positions, self.cell, self.inverse, self.shifts, cutoff)[1].sum())
        self.capacity = int(self.num_edges * spare) + 64
        self.constants = ResidentConstants()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.use_graph = self.device.type == "cuda" if use_graph is None else use_graph
        self.compute_forces()

    # ------------------------------------------------------------------------------------------------------- one step

    def edges(self) -> Graph:
        """All edges in arrays of fixed length; the rest is filled with vectors of exactly the cutoff.

        At the cutoff envelopes and their derivatives are exactly zero, so filling adds exactly nothing. Filled edges
        are spread over the nodes, because many additions to one node would wait for each other.
        """
        vectors, edge = find_pairs(self.positions, self.cell, self.inverse, self.shifts, self.cutoff)
        n, images = self.n, edge.size(3)
        edge = edge.reshape(-1)
        rank = torch.cumsum(edge, 0)
        self.most_edges.copy_(torch.maximum(self.most_edges, rank[-1]))
        slot = torch.where(edge, rank - 1, self.capacity).clamp_(max=self.capacity)
        pair = torch.arange(edge.size(0), device=self.device)
        source = torch.zeros(self.capacity + 1, dtype=torch.int64, device=self.device).scatter_(0, slot, pair)[:-1]
        index = torch.arange(self.capacity, device=self.device)
        real = index < rank[-1]
        filler = index % (self.replicas * n)
        center = torch.where(real, source // (n * images), filler)
        neighbor = torch.where(real, source // (n * n * images) * n + source // images % n, filler)
        rij = torch.where(real.unsqueeze(1), vectors.reshape(-1, 3).index_select(0, source).float(), self.filling())
        return Graph(self.element, center, neighbor, rij, self.frame, self.replicas)

    def filling(self) -> Tensor:
        """[1, 3] (cutoff, 0, 0)"""
        return torch.arange(3, device=self.device, dtype=torch.float32).eq(0).float().unsqueeze(0) * self.cutoff

    def compute_forces(self) -> None:
        """Energy, forces and virial of the present positions."""
        with self.constants:
            energy, forces, virial = energy_forces_virial(self.potential, self.edges())
        self.energy.copy_(energy)
        self.forces.copy_(forces.view_as(self.forces))
        self.virial.copy_(virial)

    def one_step(self) -> None:
        """Advance all replicas by one step, in place."""
        x, v = self.positions, self.velocities
        v.add_(self.kick * self.forces)
        x.add_(0.5 * self.time_step * v)
        v.mul_(self.keep).add_(self.noise * torch.randn_like(v))
        x.add_(0.5 * self.time_step * v)
        self.compute_forces()
        v.add_(self.kick * self.forces)
        if self.rescale is not None:
            v.mul_(self.rescaling().view(-1, 1, 1))

    def rescaling(self) -> Tensor:
        """Factor on the velocities [replicas], eq. (A7) of Bussi, Donadio, Parrinello (2007)."""
        assert self.rescale is not None
        freedom = 3 * self.n - 3
        target = 0.5 * BOLTZMANN * self.temperature  # of one degree of freedom
        ratio = (1 - self.rescale) * target / self.kinetic()
        noise = torch.randn(self.replicas, freedom, dtype=torch.float64, device=self.device)
        first = noise[:, 0]
        square = self.rescale + ratio * (noise * noise).sum(1) + 2 * first * torch.sqrt(self.rescale * ratio)
        return torch.sqrt(square)

    def kinetic(self) -> Tensor:
        """Kinetic energy [replicas], eV."""
        return (0.5 / ACCELERATION) * (self.mass * self.velocities * self.velocities).sum((1, 2))

    def pressure(self) -> Tensor:
        """[replicas], eV/Å³, from the kinetic energy as it is and the virial."""
        return (2 * self.kinetic() + self.virial[:, :3].sum(1)) / (3 * self.volume)

    def stop_drift(self) -> None:
        """Set the total momentum of each replica to zero."""
        momentum = (self.mass * self.velocities).sum(1, keepdim=True)
        self.velocities.sub_(momentum / self.mass.sum(1, keepdim=True))

    # ----------------------------------------------------------------------------------------------------------- runs

    def capture(self) -> None:
        """Record one step as a CUDA graph. The state is put back, so warming up is no step of the trajectory."""
        saved = [t.clone() for t in (self.positions, self.velocities, self.forces, self.energy, self.virial)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # TorchScript parts of a potential profile and fuse in their first calls
                self.one_step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.one_step()
        for tensor, value in zip(
            (self.positions, self.velocities, self.forces, self.energy, self.virial), saved, strict=True
        ):
            tensor.copy_(value)
        self.graph = graph

    def run(self, steps: int, every: int = 0, frames_every: int = 0, record: Record | None = None) -> Record:
        """Advance; sample energies each ``every`` steps and positions each ``frames_every``.

        Random numbers depend on the seed and on the step at which a call begins, so a run restarted from `save` at the
        same step goes on as the uninterrupted one.
        """
        record = Record() if record is None else record
        if self.use_graph and self.graph is None:
            self.capture()
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        samples, positions = [], []
        for _ in range(steps):
            if self.graph is None:
                self.one_step()
            else:
                self.graph.replay()
            self.step += 1
            if every and self.step % every == 0:
                samples.append(torch.cat([self.energy[:, None], self.kinetic()[:, None], self.virial], 1))
                record.step.append(self.step)
            if frames_every and self.step % frames_every == 0:
                positions.append(self.positions.float())
                record.frame_step.append(self.step)
        if samples:
            values = torch.stack(samples).cpu().numpy()
            record.energy.extend(values[:, :, 0])
            record.kinetic.extend(values[:, :, 1])
            record.virial.extend(values[:, :, 2:])
        if positions:
            record.positions.extend(torch.stack(positions).cpu().numpy())
        return record

    def overflowed(self) -> bool:
        """Whether a step ever had more edges than there was room for (then its forces were wrong)."""
        return int(self.most_edges) > self.capacity

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state for `restore`."""
        state = {"positions": self.positions, "velocities": self.velocities, "step": self.step, "seed": self.seed}
        write_atomically(path, lambda temporary: torch.save(state, temporary))

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file of `save`."""
        state = torch.load(Path(path), map_location=self.device, weights_only=True)
        self.positions.copy_(state["positions"])
        self.velocities.copy_(state["velocities"])
        self.step, self.seed = state["step"], state["seed"]
        self.compute_forces()


def relax(dynamics: Dynamics, steps: int, largest: float = 0.05) -> None:
    """Steepest descent with no atom moving more than ``largest`` Å a step: takes random boxes off their contacts."""
    for _ in range(steps):
        length = torch.linalg.vector_norm(dynamics.forces, dim=2, keepdim=True)
        dynamics.positions.add_(dynamics.forces * torch.clamp(largest / (length + 1e-12), max=0.01))
        dynamics.compute_forces()


def drift(picoseconds: np.ndarray, energy: np.ndarray, atoms: int, blocks: int = 20) -> tuple[float, float]:
    """Slope of an energy (eV) in time, meV/atom/ns, and its standard error from block means of what is left over."""
    slope, offset = np.polyfit(picoseconds, energy, 1)
    rest = energy - slope * picoseconds - offset
    means = np.array([b.mean() for b in np.array_split(rest, blocks)])
    centers = np.array([b.mean() for b in np.array_split(picoseconds, blocks)])
    error = np.sqrt((means**2).sum() / (blocks - 2) / ((centers - centers.mean()) ** 2).sum())
    return float(1e6 / atoms * slope), float(1e6 / atoms * error)


# ------------------------------------------------------------------------------------------------------------- starting


def water_molecule(
    rng: np.random.Generator, bond: tuple[float, float] = (0.96, 0.96), angle: float = 104.0
) -> np.ndarray:
    """One molecule at the origin in a random orientation, [3, 3] in Å, order O, H, H; ``angle`` in degrees."""
    half = np.radians(angle) / 2
    hydrogen = np.array([[np.sin(half), np.cos(half), 0.0], [-np.sin(half), np.cos(half), 0.0]])
    molecule = np.vstack([np.zeros(3), hydrogen * np.array(bond)[:, None]])
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return molecule @ (rotation * np.sign(np.linalg.det(rotation)))


def water_box(molecules: int, density: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Molecules in random orientation on random sites of a jittered lattice: positions [3 molecules, 3], edge, in Å.

    ``density`` in g/cm³ of light water. Order O, H, H by molecule.
    """
    edge = (molecules * 18.015 / 0.602214076 / density) ** (1 / 3)
    per_side = int(np.ceil(molecules ** (1 / 3) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(per_side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    chosen = rng.permutation(len(sites))[:molecules]
    oxygen = (sites[chosen] + 0.5 + rng.uniform(-0.08, 0.08, (molecules, 3))) * edge / per_side
    return np.concatenate([o + water_molecule(rng) for o in oxygen]), edge
