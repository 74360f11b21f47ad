"""The whole recipe of the water students, from the teacher to files, as stages that resume.

    mlff distill potentials/water.toml

Each stage leaves a file in the recipe's folder and is passed over when that file is there:

    built      molecules, dimers, clusters and walls, built and labelled by the teacher
    dynamics   the teacher's own molecular dynamics of liquid water, and perturbed copies of its frames
    explore-N  round N: a student, quickly trained on all frames so far, drives; the teacher labels what it visits
    data       all of it in one file, with whole trajectories held out
    train      the students
    teacher    the teacher's own liquid: O-O distribution, diffusion, pressure
    stability  long runs of each student
    export     the files with their provenance
"""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import export, train
from .data import Frames, Potential, file_checksum, label, write_atomically
from .dynamics import GPA, Dynamics, Record, drift, relax, water_box, water_molecule
from .teacher import LICENSE, VERSION, SevenNet, installed_version

__all__ = ["Recipe", "run"]

ELEMENTS = [1, 8]  # atomic numbers in the order of the student's element index: H, O
MASS = {1: 1.008, 8: 15.999}
PICOSECOND = 2000  # steps of 0.5 fs
LARGEST_FORCE = 60.0  # eV/Å; beyond it the teacher itself is out of its data


@dataclass
class Recipe:
    """The fields of the TOML file; ``folder`` is relative to it, ``epochs`` and ``quick_epochs`` as in `mlff.train`.

    ``teacher_version`` counts only where sevenn is not installed, as on a machine that only exports.
    """

    folder: str
    teacher: str = "7net-mf-0"
    modal: str = "R2SCAN"
    teacher_version: str = VERSION
    teacher_license: str = LICENSE
    seed: int = 1
    device: str = "auto"
    dynamics_steps: int = 1200
    rounds: int = 2
    explore_steps: int = 6000
    quick_epochs: int = 10
    epochs: int = 60
    batch: int = 16
    held_out: float = 0.13
    teacher_steps: int = 4000
    teacher_replicas: int = 6
    stability_steps: int = 200000

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Recipe:
        path = Path(path)
        values: dict[str, Any] = tomllib.loads(path.read_text())
        unknown = sorted(set(values) - {f.name for f in fields(Recipe)})
        if unknown or "folder" not in values:
            raise ValueError(f"{path}: expected 'folder' and fields of mlff.distill.Recipe; unknown: {unknown}")
        values["folder"] = str(path.parent / values["folder"])
        return Recipe(**values)


