"""Batched dynamics: edges in static shapes, energy conservation, thermostats, restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlff.data import Frames, Potential, energy_forces_virial, frame_graph
from mlff.dynamics import ACCELERATION, BOLTZMANN, Dynamics, relax, water_box
from mlff.painn import PaiNN


def springs(element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor) -> torch.Tensor:
    """Stiff bonds of water between O and H nearer than 1.6 Å, zero with its slope at the cutoff of 1.6 Å."""
    d = torch.linalg.vector_norm(rij, dim=1)
    y = (1.6 - d).clamp(min=0.0)
    well = 30.0 * y * y * (0.8 * y - 0.9) * (element[center] != element[neighbor])
    return torch.zeros(element.size(0), dtype=rij.dtype).index_add(0, center, well)


def soft_spheres(
    element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
) -> torch.Tensor:
    """A repulsion that ends with two zero derivatives at 3 Å: a fluid that is in equilibrium soon."""
    pair = 0.5 * (1.0 - torch.linalg.vector_norm(rij, dim=1) / 3.0) ** 3
    return torch.zeros(element.size(0), dtype=rij.dtype).index_add(0, center, pair)


def water(potential: Potential, cutoff: float, replicas: int, molecules: int = 4, **options: Any) -> Dynamics:
    rng = np.random.default_rng(2)
    boxes = [water_box(molecules, 0.8 + 0.1 * k, rng) for k in range(replicas)]
    cell = torch.tensor(np.stack([np.eye(3) * edge for _, edge in boxes]))
    mass = torch.tensor([15.999, 1.008, 1.008] * molecules, dtype=torch.float64)
    element = torch.tensor([1, 0, 0] * molecules)
    options = {
        "temperature": [300.0] * replicas,
        "time_step": [0.25] * replicas,
        "friction": [0.0] * replicas,
    } | options
    return Dynamics(potential, cutoff, element, mass, torch.tensor(np.stack([x for x, _ in boxes])), cell, **options)


def test_edges_in_static_shapes_give_the_same_forces() -> None:
    """Small boxes with several images of a neighbor; the filler must add nothing."""
    torch.manual_seed(1)
    model = PaiNN(["H", "O"], [1, 8], 8, 2, 6, 5.0, [0.0, 0.0], [0.31, 0.66]).requires_grad_(False)
    dynamics = water(model, 5.0, 2)
    assert dynamics.capacity > 1.2 * dynamics.num_edges and not dynamics.overflowed()
    for k in range(2):
        x, cell = dynamics.positions[k].numpy(), dynamics.cell[k].numpy()
        numbers = np.tile([8, 1, 1], 4)
        frame = Frames.build([numbers], [x], [cell], "liquid", "built", [0.0], [0])
        energy, forces, virial = energy_forces_virial(model, frame_graph(frame, 0, [1, 8], 5.0, "cpu"))
        # float32 network and positions rounded to float32
        assert dynamics.energy[k].item() == pytest.approx(energy.item(), abs=1e-4)
        scale = float(forces.abs().max()) + 1.0
        np.testing.assert_allclose(dynamics.forces[k].numpy(), forces.numpy(), rtol=0, atol=1e-4 * scale)
        np.testing.assert_allclose(dynamics.virial[k].numpy(), virial[0].numpy(), rtol=0, atol=1e-3 * scale)


def test_more_edges_than_room_is_noticed() -> None:
    dynamics = water(springs, 1.6, 1)
    dynamics.capacity = dynamics.num_edges - 1
    dynamics.compute_forces()
    assert dynamics.overflowed()


def test_energy_error_of_velocity_verlet_falls_with_the_square_of_the_time_step() -> None:
    fluctuations = []
    for time_step in (0.5, 0.25):
        dynamics = water(springs, 1.6, 2, time_step=[time_step] * 2)
        record = dynamics.run(int(100 / time_step), every=1).arrays()
        total = record["energy"] + record["kinetic"]
        fluctuations.append(total.std(0).mean())
    # forces are float32, so the smallest fluctuation to be seen is some 1e-6 eV
    assert fluctuations[1] > 1e-6
    assert 3.0 < fluctuations[0] / fluctuations[1] < 5.0


@pytest.mark.parametrize("thermostat", [{"friction": [0.02] * 4}, {"rescaling_time": [20.0] * 4}])
def test_thermostats_reach_their_temperature(thermostat: dict[str, list[float]]) -> None:
    """Started at 900 K, held at 300 K. 144 degrees of freedom over 30 decay times: the mean is known to some 3 %."""
    dynamics = water(soft_spheres, 3.0, 4, time_step=[0.5] * 4, **thermostat)
    dynamics.velocities *= 3**0.5
    record = dynamics.run(3500, every=5).arrays()
    assert not dynamics.overflowed()
    freedom = 3 * dynamics.n - (3 if "rescaling_time" in thermostat else 0)
    temperature = 2 * record["kinetic"][100:] / (freedom * BOLTZMANN)
    assert temperature.mean() == pytest.approx(300.0, rel=0.09)


def test_rescaling_leaves_the_momentum_zero() -> None:
    dynamics = water(springs, 1.6, 2, rescaling_time=[20.0, torch.inf])
    dynamics.run(200)
    momentum = (dynamics.mass * dynamics.velocities).sum(1)
    # float32 forces of up to 10 eV/Å sum to some 1e-6, times 200 steps
    assert float(momentum.abs().max()) < 200 * 0.25 * ACCELERATION * 1e-5


def test_a_restarted_run_goes_on_as_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = water(springs, 1.6, 2, friction=[0.02] * 2)
    whole.run(20)
    whole.save(tmp_path / "state.pt")
    whole.run(30)
    again = water(springs, 1.6, 2, friction=[0.02] * 2, seed=9)
    again.restore(tmp_path / "state.pt")
    again.run(30)
    assert again.step == whole.step == 50
    assert torch.equal(again.positions, whole.positions) and torch.equal(again.velocities, whole.velocities)


def test_relaxing_lowers_the_energy_and_moves_no_atom_far() -> None:
    dynamics = water(springs, 1.6, 2)
    dynamics.positions[:, 1] = dynamics.positions[:, 0] + 0.5  # an H at 0.87 Å
    dynamics.compute_forces()
    before, start = dynamics.energy.clone(), dynamics.positions.clone()
    relax(dynamics, 10, 0.02)
    assert bool((dynamics.energy < before).all())
    assert float((dynamics.positions - start).norm(dim=2).max()) <= 10 * 0.02 + 1e-9
