"""Training of a student on labelled frames: energies, forces and virials.

A run is one folder: its configuration, the checkpoint it resumes from, the log of errors and the learning curve.
Loss of a batch: w_E <h(dE / n)> + w_F <a h(|dF|)> + w_V <h(|dW| / n)>, with n atoms a frame and weights from the
configuration (1/(eV/atom), 1/(eV/Å), 1/(eV/atom)). h is the error, rounded off at zero: squares would let some hundred
frames on the repulsive walls outweigh the liquid. For the same reason a = 1 / (1 + (|F| / 10 eV/Å)^2), and energies and
virials of a frame weigh as its largest force does. Reference energies per element are a least-squares fit.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import tomllib
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .data import Frames, Graph, energy_forces_virial, frame_graph, join_graphs, write_atomically
from .painn import INNER_SWITCH, NORM_EPSILON, SIZES, PaiNN, checked_inner_switch

__all__ = ["Settings", "errors_by_kind", "fit_reference_energies", "load_student", "run"]

STRONG_FORCE = 10.0  # eV/Å; beyond it an atom weighs less and less in the loss
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8}


@dataclass
class Settings:
    """One run; the fields of its TOML file.

    ``data`` and ``folder`` are paths relative to the file. ``epochs`` passes over the data with batches of about
    ``batch`` frames (batches hold equal numbers of edges, not of frames); the learning rate rises over ``warm_up`` of
    all steps and falls as a cosine to zero. ``late_energy``: the energy weight grows by this factor, geometrically,
    over the run.
    """

    data: str
    folder: str
    size: str = "small"
    cutoff: float = 5.0
    elements: tuple[str, ...] = ("H", "O")
    zbl_radii: tuple[float, ...] = (0.31, 0.66)
    norm_epsilon: float = NORM_EPSILON
    inner_switch: tuple[float, float] = INNER_SWITCH
    epochs: int = 100
    batch: int = 8
    learning_rate: float = 2e-3
    warm_up: float = 0.02
    weight_energy: float = 1.0
    weight_forces: float = 1.0
    weight_virial: float = 0.1
    late_energy: float = 30.0
    largest_force: float = 30.0
    decay: float = 0.999
    clip: float = 10.0
    seed: int = 1
    device: str = "auto"
    checkpoint_every: float = 60.0

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Settings:
        """From TOML; unknown names are refused by name."""
        path = Path(path)
        values: dict[str, Any] = tomllib.loads(path.read_text())
        known = {f.name for f in fields(Settings)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"{path}: expected settings out of {', '.join(sorted(known))}; found {', '.join(unknown)}")
        for name in ("data", "folder"):
            if name not in values:
                raise ValueError(f"{path}: expected the setting {name!r}, found none")
            values[name] = str(path.parent / values[name])
        for name in ("elements", "zbl_radii", "inner_switch"):
            if name in values:
                values[name] = tuple(values[name])
        settings = Settings(**values)
        if settings.size not in SIZES:
            raise ValueError(f"{path}: expected size {', '.join(SIZES)}; found {settings.size!r}")
        checked_inner_switch(settings.inner_switch, settings.cutoff)
        return settings

    def torch_device(self) -> torch.device:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device)

    def atomic_numbers(self) -> list[int]:
        return [NUMBERS[symbol] for symbol in self.elements]


def fit_reference_energies(frames: Frames, atomic_numbers: list[int]) -> np.ndarray:
    """Least-squares energy (eV) of each element; the smallest solution where the composition leaves it open."""
    counts = np.array(
        [[(frames.numbers[frames.atoms(f)] == z).sum() for z in atomic_numbers] for f in range(len(frames))]
    )
    weight = 1.0 / frames.num_atoms()
    return np.linalg.lstsq(counts * weight[:, None], frames.energy * weight, rcond=None)[0]


@dataclass
class Batch:
    """Frames as one graph, with their labels: ``energy`` [frames], ``forces`` [atoms, 3], ``virial`` [frames, 6].

    ``atoms`` [frames] counts atoms, ``periodic`` [frames] is 1 where a virial is defined, ``weight`` [frames] is that
    of a frame in the loss.
    """

    graph: Graph
    energy: Tensor
    forces: Tensor
    virial: Tensor
    atoms: Tensor
    periodic: Tensor
    weight: Tensor


def make_items(frames: Frames, settings: Settings, device: torch.device) -> list[Batch]:
    """One `Batch` a frame, edges made once, kept on the device."""
    items = []
    for f in range(len(frames)):
        graph = frame_graph(frames, f, settings.atomic_numbers(), settings.cutoff, device)
        as_tensor = lambda a, dtype: torch.as_tensor(a, device=device, dtype=dtype)  # noqa: E731
        largest = float((frames.forces[frames.atoms(f)] ** 2).sum(1).max())
        items.append(
            Batch(
                graph,
                as_tensor(frames.energy[f : f + 1], torch.float64),
                as_tensor(frames.forces[frames.atoms(f)], torch.float32),
                as_tensor(frames.virial[f : f + 1], torch.float32),
                as_tensor([frames.num_atoms()[f]], torch.float32),
                as_tensor([frames.periodic[f]], torch.float32),
                as_tensor([1 / (1 + largest / STRONG_FORCE**2)], torch.float32),
            )
        )
    return items


def join(items: list[Batch]) -> Batch:
    """Several items side by side."""
    names = ("energy", "forces", "virial", "atoms", "periodic", "weight")
    return Batch(join_graphs([i.graph for i in items]), *(torch.cat([getattr(i, n) for i in items]) for n in names))


def padded(batch: Batch, capacity: tuple[int, int, int], settings: Settings) -> Batch:
    """The batch in arrays of fixed length: one more frame holds filler atoms, which weigh nothing in the loss.

    Filler edges have the length of the cutoff exactly, where envelopes and their derivatives vanish.
    """
    frames, nodes, edges = capacity
    graph, device = batch.graph, batch.energy.device
    more_frames = frames + 1 - graph.num_frames
    more_nodes, more_edges = nodes + 1 - graph.element.size(0), edges + 1 - graph.center.size(0)

    def longer(t: Tensor, count: int, value: float = 0.0) -> Tensor:
        return torch.cat([t, torch.full((count, *t.shape[1:]), value, dtype=t.dtype, device=device)])

    filler = nodes + 1 - more_nodes + torch.arange(more_edges, device=device) % more_nodes
    rij = longer(graph.rij, more_edges)
    rij[graph.rij.size(0) :, 0] = settings.cutoff
    full = Graph(
        longer(graph.element, more_nodes),
        torch.cat([graph.center, filler]),
        torch.cat([graph.neighbor, filler]),
        rij,
        longer(graph.frame, more_nodes, frames),
        frames + 1,
    )
    return Batch(
        full,
        longer(batch.energy, more_frames),
        longer(batch.forces, more_nodes),
        longer(batch.virial, more_frames),
        longer(batch.atoms, more_frames, 1.0),
        longer(batch.periodic, more_frames),
        longer(batch.weight, more_frames),
    )


def fill(static: Batch, batch: Batch) -> None:
    """Copy a padded batch into the tensors that a CUDA graph reads."""
    for name in ("element", "center", "neighbor", "rij", "frame"):
        getattr(static.graph, name).data.copy_(getattr(batch.graph, name))
    for name in ("energy", "forces", "virial", "atoms", "periodic", "weight"):
        getattr(static, name).copy_(getattr(batch, name))


def rounded(squared: Tensor, width: float) -> Tensor:
    """sqrt(squared + width^2) - width: the error itself, without a kink at zero."""
    return torch.sqrt(squared + width * width) - width


def loss_of(model: PaiNN, batch: Batch, settings: Settings, weight_energy: Tensor) -> Tensor:
    """The weighted loss of a batch (see the module); a frame of weight zero does not count."""
    energy, forces, virial = energy_forces_virial(model, batch.graph, create_graph=True)
    frame, atom = batch.weight, batch.weight.gt(0).float().index_select(0, batch.graph.frame)
    atom = atom / (1 + (batch.forces**2).sum(1) / STRONG_FORCE**2)
    energy_error = rounded(((energy - batch.energy).float() / batch.atoms) ** 2, 1e-3)
    force_error = rounded(((forces - batch.forces) ** 2).sum(1), 1e-2)
    virial_error = rounded((((virial - batch.virial) / batch.atoms[:, None]) ** 2).sum(1), 1e-3) * batch.periodic
    return (
        weight_energy * (frame * energy_error).sum() / frame.sum()
        + settings.weight_forces * (atom * force_error).sum() / atom.sum()
        + settings.weight_virial * (frame * virial_error).sum() / frame.sum()
    )


def errors_by_kind(model: PaiNN, items: list[Batch], kinds: np.ndarray, batch: int = 16) -> dict[str, dict[str, float]]:
    """Mean absolute errors by kind of frame: energy_meV_per_atom, force_meV_per_A, virial_meV_per_atom, frames."""
    sums: dict[str, dict[str, float]] = {}
    for begin in range(0, len(items), batch):
        part = items[begin : begin + batch]
        joined = join(part)
        energy, forces, virial = energy_forces_virial(model, joined.graph)
        first = np.cumsum([0] + [int(i.atoms) for i in part])
        for f, kind in enumerate(kinds[begin : begin + batch]):
            n = int(part[f].atoms)
            rows = slice(first[f], first[f + 1])
            row = sums.setdefault(str(kind), {"frames": 0.0, "energy": 0.0, "force": 0.0, "atoms": 0.0, "virial": 0.0})
            row["frames"] += 1
            row["atoms"] += n
            row["energy"] += abs(float(energy[f] - joined.energy[f])) / n
            row["force"] += float((forces[rows] - joined.forces[rows]).abs().mean()) * n
            row["virial"] += float((virial[f] - joined.virial[f]).abs().mean()) / n
    return {
        kind: {
            "frames": int(row["frames"]),
            "energy_meV_per_atom": 1e3 * row["energy"] / row["frames"],
            "force_meV_per_A": 1e3 * row["force"] / row["atoms"],
            "virial_meV_per_atom": 1e3 * row["virial"] / row["frames"],
        }
        for kind, row in sorted(sums.items())
    }


def load_student(checkpoint: str | os.PathLike[str], averaged: bool = True) -> PaiNN:
    """The network of a checkpoint, with the averaged weights (or those of the last step)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = PaiNN(**state["network"])
    model.load_state_dict(state["average" if averaged else "model"])
    return model.eval()


