"""Writes the data files of tests/, and with a tester and a plugin the references in its YAML files.

    python unittest/force-styles/make_cases.py [--tester BUILD/unittest/force-styles/test_pair_style --plugin-dir BUILD]

References are the host style's in double precision; test_references.py compares them with the student in Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TESTS = HERE / "tests"
sys.path.insert(0, str(HERE.parent / "pair_mlff"))

from lammps_run import scattered_points, write_data  # noqa: E402

MASS = {"H": 1.008, "C": 12.011, "O": 15.999, "Ar": 39.948}
ANGLE, BOND = np.radians(104.5), 0.97


def water(rng: np.random.Generator, oxygens: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """[atoms, 3], O H H of each molecule, turned until no atom is nearer than 1.4 Å to another molecule's."""
    positions: list[np.ndarray] = []
    for oxygen in oxygens:
        while True:
            a, b = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
            legs = [np.cos(s * ANGLE / 2) * a + np.sin(s * ANGLE / 2) * b for s in (1, -1)]
            molecule = [oxygen, *(oxygen + BOND * leg for leg in legs)]
            delta = np.array(molecule)[:, None] - np.array(positions or [[1e3] * 3])[None]
            delta -= np.round(delta / np.diag(cell)) * np.diag(cell)
            if np.linalg.norm(delta, axis=2).min() > 1.4:
                positions += molecule
                break
    return np.array(positions)


def write_systems() -> None:
    rng = np.random.default_rng(8)
    cell = 9.3 * np.eye(3)
    sites = np.array([[x, y, z] for x in range(3) for y in range(3) for z in range(2)]) * [3.1, 3.1, 4.65] + 0.6
    sites += rng.uniform(-0.25, 0.25, sites.shape)
    x = water(rng, sites[:16], cell)
    types = np.tile([1, 2, 2], 16)
    write_data(TESTS / "data.water", cell, types, x, [MASS[e] for e in ("O", "H")])
    mixed = np.concatenate([x, sites[16:] + [0.0, 0.0, 0.5]])
    write_data(TESTS / "data.argon", cell, np.append(types, [3, 3]), mixed, [MASS[e] for e in ("O", "H", "Ar")])

    cell = np.array([[8.0, 0.0, 0.0], [1.9, 7.6, 0.0], [-1.3, 2.2, 8.3]])
    x = scattered_points(rng, 30, np.array([0.0, 0.4, 0.4]), np.array([6.4, 7.2, 7.9]), 1.3)
    write_data(TESTS / "data.t3", cell, rng.integers(1, 4, 30), x, [MASS[e] for e in ("H", "C", "O")])


def write_references(tester: Path, plugin_dir: Path) -> None:
    root = HERE.parent.parent
    environment = {
        **os.environ, "LAMMPS_PLUGIN_PATH": str(plugin_dir.resolve()), "OMP_NUM_THREADS": "1",
        "LAMMPS_POTENTIALS": f"{root / 'potentials'}:{root / 'unittest' / 'reference'}",
    }  # fmt: skip
    for case in sorted(TESTS.glob("*.yaml")):
        new = case.with_suffix(".new")
        new.unlink(missing_ok=True)
        subprocess.run([tester.resolve(), case, "-d", TESTS, "-g", new], env=environment, check=True, cwd=TESTS)
        new.replace(case)  # the tester returns 0 when it has written nothing: then this fails


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tester", type=Path)
    parser.add_argument("--plugin-dir", type=Path)
    arguments = parser.parse_args()
    write_systems()
    if arguments.tester:
        write_references(arguments.tester, arguments.plugin_dir)


if __name__ == "__main__":
    main()
