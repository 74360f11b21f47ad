"""The benchmark suite: it measures what it says, and there is a row for everything, with numbers or a reason."""

from __future__ import annotations

import copy
import json
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlff.bench import drift, lammps_engine
from mlff.bench.lammps_engine import error_of
from mlff.bench.process import Clock, Peak, RefusedError, StoppedError, in_child, peak_memory, run_program
from mlff.bench.python_engines import cell_forces, force_error, time_calls
from mlff.bench.systems import System, make_system
from mlff.command import main
from mlff.neighbors import find_edges
from mlff.student import Student

ROOT = Path(__file__).parent.parent.parent
WATER = ROOT / "examples" / "water" / "water.data"
SMALL = ROOT / "potentials" / "water-small.pt"

# ---------------------------------------------------------------- systems


def distances(system: System) -> np.ndarray:
    """Between all atoms, to the nearest image; an atom is infinitely far from itself."""
    positions, box = system.all_positions(), system.lengths * system.copies
    away = positions[:, None] - positions[None]
    away -= np.round(away / box) * box
    return np.linalg.norm(away, axis=2) + np.diag(np.full(len(positions), np.inf))


@pytest.mark.parametrize(
    ("atoms", "oxygen", "radicals"),
    [(3, 1, 0), (12, 4, 0), (50, 17, 1), (100, 34, 2), (192, 64, 0), (384, 128, 0), (1536, 512, 0)],
)
def test_systems_are_water_without_overlaps(atoms: int, oxygen: int, radicals: int) -> None:
    system = make_system(atoms, WATER)
    symbols = np.array(system.symbols * (system.num_atoms // len(system.symbols)))
    assert system.num_atoms == len(symbols) == len(system.all_positions()) == atoms
    assert (symbols == "O").sum() == oxygen
    between = distances(system)
    bonded = between < 1.25
    assert between.min() > 0.85  # a bond of O-H is 0.96 Å
    assert np.where(bonded, np.inf, between).min() > 1.35  # a hydrogen bond is 1.5 Å or more
    assert (bonded[symbols == "H"].sum(axis=1) == 1).all() and not bonded[np.ix_(symbols == "H", symbols == "H")].any()
    per_oxygen = bonded[symbols == "O"].sum(axis=1)
    assert (per_oxygen == 1).sum() == radicals and (per_oxygen == 2).sum() == oxygen - radicals


def test_a_large_box_is_as_many_copies_as_it_says() -> None:
    assert make_system(98304, WATER).num_atoms == 98304
    assert make_system(98304, WATER).copies == (8, 8, 8)
    assert make_system(768, WATER).copies == (2, 2, 1)
    with pytest.raises(ValueError, match="expected 3, 12, 50, 100 atoms .* found 500"):
        make_system(500, WATER)


@pytest.mark.parametrize("atoms", [50, 192, 384, 1536])
def test_edges_of_copies_are_those_of_a_search_among_all_atoms(atoms: int) -> None:
    system = make_system(atoms, WATER)
    positions = system.all_positions()
    center, neighbor, offset = system.edges(5.0)
    expected = find_edges(positions, np.diag(system.lengths * system.copies), True, 5.0)
    assert (np.diff(center) >= 0).all() and len(center) == len(expected.center)
    order = np.lexsort((*np.round(offset.T), neighbor, center))
    assert (center[order] == expected.center).all() and (neighbor[order] == expected.neighbor).all()
    found = positions[neighbor] + offset - positions[center]
    sort = [np.lexsort((*np.round(rij.T, 6), n, c)) for c, n, rij in
            ((center, neighbor, found), (expected.center, expected.neighbor, expected.rij))]  # fmt: skip
    assert np.abs(found[sort[0]] - expected.rij[sort[1]]).max() < 1e-9


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("atoms", [50, 192])
def test_the_reference_is_the_force_of_the_student_in_double(atoms: int) -> None:
    """Against another road to forces: ASE's atoms, another search, the gradient by edges."""
    from ase import Atoms

    system = make_system(atoms, WATER)
    frame = Atoms(system.symbols, system.positions, cell=system.lengths, pbc=atoms == 192)
    (expected,) = Student(SMALL, precision="fp64", neighbors="brute").predict([frame])
    assert np.abs(in_child(Clock(None, 60), cell_forces, str(SMALL), system) - expected.forces).max() < 1e-10


def test_force_error_is_the_largest_difference_over_the_rms_force() -> None:
    cell = np.array([[3.0, 0.0, 0.0], [0.0, -3.0, 0.0]])  # rms of six components: sqrt(18 / 6)
    found = np.tile(cell, (4, 1))
    found[5, 2] = -0.6
    assert force_error(found, cell) == pytest.approx(0.6 / np.sqrt(3.0))
    with pytest.raises(RefusedError, match="finite"):
        force_error(np.full((2, 3), np.nan), cell)


def test_warm_up_is_not_timed() -> None:
    step, calls, warm_up = time_calls(lambda number: time.sleep(0.2 if number < 4 else 0.005), 0.1)
    assert 0.005 <= step < 0.05 and calls >= 2
    assert warm_up > 0.8


def test_drift_is_the_slope_of_the_total_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows before the equilibration's end do not count; rows that a resumed run wrote again count once."""
    folder = tmp_path / "run"

    class Planted:
        def run(self, script: str, folder: Path, *_: object) -> tuple[str, Peak]:
            steps = [*range(0, 6001, 20), *range(5000, 8001, 20)]
            lines = [f"{s} {300 + s % 40} {-100.0 + 0.096 * 0.0005 * s if s > 2000 else 7.0}" for s in steps]
            (folder / "rows.txt").write_text("# step K eV\n" + "\n".join(lines) + "\n")
            return "", Peak(1.0)

    student = SimpleNamespace(file=SMALL)
    row = drift.measure(Planted(), student, make_system(192, WATER), "fp32", "freeze", 3.0, folder, Clock(None, 60))  # type: ignore[arg-type]
    assert row["drift_eV_per_atom_per_ns"] == pytest.approx(1000 * 0.096 / 192)
    assert row["drift_error_eV_per_atom_per_ns"] < 1e-9
    assert row["picoseconds"] == 3.0 and row["calls"] == 6000 and row["mean_temperature_K"] == 310.0


# ---------------------------------------------------------------- processes


def exit_at_once() -> None:
    import os

    os.kill(os.getpid(), 9)


def test_a_process_that_fails_is_a_reason_and_one_that_does_not_end_is_stopped() -> None:
    with pytest.raises(RefusedError, match="signal 9"):
        in_child(Clock(None, 60), exit_at_once)
    with pytest.raises(RefusedError, match="ZeroDivisionError"):
        in_child(Clock(None, 60), divmod, 1, 0)
    with pytest.raises(RefusedError, match="end within 0.2 s.*--longest"):
        in_child(Clock(None, 0.2), time.sleep, 60)
    with pytest.raises(StoppedError):
        in_child(Clock(0.2, 60), time.sleep, 60)


def test_peak_memory_of_a_program(tmp_path: Path) -> None:
    program = "import time; x = bytearray(300 * 2**20); time.sleep(0.3); del x; time.sleep(0.3)"
    command = [sys.executable, "-c", program]
    status, _, peak = run_program(command, tmp_path, {}, Clock(None, 60), on_gpu=False)
    assert status == 0
    assert peak.megabytes is not None and 300 < peak.megabytes < 400


@pytest.mark.parametrize(("listed", "expected"), [(True, 300.0), (False, 4000.0)])
def test_peak_memory_on_a_gpu_that_others_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool, expected: float
) -> None:
    """What others took meanwhile counts only where the driver never lists the process; it does so with a delay."""

    class EveryProcess(dict[int, float]):
        def __contains__(self, pid: object) -> bool:
            return True

        def __missing__(self, pid: int) -> float:
            return 300.0

    before, early, late = ({}, 1000.0), ({}, 5000.0), (EveryProcess() if listed else {}, 5000.0)
    looks = iter([before, early, *[late] * 9])
    monkeypatch.setattr("mlff.bench.process.gpu_memory", lambda: next(looks))
    _, _, peak = run_program(["sleep", "2.5"], tmp_path, {}, Clock(None, 60), on_gpu=True)
    assert peak.megabytes == expected


def peak_after_freeing() -> float | None:
    held = np.ones(300 * 2**17)
    del held
    return peak_memory()


def test_peak_memory_of_a_child_outlives_the_memory() -> None:
    idle = in_child(Clock(None, 60), peak_memory)
    assert 250 < in_child(Clock(None, 60), peak_after_freeing) - idle < 400


def test_the_reason_of_lammps_is_its_own_sentence() -> None:
    output = (
        "LAMMPS (4 Jul 2026)\nERROR: pair_style mlff: expected this,\nfound that. (src/p.cpp:12)\nLast input: run\n"
    )
    assert error_of(output, 1) == "ERROR: pair_style mlff: expected this, found that."
    assert "signal 9" in error_of("nothing", -9)


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def arguments(config: dict[str, str]) -> list[str]:
    text = "--students tiny --table-sizes 192 --engines eager,script,fp16 --precisions fp64,fp32,tf32 --jit off,freeze "
    text += "--seconds 0.2 --drift-picoseconds 0.2 --commit abc"
    return [*text.split(), "--lmp", config["lmp"], "--plugin-dir", config["plugin_dir"]]


@pytest.fixture(scope="module")
def measured(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 and 192 atoms, all parts; the drift in a second call, with fewer precisions."""
    path = tmp_path_factory.mktemp("bench") / "tiny.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "EQUILIBRATION", 20)
        assert main(["bench", str(path), "--sizes", "3,192", *arguments, "--parts", "python,lammps,neighbors"]) == 0
        few = ["--parts", "drift", "--precisions", "fp32,tf32", "--concurrent", "--resume"]
        assert main(["bench", str(path), *arguments, *few]) == 0
    return path


def read(path: Path) -> dict[tuple, dict]:
    """Rows by part, atoms, engine, precision, jit."""
    rows = json.loads(path.read_text())["rows"]
    by_key = {(row["part"], row["atoms"], row["engine"], row["precision"], row["jit"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def test_every_row_has_numbers_or_a_reason(measured: Path) -> None:
    rows = read(measured)
    table = [("lammps", 192, "lammps", p, j) for p in ("fp64", "fp32", "tf32") for j in ("off", "freeze")]
    expected = {
        *(("python", atoms, "eager", "fp32", None) for atoms in (3, 192)),
        ("python", 192, "script", "fp32", None),
        ("python", 192, "fp16", "bf16", None),
        *table,
        *(("neighbors", 192, method, None, None) for method in ("brute", "matscipy", "torch_cluster", "lammps")),
        *(("drift", 192, "lammps", precision, "freeze") for precision in ("fp32", "tf32")),
    }
    elsewhere = {key for key in rows if key[:2] == ("lammps", 3)}
    assert set(rows) == expected | elsewhere
    best = sorted((rows[key] for key in table if rows[key]["reason"] is None), key=lambda row: row["ms"])[:2]
    assert {key[3:] for key in elsewhere} == {(row["precision"], row["jit"]) for row in best}
    for key, row in rows.items():
        if row["reason"] is not None:
            assert "ms" not in row and (key[3] == "tf32" or key[2] == "torch_cluster"), row
        elif key[0] == "drift":
            assert row["picoseconds"] == 0.2 and row["drift_error_eV_per_atom_per_ns"] > 0
            assert row["mean_temperature_K"] > 50
        else:
            assert row["ms"] > 0 and row["calls"] >= 2 and "discarded" in row["warm_up"]
            assert row["atom_steps_per_s"] == pytest.approx(1e3 * row["atoms"] / row["ms"])
            assert 20 < row["memory_MB"] < 4000
    content = json.loads(measured.read_text())
    (setting,) = content["settings"]
    assert setting["commit"] == "abc" and setting["machine"]["processor"] and setting["machine"]["threads"]
    assert setting["versions"]["torch"] and setting["versions"]["lammps"] and setting["versions"]["numpy"]
    assert content["students"]["tiny"]["origin"] == "random weights"
    assert measured.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_a_refused_choice_says_why(measured: Path) -> None:
    rows = read(measured)
    assert "tf32" in rows["lammps", 192, "lammps", "tf32", "off"]["reason"]
    assert "tf32" in rows["drift", 192, "lammps", "tf32", "freeze"]["reason"]


def test_speed_up_and_force_error(measured: Path) -> None:
    """Speed-ups are ratios of times; LAMMPS in fp64 has the reference's forces, so that errors are of precisions."""
    rows = read(measured)
    for key, row in rows.items():
        if row["reason"] is None and key[0] in ("python", "lammps"):
            base = rows["python", key[1], "eager", "fp32", None]
            assert row["speed_up"] == pytest.approx(base["ms"] / row["ms"])
            assert row["force_error"] < 1e-9 if key[3] == "fp64" else 1e-8 < row["force_error"]
            assert row["force_error"] < (0.5 if key[3] == "bf16" else 1e-4)
    for method in ("brute", "matscipy"):
        row = rows["neighbors", 192, method, None, None]
        assert row["edges"] == len(find_edges(*box(), True, 5.0).center)


def box() -> tuple[np.ndarray, np.ndarray]:
    system = make_system(192, WATER)
    return system.positions, np.diag(system.lengths)


def test_resume_measures_what_is_missing_and_nothing_else(
    measured: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "again.json"
    shutil.copyfile(measured, path)
    command = ["bench", str(path), "--sizes", "3,12", "--parts", "python", *arguments]
    assert main(command) == 1
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    before, after = read(measured), read(path)
    assert set(after) - set(before) == {("python", 12, "eager", "fp32", None)}
    assert all(after[key] == row for key, row in before.items())


def test_a_reason_names_no_folder_of_this_machine(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        *_, folder, _clock = given
        raise RefusedError(f"ERROR: {folder}/in.bench: expected this, found that.")

    monkeypatch.setattr(lammps_engine, "measure", refuse)
    path = tmp_path / "refused.json"
    assert main(["bench", str(path), "--sizes", "3", *arguments, "--parts", "lammps"]) == 0
    assert {row["reason"] for row in read(path).values()} == {"ERROR: lammps/in.bench: expected this, found that."}
    assert str(tmp_path) not in path.read_text()


def test_limit_stops_cleanly(arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "stopped.json"
    assert main(["bench", str(path), "--sizes", "192", "--everywhere", "--limit", "0.5", *arguments]) == 0
    assert "Go on with --resume" in caplog.text
    assert not path.exists() or len(read(path)) < 10


def test_compare_finds_what_became_slower(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def compare(change) -> tuple[int, str]:  # noqa: ANN001
        old = tmp_path / "old.json"
        content = copy.deepcopy(json.loads(measured.read_text()))
        change(content)
        old.write_text(json.dumps(content))
        capsys.readouterr()
        return main(["bench", str(measured), "--picture-only", "--compare", str(old)]), capsys.readouterr().out

    def row(content: dict, engine: str) -> dict:
        return next(r for r in content["rows"] if (r["part"], r["engine"], r["atoms"]) == ("python", engine, 192))

    code, text = compare(lambda content: None)
    assert code == 0 and "REGRESSION" not in text and " 0 slower" in text

    code, text = compare(lambda content: row(content, "script").update(ms=row(content, "script")["ms"] / 1.2))
    assert code == 1 and text.count("REGRESSION") == 1
    assert "REGRESSION: python tiny 192 atoms script fp32" in text and "+20 %" in text
    code, text = compare(lambda content: row(content, "script").update(ms=row(content, "script")["ms"] / 1.05))
    assert code == 0

    def refused_now(content: dict) -> None:
        next(r for r in content["rows"] if r["precision"] == "tf32").update(ms=1.0, reason=None)

    code, text = compare(refused_now)
    assert code == 1 and "1 ms then, now: " in text

    def elsewhere(content: dict) -> None:
        content["settings"][0]["machine"]["processor"] = "another"
        row(content, "script").update(ms=1e-6)

    code, text = compare(elsewhere)
    assert code == 0 and "not comparable: python tiny 192 atoms script fp32: processor another then" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out.txt"], "ends in .json"),
        (["out.json", "--parts", "dance"], "expected some of python, lammps, neighbors, drift, found 'dance'"),
        (["out.json", "--best", "fp32"], "expected precision:jit"),
        (["out.json", "--students", "nobody"], "found 'nobody'"),
        (["out.json", "--lmp", "no-such-lmp"], "expected a LAMMPS executable, found none"),
        (["out.json", "--plugin-dir", ".", "--device", "cuda"], "expected mlffkkplugin.so for '-k on g 1 -sf kk'"),
    ],
)
def test_mistakes_are_sentences(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *words]) == 1
    assert message in capsys.readouterr().err