class Run:
    """Training from a configuration, resumed where an earlier process stopped."""

    def __init__(self, config: str | os.PathLike[str]) -> None:
        self.settings = s = Settings.read(config)
        self.folder = Path(s.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "config.toml"
        if kept.resolve() != Path(config).resolve():
            shutil.copyfile(config, kept)
        self.device = s.torch_device()
        frames = Frames.load(s.data)
        # a frame that the teacher itself finds absurd teaches nothing but noise
        largest = np.array([np.abs(frames.forces[frames.atoms(f)]).max() for f in range(len(frames))])
        training = frames.select(~frames.held_out & (largest < s.largest_force))
        held_out = frames.select(frames.held_out & (largest < s.largest_force))
        self.items = make_items(training, s, self.device)
        self.test_items, self.test_kinds = make_items(held_out, s, self.device), held_out.kind
        torch.manual_seed(s.seed)
        channels, interactions, radial = SIZES[s.size]
        self.network: dict[str, Any] = {
            "elements": list(s.elements),
            "atomic_numbers": s.atomic_numbers(),
            "num_channels": channels,
            "num_interactions": interactions,
            "num_radial": radial,
            "cutoff": s.cutoff,
            "reference_energies": fit_reference_energies(training, s.atomic_numbers()).tolist(),
            "zbl_radii": list(s.zbl_radii),
            "norm_epsilon": s.norm_epsilon,
            "inner_switch": s.inner_switch,
        }
        self.model = PaiNN(**self.network).to(self.device)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.rate, self.weight_energy, self.keep = (
            torch.zeros((), device=self.device, dtype=torch.float32) for _ in range(3)
        )
        on_gpu = self.device.type == "cuda"
        rate = self.rate if on_gpu else s.learning_rate
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, capturable=on_gpu, foreach=on_gpu)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.step = self.epoch = self.position = 0
        self.current: list[list[int]] = []
        self.history: list[dict[str, Any]] = []
        self.checkpoint = self.folder / "checkpoint.pt"
        if self.checkpoint.exists():
            self.resume()

    # ---- state
    def state(self) -> dict[str, Any]:
        """A copy of all that changes."""
        optimizer = self.optimizer.state_dict()
        return {
            "model": {name: value.clone() for name, value in self.model.state_dict().items()},
            "average": {name: value.clone() for name, value in self.average.items()},
            "optimizer": {k: {n: t.clone() for n, t in v.items()} for k, v in optimizer["state"].items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put a copy back, in place: a CUDA graph keeps the addresses. Moments that were not there yet are zero."""
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(state["model"][name])
            for name, value in self.average.items():
                value.copy_(state["average"][name])
            for index, parameter in enumerate(self.model.parameters()):
                for name, value in self.optimizer.state[parameter].items():
                    saved = state["optimizer"].get(index, {}).get(name)
                    value.zero_() if saved is None else value.copy_(saved)

    def save(self) -> None:
        state = {
            **self.state(),
            "network": self.network,
            "place": [self.step, self.epoch, self.position],
            "history": json.dumps(self.history),
        }
        write_atomically(self.checkpoint, lambda path: torch.save(state, path))

    def resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        # reference energies by another LAPACK may differ in the last bit; those of the checkpoint hold
        names = set(self.network) - {"reference_energies"}
        if any(state["network"][name] != self.network[name] for name in names):
            raise ValueError(
                f"{self.checkpoint}: expected a checkpoint of this configuration and data, found another network. "
                "Give the run another folder."
            )
        for parameter in self.model.parameters():  # as Adam makes them at its first step
            step = torch.zeros((), dtype=torch.float32, device=self.device if self.device.type == "cuda" else "cpu")
            self.optimizer.state[parameter] = {
                "step": step,
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.load(state)
        self.network = state["network"]
        self.model.reference_energies = list(self.network["reference_energies"])
        self.step, self.epoch, self.position = state["place"]
        self.history = json.loads(state["history"])

    # ---- one step
    def batches(self, epoch: int) -> list[list[int]]:
        """Of an epoch, each filled up to `capacity`; they depend on the seed and the epoch alone, for resuming."""
        room = self.capacity
        found: list[list[int]] = []
        used = room
        for index in np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.items)):
            graph = self.items[index].graph
            more = (1, int(graph.element.size(0)), int(graph.center.size(0)))
            if any(u + m > r for u, m, r in zip(used, more, room, strict=True)):
                found.append([])
                used = (0, 0, 0)
            found[-1].append(int(index))
            used = tuple(u + m for u, m in zip(used, more, strict=True))  # type: ignore[assignment]
        return found

    def done(self) -> float:
        """The part of the run that lies behind, 0 to 1."""
        within = self.position / len(self.current) if self.current else 0.0
        return (self.epoch + within) / self.settings.epochs

    def schedule(self) -> tuple[float, float]:
        """Learning rate and energy weight of this step."""
        s = self.settings
        done = self.done()
        rate = s.learning_rate * min(1.0, done / max(s.warm_up, 1e-9)) * 0.5 * (1 + math.cos(math.pi * done))
        return max(rate, 1e-3 * s.learning_rate * (1 - done)), s.weight_energy * s.late_energy**done

    def one_step(self, which: list[int]) -> Tensor:
        """A step on the items `which`; its loss, before the step."""
        rate, weight_energy = self.schedule()
        self.rate.fill_(rate)
        if self.device.type != "cuda":
            self.optimizer.param_groups[0]["lr"] = rate
        self.weight_energy.fill_(weight_energy)
        self.keep.fill_(min(self.settings.decay, (self.step + 1) / (self.step + 11)))
        batch = join([self.items[i] for i in which])
        if self.device.type == "cuda":
            loss = self.captured(batch)
        else:
            loss = self.update(batch)
        self.step += 1
        return loss

    def update(self, batch: Batch) -> Tensor:
        """Everything that a step does to the weights, on tensors alone, so that a CUDA graph can hold it."""
        self.optimizer.zero_grad(set_to_none=False)
        loss = loss_of(self.model, batch, self.settings, self.weight_energy)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, (1 - self.keep).to(value.dtype))
        return loss.detach()

    def captured(self, batch: Batch) -> Tensor:
        """`update` as a CUDA graph: a step is some thousand tiny kernels, whose launches cost four times their work."""
        if self.graph is None:
            self.static = padded(batch, self.capacity, self.settings)
            state = self.state()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self.update(self.static)
            torch.cuda.current_stream().wait_stream(stream)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.loss = self.update(self.static)
            self.load(state)  # warming up was no training
        fill(self.static, padded(batch, self.capacity, self.settings))
        self.graph.replay()
        return self.loss

    @cached_property
    def capacity(self) -> tuple[int, int, int]:
        """Frames, nodes and edges that a batch has room for."""
        nodes = [int(i.graph.element.size(0)) for i in self.items]
        edges = [int(i.graph.center.size(0)) for i in self.items]
        frames = 4 * self.settings.batch
        most_edges = max(self.settings.batch * sum(edges) // len(edges), max(edges))
        return frames, max(2 * self.settings.batch * sum(nodes) // len(nodes), max(nodes)), most_edges

    def averaged(self) -> PaiNN:
        model = PaiNN(**self.network).to(self.device)
        model.load_state_dict(self.average)
        return model.eval()

    # ---- the run
    def run(self, until: int | None = None) -> dict[str, dict[str, float]]:
        """Trains to the end (or to step ``until``); errors on the held-out frames."""
        s, saved = self.settings, time.monotonic()
        progress = tqdm(total=s.epochs, initial=self.epoch, unit="epoch", desc=self.folder.name)
        while self.epoch < s.epochs and (until is None or self.step < until):
            if not self.current or self.position == 0:
                self.current = self.batches(self.epoch)
            loss = self.one_step(self.current[self.position])
            self.position += 1
            if self.position == len(self.current):
                self.epoch, self.position = self.epoch + 1, 0
                progress.update()
                if self.epoch % max(1, s.epochs // 40) == 0:
                    errors = errors_by_kind(self.averaged(), self.test_items, self.test_kinds)
                    self.history.append({"epoch": self.epoch, "loss": float(loss), "errors": errors})
                    progress.set_postfix({k: f"{v['force_meV_per_A']:.0f}" for k, v in errors.items()})
            if time.monotonic() - saved > s.checkpoint_every:
                self.save()
                saved = time.monotonic()
        progress.close()
        self.save()
        errors = errors_by_kind(self.averaged(), self.test_items, self.test_kinds)
        write_atomically(self.folder / "errors.json", lambda path: path.write_text(json.dumps(errors, indent=1)))
        if self.history:
            draw_learning_curve(self.history, self.folder / "learning_curve.png")
        return errors


def draw_learning_curve(history: list[dict[str, Any]], path: Path) -> None:
    """Force error on held-out frames by kind over the epochs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for kind in history[-1]["errors"]:
        rows = [(h["epoch"], h["errors"][kind]["force_meV_per_A"]) for h in history if kind in h["errors"]]
        axes.plot(*zip(*rows, strict=True), label=kind)
    axes.set(xlabel="epoch", ylabel="force MAE, held out (meV/Å)", yscale="log", title=path.parent.name)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(config: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """Train as a TOML file says; goes on from the checkpoint in its folder."""
    return Run(config).run()