class Distillation:
    """The stages, in the order in which `run` calls them."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.folder = recipe, Path(recipe.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        cuda = torch.cuda.is_available()
        self.device = ("cuda" if cuda else "cpu") if recipe.device == "auto" else recipe.device
        self.started = time.monotonic()
        self._teacher: SevenNet | None = None

    # ---- tools
    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.0f} s] {text}", flush=True)

    def teacher(self) -> SevenNet:
        if self._teacher is None:
            torch.backends.cuda.matmul.allow_tf32 = False
            self._teacher = SevenNet(self.recipe.teacher, self.recipe.modal, ELEMENTS).to(self.device)
        return self._teacher

    def stage(self, name: str, make: Callable[[], Frames]) -> Frames:
        """The labelled frames of a stage, made now or by an earlier run."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            frames = make()
            label(frames, self.teacher(), ELEMENTS, self.teacher().cutoff, self.device)
            frames = frames.select(sane(frames))
            frames.save(path)
            self.say(f"{name}: {len(frames)} frames, {int(frames.first[-1])} atoms")
        return Frames.load(path)

    def liquid(
        self, potential: Potential, cutoff: float, boxes: Sequence[tuple[int, float, float]], seed: int, relaxing: int
    ) -> Dynamics:
        """Replicas (molecules, density in g/cm3, temperature in K) of equal size, taken off their contacts."""
        rng = np.random.default_rng(seed)
        made = [water_box(molecules, density, rng) for molecules, density, _ in boxes]
        cell = torch.tensor(np.stack([np.eye(3) * edge for _, edge in made]))
        dynamics = self.replicas(potential, cutoff, np.stack([x for x, _ in made]), cell, [t for *_, t in boxes], seed)
        relax(dynamics, relaxing)
        return dynamics

    def replicas(
        self,
        potential: Potential,
        cutoff: float,
        positions: np.ndarray,
        cell: torch.Tensor | None,
        temperature: Sequence[float],
        seed: int,
        friction: float = 0.02,
        rescaling_time: Sequence[float] | None = None,
    ) -> Dynamics:
        """Water molecules, order O, H, H, with a time step of 0.5 fs."""
        count, atoms = positions.shape[:2]
        element = torch.tensor([1, 0, 0]).repeat(atoms // 3)
        mass = torch.tensor([MASS[ELEMENTS[int(e)]] for e in element], dtype=torch.float64)
        return Dynamics(
            potential, cutoff, element, mass, torch.tensor(positions), cell, temperature, [0.5] * count,
            [friction] * count, rescaling_time, seed, self.device,
        )  # fmt: skip

    # ---- stages
    def built(self) -> Frames:
        return self.stage("built", lambda: built_frames(np.random.default_rng(self.recipe.seed)))

    def dynamics(self) -> Frames:
        def make() -> Frames:
            small = [(32, rho, t) for rho, t in zip((0.7, 0.8, 0.9, 1.0, 1.1, 1.2) * 2, (300, 600, 400, 300, 500, 350, 700, 400, 280, 600, 300, 500), strict=True)]  # noqa: E501  # fmt: skip
            large = [(64, 1.0, 300), (64, 1.0, 350), (64, 0.95, 300), (64, 0.9, 600)]
            parts = []
            for number, boxes in enumerate((small, large)):
                teacher = self.teacher()
                dynamics = self.liquid(teacher, teacher.cutoff, boxes, self.recipe.seed + number, 100)
                record = dynamics.run(self.recipe.dynamics_steps, frames_every=30)
                self.say(f"teacher's dynamics, {boxes[0][0]} molecules: overflow {dynamics.overflowed()}")
                parts.append(frames_of(record, dynamics, boxes, "liquid", "teacher", 1000 * (number + 1)))
            frames = Frames.join(parts)
            return Frames.join([frames, perturbed(frames, 300, np.random.default_rng(self.recipe.seed))])

        return self.stage("dynamics", make)

    def explore(self, number: int, so_far: list[Frames]) -> Frames:
        def make() -> Frames:
            student = self.quick_student(number, so_far)
            rng = np.random.default_rng(100 * number + self.recipe.seed)
            parts = []
            for group, (molecules, count) in enumerate(((32, 24), (64, 10), (96, 4))):
                boxes = [(molecules, rng.uniform(0.7, 1.2), rng.uniform(280, 700)) for _ in range(count)]
                seed = 10 * number + group + self.recipe.seed
                dynamics = self.liquid(student, student.cutoff, boxes, seed, 200)
                steps = self.recipe.explore_steps
                record = dynamics.run(steps, frames_every=steps // 20)
                self.say(f"explore {number}, {molecules} molecules: overflow {dynamics.overflowed()}")
                parts.append(frames_of(record, dynamics, boxes, "liquid", "student", 10000 * number + 1000 * group))
            clusters = np.stack([cluster(8, rng, 2.6) for _ in range(16)])
            temperature = rng.uniform(150, 500, 16)
            dynamics = self.replicas(student, student.cutoff, clusters, None, list(temperature), 7 * number)
            relax(dynamics, 100)
            record = dynamics.run(self.recipe.explore_steps // 2, frames_every=self.recipe.explore_steps // 20)
            boxes = [(8, 0.0, t) for t in temperature]
            parts.append(frames_of(record, dynamics, boxes, "cluster", "student", 10000 * number + 9000))
            return Frames.join(parts)

        return self.stage(f"explore-{number}", make)

    def quick_student(self, number: int, so_far: list[Frames]) -> Any:
        folder = self.folder / f"quick-{number}"
        folder.mkdir(exist_ok=True)
        frames = Frames.join(so_far)
        frames.hold_out(0.03, number)
        frames.save(folder / "data.npz")
        self.write_config(folder, "data.npz", "small", self.recipe.quick_epochs, 3e-3)
        self.say(f"quick student {number} on {len(frames)} frames: {train.run(folder / 'config.toml')}")
        return train.load_student(folder / "checkpoint.pt").to(self.device).requires_grad_(False)

    def write_config(self, folder: Path, data: str, size: str, epochs: int, rate: float) -> None:
        values = {"data": data, "folder": ".", "size": size, "epochs": epochs, "batch": self.recipe.batch}
        values |= {"learning_rate": rate, "largest_force": LARGEST_FORCE, "seed": self.recipe.seed}
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        (folder / "config.toml").write_text(text)

    def data(self, parts: list[Frames]) -> Path:
        path = self.folder / "data.npz"
        if not path.exists():
            frames = Frames.join(parts)
            frames.hold_out(self.recipe.held_out, self.recipe.seed)
            frames.save(path)
            self.say(f"data: {len(frames)} frames, {int(frames.held_out.sum())} held out, {file_checksum(path)}")
        return path

    def train(self, size: str) -> dict[str, dict[str, float]]:
        folder = self.folder / size
        folder.mkdir(exist_ok=True)
        self.write_config(folder, "../data.npz", size, self.recipe.epochs, 3e-3 if size == "small" else 2e-3)
        errors = train.run(folder / "config.toml")
        self.say(f"{size}: {json.dumps(errors)}")
        return errors

    def student(self, size: str) -> Any:
        return train.load_student(self.folder / size / "checkpoint.pt").to(self.device).requires_grad_(False)

    def teacher_liquid(self) -> dict[str, Any]:
        """The teacher's own water at 1 g/cm3 and 300 K, from boxes that a quick student equilibrated."""
        path = self.folder / "teacher.json"
        if path.exists():
            return json.loads(path.read_text())
        start = self.folder / "equilibrated.npz"
        count = self.recipe.teacher_replicas
        if not start.exists():
            checkpoint = self.folder / f"quick-{self.recipe.rounds}" / "checkpoint.pt"
            student = train.load_student(checkpoint).to(self.device).requires_grad_(False)
            dynamics = self.liquid(student, student.cutoff, [(64, 1.0, 300.0)] * count, 77, 300)
            dynamics.run(10 * PICOSECOND)
            edge = float(dynamics.volume[0]) ** (1 / 3)
            np.savez(start, positions=dynamics.positions.cpu().numpy(), edge=edge)
        with np.load(start) as file:
            positions, edge = file["positions"], float(file["edge"])
        teacher, cell = self.teacher(), torch.eye(3, dtype=torch.float64).repeat(count, 1, 1) * edge
        dynamics = self.replicas(teacher, teacher.cutoff, positions, cell, [300.0] * count, 78, 0.0, [200.0] * count)
        record, pieces = Record(), 8
        saved = self.folder / "teacher-state.pt"
        if saved.exists():
            dynamics.restore(saved)
            with np.load(self.folder / "teacher-record.npz") as file:
                record = Record(**{name: list(file[name]) for name in file.files})
        while dynamics.step < self.recipe.teacher_steps:
            dynamics.run(self.recipe.teacher_steps // pieces, every=5, frames_every=10, record=record)
            dynamics.save(saved)
            record.save(self.folder / "teacher-record.npz")
            self.say(f"teacher's liquid: step {dynamics.step}, overflow {dynamics.overflowed()}")
        figures = liquid_figures(record, edge, discard=PICOSECOND // 4)
        figures["provenance"] = {
            "label": f"teacher ({self.recipe.teacher}, {self.recipe.modal})",
            "teacher": self.teacher().name,
            "modal": self.recipe.modal,
            "sevenn": self.teacher().version,
            "molecules": 64,
            "density_g_per_cm3": 1.0,
            "temperature_K": 300.0,
            "replicas": count,
            "time_step_fs": 0.5,
            "ps_per_replica": dynamics.step * 0.5e-3,
            "ps_discarded_per_replica": 0.25,
            "thermostat": "stochastic velocity rescaling, 0.2 ps",
            "start": "boxes equilibrated for 10 ps by the student of the last round of exploration",
            "blocks": "one a replica",
        }
        write_atomically(path, lambda p: p.write_text(json.dumps(figures, indent=1)))
        return figures

    def stability(self, size: str) -> dict[str, Any]:
        """Three replicas of 64 molecules: NVT at 300 K and at 600 K, and NVE from 300 K."""
        path = self.folder / f"stability-{size}.json"
        if path.exists():
            return json.loads(path.read_text())
        student = self.student(size)
        with np.load(self.folder / "equilibrated.npz") as file:
            positions, edge = file["positions"][:3], float(file["edge"])
        cell = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1) * edge
        times = [100.0, 100.0, torch.inf]
        dynamics = self.replicas(student, student.cutoff, positions, cell, [300.0, 600.0, 300.0], 5, 0.0, times)
        record, saved = Record(), self.folder / f"stability-{size}.pt"
        if saved.exists():
            dynamics.restore(saved)
            with np.load(self.folder / f"stability-{size}.npz") as file:
                record = Record(**{name: list(file[name]) for name in file.files})
        while dynamics.step < self.recipe.stability_steps:
            dynamics.run(min(5000, self.recipe.stability_steps), every=20, frames_every=200, record=record)
            dynamics.save(saved)
            record.save(self.folder / f"stability-{size}.npz")
            self.say(f"stability of {size}: step {dynamics.step}, overflow {dynamics.overflowed()}")
        figures = stability_figures(record, edge)
        write_atomically(path, lambda p: p.write_text(json.dumps(figures, indent=1)))
        return figures

    def export(self, size: str, errors: dict[str, dict[str, float]]) -> Path:
        frames = Frames.load(self.folder / "data.npz")
        # what fits into the log; the card has all kinds of frames
        short = {
            "liquid energy MAE [meV/atom]": round(errors["liquid"]["energy_meV_per_atom"], 2),
            "liquid force MAE [meV/A]": round(errors["liquid"]["force_meV_per_A"], 1),
            "wall force MAE [meV/A]": round(errors["wall"]["force_meV_per_A"]),
        }
        teacher = {
            "name": f"SevenNet {self.recipe.teacher}",
            "modal": self.recipe.modal,
            "version": f"sevenn {installed_version() or self.recipe.teacher_version}",
            "license": self.recipe.teacher_license,
        }
        path = self.folder / f"water-{size}.pt"
        export.run(
            self.folder / size / "checkpoint.pt",
            path,
            f"water-{size}",
            teacher=teacher,
            data={"name": "water", "frames": len(frames), "held_out": int(frames.held_out.sum()), "sha256": file_checksum(self.folder / "data.npz")},  # noqa: E501
            errors=short,
            contributor="pair_style mlff developers",
            license="MIT",
            references=REFERENCES,
        )  # fmt: skip
        return path


# ----------------------------------------------------------------------------------------------------------- frames


def sane(frames: Frames) -> np.ndarray:
    """Finite labels, and no force beyond `LARGEST_FORCE`."""
    largest = np.array([np.abs(frames.forces[frames.atoms(f)]).max() for f in range(len(frames))])
    return np.isfinite(frames.energy) & (largest < LARGEST_FORCE)


def frames_of(
    record: Record, dynamics: Dynamics, boxes: Sequence[tuple[int, float, float]], kind: str, source: str, first: int
) -> Frames:
    """The positions of a record as frames without labels; replica k is trajectory ``first + k``."""
    numbers = np.array(ELEMENTS)[dynamics.element.view(dynamics.replicas, -1)[0].cpu().numpy()]
    positions, cells, temperatures, trajectories = [], [], [], []
    cell = None if dynamics.cell is None else dynamics.cell.cpu().numpy()
    for sample in record.positions:
        for k, x in enumerate(sample):
            if np.isfinite(x).all():
                positions.append(x)
                cells.append(None if cell is None else cell[k])
                temperatures.append(boxes[k][2])
                trajectories.append(first + k)
    return Frames.build([numbers] * len(positions), positions, cells, kind, source, temperatures, trajectories)


def perturbed(frames: Frames, count: int, rng: np.random.Generator) -> Frames:
    """Copies with atoms shaken by 0.02 to 0.12 Å and cells strained by some percent, in their own trajectories."""
    count = min(count, len(frames) // 2)
    chosen = frames.select(rng.choice(len(frames), count, replace=False))
    for f in range(count):
        rows = chosen.atoms(f)
        deform = np.eye(3) + rng.normal(0, 0.015, (3, 3))
        chosen.cell[f] = chosen.cell[f] @ deform
        shaken = chosen.positions[rows] @ deform + rng.normal(0, rng.uniform(0.02, 0.12), chosen.positions[rows].shape)
        chosen.positions[rows] = shaken
    chosen.kind = np.full(count, "perturbed", chosen.kind.dtype)
    return chosen


def distorted(rng: np.random.Generator, spread: float) -> np.ndarray:
    return water_molecule(
        rng, (0.97 + rng.normal(0, spread), 0.97 + rng.normal(0, spread)), 104 + rng.normal(0, 100 * spread)
    )


def cluster(molecules: int, rng: np.random.Generator, apart: float, spread: float = 0.02) -> np.ndarray:
    """Molecules at random with oxygen atoms at least ``apart`` Å apart, [3 molecules, 3]."""
    radius = 1.1 * apart * molecules ** (1 / 3)
    oxygen: list[np.ndarray] = []
    while len(oxygen) < molecules:
        trial = rng.uniform(-radius, radius, 3)
        if np.linalg.norm(trial) < radius and all(np.linalg.norm(trial - o) > apart for o in oxygen):
            oxygen.append(trial)
    return np.concatenate([o + distorted(rng, spread) for o in oxygen])


def wall(rng: np.random.Generator) -> np.ndarray:
    """Two molecules with one pair of their atoms pressed together, down to where the ZBL repulsion takes over."""
    first, second = distorted(rng, 0.04), distorted(rng, 0.04)
    i, j = rng.integers(0, 3, 2)
    shortest = {0: 0.65, 1: 0.95, 2: 1.3}[int(i == 0) + int(j == 0)]
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    distance = rng.uniform(shortest, shortest + 1.3)
    return np.concatenate([first, second - second[j] + first[i] + distance * direction])


def built_frames(rng: np.random.Generator) -> Frames:
    """Small things in vacuum; each is a trajectory of its own."""
    pieces: list[tuple[str, list[np.ndarray]]] = [
        ("molecule", [water_molecule(rng, tuple(rng.uniform(0.7, 1.45, 2)), rng.uniform(70, 160)) for _ in range(150)]),  # type: ignore[arg-type]  # noqa: E501
        ("molecule", [distorted(rng, 0.05) for _ in range(100)]),
        ("wall", [water_molecule(rng, (rng.uniform(0.55, 0.8), 0.97), rng.uniform(60, 120)) for _ in range(60)]),
        ("dimer", [cluster(2, rng, rng.uniform(2.3, 4.5), 0.04) for _ in range(250)]),
        ("cluster", [cluster(int(rng.integers(3, 9)), rng, rng.uniform(2.3, 2.9), 0.04) for _ in range(150)]),
        ("wall", [wall(rng) for _ in range(400)]),
    ]
    frames, first = [], 100000
    for kind, positions in pieces:
        count = len(positions)
        numbers = [np.tile([8, 1, 1], len(x) // 3) for x in positions]
        trajectories = list(range(first, first + count))
        frames.append(Frames.build(numbers, positions, [None] * count, kind, "built", [np.nan] * count, trajectories))
        first += count
    return Frames.join(frames)


# ---------------------------------------------------------------------------------------------------------- figures


def oxygen_rdf(positions: np.ndarray, edge: float, bins: np.ndarray) -> np.ndarray:
    """O-O g(r) of frames [frames, atoms, 3] of water (order O, H, H) in a cubic box, by minimum image."""
    counts = np.zeros(len(bins) - 1)
    for frame in positions:
        oxygen = frame[::3].astype(float)
        d = oxygen[None] - oxygen[:, None]
        d -= edge * np.round(d / edge)
        distance = np.sqrt((d * d).sum(2))[np.triu_indices(len(oxygen), 1)]
        counts += np.histogram(distance, bins)[0]
    n = positions.shape[1] // 3
    shell = 4 / 3 * np.pi * np.diff(bins**3)
    return counts / len(positions) / (n * (n - 1) / 2) * edge**3 / shell


def diffusion(positions: np.ndarray, interval_fs: float) -> float:
    """m²/s from the slope of the oxygen mean square displacement between 0.5 ps and half the length, all origins."""
    oxygen = positions[:, ::3].astype(float)
    oxygen = oxygen - positions.mean(1, keepdims=True)
    low, high = int(500 / interval_fs), len(oxygen) // 2
    lags = np.arange(low, max(high, low + 2))
    msd = [((oxygen[lag:] - oxygen[:-lag]) ** 2).sum(2).mean() for lag in lags]
    return float(np.polyfit(lags * interval_fs, msd, 1)[0] / 6 * 1e-5)  # Å²/fs = 1e-5 m²/s


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean over blocks and its standard error."""
    array = np.array(values)
    return {"mean": float(array.mean()), "error": float(array.std(ddof=1) / np.sqrt(len(array)))}


def liquid_figures(record: Record, edge: float, discard: int) -> dict[str, Any]:
    """Structure, diffusion and pressure of replicas of one box, each replica a block."""
    arrays = record.arrays()
    keep, later = arrays["frame_step"] > discard, arrays["step"] > discard
    bins = np.arange(1.5, edge / 2, 0.05)
    r = 0.5 * (bins[1:] + bins[:-1])
    replicas = range(arrays["positions"].shape[1])
    curves = np.array([oxygen_rdf(arrays["positions"][keep][:, k], edge, bins) for k in replicas])
    interval = 0.5 * float(np.diff(arrays["frame_step"])[0])
    pressure = (2 * arrays["kinetic"] + arrays["virial"][:, :, :3].sum(2)) / (3 * edge**3) * GPA
    mean = curves.mean(0)
    peak = int(mean.argmax())
    minimum = peak + int(mean[peak : peak + 30].argmin())
    atoms = arrays["positions"].shape[2]
    temperature = 2 * arrays["kinetic"] / (3 * atoms - 3) / 8.617333262e-5
    return {
        "r": r.round(4).tolist(),
        "g": mean.round(5).tolist(),
        "g_error": (curves.std(0, ddof=1) / np.sqrt(len(curves))).round(5).tolist(),
        "peak": {"r": float(r[peak]), "g": float(mean[peak])},
        "minimum": {"r": float(r[minimum]), "g": float(mean[minimum])},
        "diffusion_m2_per_s": spread([diffusion(arrays["positions"][keep][:, k], interval) for k in replicas]),
        "pressure_GPa": spread([float(pressure[later, k].mean()) for k in replicas]),
        "temperature_K": spread([float(temperature[later, k].mean()) for k in replicas]),
    }


def stability_figures(record: Record, edge: float) -> dict[str, Any]:
    """Of the three replicas of `Distillation.stability`."""
    arrays = record.arrays()
    atoms = arrays["positions"].shape[2]
    temperature = 2 * arrays["kinetic"] / (3 * atoms - 3) / 8.617333262e-5
    picoseconds = arrays["step"] * 0.5e-3
    total = (arrays["energy"] + arrays["kinetic"])[:, 2]
    intact = [longest_bond(arrays["positions"][:, k], edge) for k in range(3)]
    half = len(picoseconds) // 2
    result: dict[str, Any] = {"ps": float(picoseconds[-1]), "time_step_fs": 0.5}
    for k, name in enumerate(("NVT_300K", "NVT_600K", "NVE_300K")):
        result[name] = {
            "temperature_K": float(temperature[half:, k].mean()),
            "largest_temperature_K": float(temperature[:, k].max()),
            "longest_OH_bond_A": intact[k],
            "finite": bool(np.isfinite(arrays["energy"][:, k]).all()),
        }
    slope, error = drift(picoseconds, total, atoms)
    result["NVE_300K"] |= {"drift_meV_per_atom_per_ns": slope, "drift_error": error}
    return result


def longest_bond(positions: np.ndarray, edge: float) -> float:
    """Largest distance of an H atom from its own O over all frames, Å."""
    molecules = positions.reshape(len(positions), -1, 3, 3)
    d = molecules[:, :, 1:] - molecules[:, :, :1]
    return float(np.sqrt((d**2).sum(3)).max())


REFERENCES = [
    '@inproceedings{painn,\n author = {K. T. Sch{\\"u}tt and O. T. Unke and M. Gastegger},\n title = {Equivariant message passing for the prediction of tensorial properties and molecular spectra},\n booktitle = {ICML},\n year = {2021},\n note = {arXiv:2102.03150}\n}',  # noqa: E501
    "@article{sevennet,\n author = {Y. Park and J. Kim and S. Hwang and S. Han},\n title = {Scalable parallel algorithm for graph neural network interatomic potentials in molecular dynamics simulations},\n journal = {J. Chem. Theory Comput.},\n volume = {20},\n pages = {4857},\n year = {2024}\n}",  # noqa: E501
]


def run(
    config: str | os.PathLike[str], stages: Sequence[str] = ("data", "train", "teacher", "stability", "export")
) -> None:
    """The stages named, each with what it needs."""
    distillation = Distillation(Recipe.read(config))
    if "data" in stages:
        parts = [distillation.built(), distillation.dynamics()]
        for number in range(1, distillation.recipe.rounds + 1):
            parts.append(distillation.explore(number, parts))
        distillation.data(parts)
    errors = {size: distillation.train(size) for size in ("small", "medium") if size in stages or "train" in stages}
    if "teacher" in stages:
        distillation.teacher_liquid()
    for size in ("small", "medium"):
        if "stability" in stages or f"stability-{size}" in stages:
            distillation.stability(size)
        if "export" in stages:
            distillation.export(
                size, errors.get(size) or json.loads((distillation.folder / size / "errors.json").read_text())
            )
