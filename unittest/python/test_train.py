"""Labelled frames and training: gradients, packing, splitting, resuming after a kill, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mlff import export, train
from mlff.data import VOIGT, Frames, Graph, energy_forces_virial, frame_graph, join_graphs, label
from mlff.dynamics import water_box
from mlff.model_file import load_model
from mlff.painn import PaiNN

ELEMENTS = [1, 8]


def make_teacher() -> PaiNN:
    """A network with random weights stands for the teacher."""
    torch.manual_seed(3)
    return PaiNN(["H", "O"], ELEMENTS, 8, 2, 6, 5.0, [-1.0, -2.0], [0.31, 0.66]).requires_grad_(False)


def make_frames() -> Frames:
    """Six trajectories of four frames, half of them periodic and slanted; labels are the teacher's."""
    rng = np.random.default_rng(5)
    positions, cells, trajectories = [], [], []
    for trajectory in range(6):
        start, edge = water_box(4, 0.9, rng)
        cell = np.eye(3) * edge + np.triu(rng.normal(0, 0.2, (3, 3)), 1)
        for _ in range(4):
            positions.append(start + rng.normal(0, 0.05, start.shape))
            cells.append(cell if trajectory % 2 else None)
            trajectories.append(trajectory)
    numbers = [np.tile([8, 1, 1], 4)] * len(positions)
    frames = Frames.build(numbers, positions, cells, "liquid", "built", [300.0] * len(positions), trajectories)
    label(frames, make_teacher(), ELEMENTS, 5.0, "cpu", atoms_per_call=50)
    return frames


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A run of 12 epochs of 5 steps."""
    frames = make_frames()
    frames.hold_out(0.15, 1)
    frames.save(tmp_path / "data.npz")
    path = tmp_path / "run.toml"
    path.write_text('data = "data.npz"\nfolder = "run"\nsize = "tiny"\nepochs = 12\nbatch = 4\ndecay = 0.9\n')
    return path


def test_labels_of_batches_are_those_of_frames_alone() -> None:
    frames, teacher = make_frames(), make_teacher()
    for f in (0, 5, 23):
        energy, forces, virial = energy_forces_virial(teacher, frame_graph(frames, f, ELEMENTS, 5.0, "cpu"))
        # float32 arithmetic, summed in another order
        assert frames.energy[f] == pytest.approx(energy.item(), abs=1e-5 * frames.num_atoms()[f])
        np.testing.assert_allclose(frames.forces[frames.atoms(f)], forces.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(frames.virial[f], virial[0].numpy(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("f", [0, 4])
def test_forces_and_virial_are_finite_differences_of_the_energy(f: int) -> None:
    frames, teacher = make_frames(), make_teacher().double()

    def graph_of(positions: np.ndarray, cell: np.ndarray) -> Graph:
        one = frames.select([f])
        one.positions, one.cell = (positions, cell[None])  # float64: a difference of float32 positions would be noise
        graph = frame_graph(one, 0, ELEMENTS, 5.0, "cpu")
        x = torch.as_tensor(positions)
        shifted = graph.rij.double() - (x[graph.neighbor] - x[graph.center])
        if one.periodic[0]:  # rij is given as float32; its lattice part is a whole number of lattice vectors
            c = torch.as_tensor(cell)
            shifted = (shifted @ torch.linalg.inv(c)).round() @ c
        else:
            shifted = torch.zeros_like(shifted)
        graph.rij = x[graph.neighbor] - x[graph.center] + shifted
        return graph

    x, cell = frames.positions[frames.atoms(f)].astype(float), frames.cell[f]

    def energy(x: np.ndarray, cell: np.ndarray) -> float:
        return energy_forces_virial(teacher, graph_of(x, cell))[0].item()

    _, forces, virial = energy_forces_virial(teacher, graph_of(x, cell))
    h = 1e-4  # the error of a central difference is h² E''' / 6, some 1e-7 here; rounding adds 1e-14 |E| / h = 1e-9
    scale = float(forces.abs().max()) + 1.0
    for atom, axis in ((0, 0), (4, 1), (11, 2)):
        step = np.zeros_like(x)
        step[atom, axis] = h
        slope = (energy(x + step, cell) - energy(x - step, cell)) / (2 * h)
        assert forces[atom, axis].item() == pytest.approx(-slope, abs=1e-5 * scale)
    for component, (a, b) in enumerate(VOIGT):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * h
        strain[b, a] += 0.5 * h
        plus, minus = np.eye(3) + strain, np.eye(3) - strain
        slope = (energy(x @ plus, cell @ plus) - energy(x @ minus, cell @ minus)) / (2 * h)
        assert virial[0, component].item() == pytest.approx(-slope, abs=1e-5 * scale * len(x))


def test_whole_trajectories_are_held_out() -> None:
    frames = make_frames()
    for seed in range(20):
        frames.hold_out(0.2, seed)
        assert 0 < frames.held_out.sum() < len(frames)
        inside, outside = (set(frames.trajectory[~frames.held_out]), set(frames.trajectory[frames.held_out]))
        assert not inside & outside


def test_a_saved_set_is_the_same(tmp_path: Path) -> None:
    frames = make_frames()
    frames.save(tmp_path / "frames.npz")
    again = Frames.join([Frames.load(tmp_path / "frames.npz").select(part) for part in (range(7), range(7, 24))])
    for name, value in vars(frames).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)


def test_the_loss_falls(configuration: Path) -> None:
    run = train.Run(configuration)
    before = train.errors_by_kind(run.averaged(), run.test_items, run.test_kinds)["liquid"]["force_meV_per_A"]
    after = run.run()["liquid"]["force_meV_per_A"]
    # a network that says nothing has the error of the teacher's mean force, which the start is near to or above
    assert after < 0.7 * before
    assert (configuration.parent / "run" / "learning_curve.png").stat().st_size > 0
    assert (configuration.parent / "run" / "config.toml").read_text() == configuration.read_text()


def test_a_killed_run_goes_on_as_if_it_had_not_been(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train.Run(configuration)
    whole.run()

    text = configuration.read_text().replace('"run"', '"killed"') + "checkpoint_every = 0.0\n"
    configuration.write_text(text)
    killed = train.Run(configuration)
    one_step = killed.one_step

    def step_or_die(which: np.ndarray) -> torch.Tensor:
        if killed.step == 23:  # within an epoch
            raise KeyboardInterrupt
        return one_step(which)

    monkeypatch.setattr(killed, "one_step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = train.Run(configuration)
    assert resumed.step == 23
    resumed.run()
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name]), name


def test_filler_changes_neither_loss_nor_gradients(configuration: Path) -> None:
    run = train.Run(configuration)
    run.model.double()
    batch = train.join(run.items[:3])
    for name in ("forces", "virial", "atoms", "periodic", "weight"):
        setattr(batch, name, getattr(batch, name).double())
    batch.graph.rij = batch.graph.rij.double()
    results = []
    for which in (batch, train.padded(batch, run.capacity, run.settings)):
        run.model.zero_grad()
        loss = train.loss_of(run.model, which, run.settings, torch.tensor(2.0))
        loss.backward()
        results.append(
            [loss.detach().double()] + [p.grad.clone() for p in run.model.parameters() if p.grad is not None]
        )
    for a, b in zip(*results, strict=True):
        # weights and energy errors are float32: 1e-6; the rest is rounding of float64
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))


def test_reference_energies_fit_the_composition() -> None:
    frames = make_frames()
    frames.energy[:] = -3.0 * (frames.numbers == 1).reshape(24, -1).sum(1) - 5.0 * (frames.numbers == 8).reshape(
        24, -1
    ).sum(1)
    # all water: 2 H + O is fixed, its split is the shortest solution
    energies = train.fit_reference_energies(frames, ELEMENTS)
    assert 2 * energies[0] + energies[1] == pytest.approx(-11.0, abs=1e-9)
    assert energies[0] == pytest.approx(2 * energies[1], abs=1e-9)


def test_an_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('data = "d"\nfolder = "f"\nepoch = 3\n')
    with pytest.raises(ValueError, match="found epoch"):
        train.Settings.read(tmp_path / "run.toml")


@pytest.mark.parametrize("values", ["[0.6, 0.5]", "[0.5, 0.5]", "[-0.1, 0.5]", "[0.5, 5.1]", "[0.5]"])
def test_an_inner_switch_that_is_no_range_is_refused(tmp_path: Path, values: str) -> None:
    (tmp_path / "run.toml").write_text(f'data = "d"\nfolder = "f"\ninner_switch = {values}\n')
    with pytest.raises(ValueError, match="inner_switch: expected two distances, 0 <= first < last <= 5"):
        train.Settings.read(tmp_path / "run.toml")


def test_export_writes_the_averaged_weights_and_the_provenance(configuration: Path) -> None:
    run = train.Run(configuration)
    run.run(until=7)
    out = configuration.parent / "student.pt"
    export.run(run.checkpoint, out, None, license="MIT", errors={"force_meV_per_A, liquid": 1.0})
    model, header = load_model(out)
    assert header["name"] == "student" and header["license"] == "MIT" and header["elements"] == ["H", "O"]
    assert header["reference_energies"] == run.network["reference_energies"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, run.average[name].cpu()), name
    graph = join_graphs([i.graph for i in run.test_items])
    assert torch.equal(model(graph.element, graph.center, graph.neighbor, graph.rij),
                       run.averaged()(graph.element, graph.center, graph.neighbor, graph.rij))  # fmt: skip
