"""Compiled students: what the package computes is what the network and autograd compute, for graphs of every size.

To compile takes most of a minute a precision, so the packages are those that the C++ tests run (compile_packages.py),
and two precisions stand for all: fp64 for the mathematics, fp16 for all that narrow weights and the scale of the
backward pass add. ``--aot-precisions "fp64 fp32 tf32 bf16 fp16"`` compiles and tests the others; where Torch has a GPU,
the same tests run on it too.
"""

from __future__ import annotations

import itertools
import json
import logging
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from compile_packages import compile_package
from mlff import aot
from mlff.aot import MODELS, PackageError, cast, compile_student, read_package
from mlff.command import main
from mlff.model_file import load_model, save_model
from mlff.painn import PaiNN
from torch import Tensor

REFERENCE = Path(__file__).parent.parent / "reference"
STUDENT = "painn-t3-v1"  # H C O, cutoff 4 Å, T = 3
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
#: Largest difference of energies and gradients, relative to the largest value (of energies: to 1 eV at least, for terms
#: of that size cancel in them). In 16 bits some 20 roundings were found in this student of random weights.
TOLERANCE = {"fp64": 1e-12, "fp32": 1e-5, "tf32": 40 * 2**-11, "bf16": 40 * 2**-9, "fp16": 40 * 2**-11}


class Compiled:
    """A package as a C++ program opens it, with the student in double beside it."""

    def __init__(self, folder: Path, device: str, precision: str) -> None:
        self.device, self.precision = device, precision
        self.file, self.path = compile_package(folder, STUDENT, device, precision)
        self.student = cast(load_model(self.file)[0], "fp64").to(device)
        self.loaders = {
            model: torch._C._aoti.AOTIModelPackageLoader(str(self.path), model, False, 1, -1) for model in MODELS
        }

    def run(self, model: str, *inputs: Tensor) -> list[Tensor]:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        try:
            return self.loaders[model].run([t.to(self.device) for t in inputs])
        finally:
            torch.set_float32_matmul_precision(before)

    def expected(self, graph: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, Tensor]:
        element, center, neighbor, rij = (t.to(self.device) for t in graph)
        rij.requires_grad_(True)
        energy = self.student(element, center, neighbor, rij)
        (gradient,) = torch.autograd.grad([energy], [rij], [weight.to(self.device)])
        return energy.detach(), gradient


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "compiled" in metafunc.fixturenames:
        precisions = metafunc.config.getoption("--aot-precisions").split()
        cases = [case for case in itertools.product(DEVICES, precisions) if case != ("cpu", "tf32")]
        metafunc.parametrize("compiled", cases, ids="-".join, indirect=True, scope="session")


@pytest.fixture(scope="session")
def compiled(request: pytest.FixtureRequest, config: dict[str, str]) -> Compiled:
    return Compiled(Path(config["aot_dir"]), *request.param)


def make_graph(num_atoms: int, num_edges: int) -> tuple[Tensor, ...]:
    """element, center, neighbor, rij of a random graph, with distances from 1.3 Å to the cutoff.

    Nearer atoms in such numbers have forces beyond the range of half precision.
    """
    random = torch.Generator().manual_seed(1000 * num_atoms + num_edges)
    element = torch.randint(0, 3, (num_atoms,), generator=random)
    center, _ = torch.randint(0, max(num_atoms, 1), (num_edges,), generator=random).sort()
    neighbor = torch.randint(0, max(num_atoms, 1), (num_edges,), generator=random)
    direction = torch.randn(num_edges, 3, dtype=torch.float64, generator=random)
    distance = 1.3 + 2.7 * torch.rand(num_edges, 1, dtype=torch.float64, generator=random)
    return element, center, neighbor, distance * torch.nn.functional.normalize(direction, dim=1)


SIZES = [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 2), (5, 1), (40, 90), (300, 3000), (1500, 9000)]


def check(compiled: Compiled, graph: tuple[Tensor, ...], weight: Tensor) -> None:
    energy, gradient = compiled.expected(graph, weight)
    both = compiled.run("gradient", *graph, weight)
    (alone,) = compiled.run("energy", *graph)
    for found, expected, least in ((both[0], energy, 1.0), (both[1], gradient, 1e-3), (alone, energy, 1.0)):
        assert found.shape == expected.shape and found.dtype == torch.float64 and found.is_contiguous()
        assert found.device.type == compiled.device
        if expected.numel():
            scale = max(float(expected.abs().max()), least)
            assert float((found - expected).abs().max()) <= TOLERANCE[compiled.precision] * scale


@pytest.mark.parametrize(("num_atoms", "num_edges"), SIZES)
def test_equals_the_network_and_autograd(compiled: Compiled, num_atoms: int, num_edges: int) -> None:
    check(compiled, make_graph(num_atoms, num_edges), torch.ones(num_atoms, dtype=torch.float64))


def test_atoms_of_weight_zero_have_energies_but_no_forces(compiled: Compiled) -> None:
    graph = make_graph(300, 3000)
    weight = (torch.arange(300) < 170).double()
    check(compiled, graph, weight)
    check(compiled, graph, 0 * weight)
    assert not compiled.run("gradient", *graph, 0 * weight)[1].any()


def test_small_gradients_do_not_vanish(compiled: Compiled) -> None:
    """A weight of 2^-12 stands for small gradients; without the scale half precision loses most of their digits."""
    graph = make_graph(40, 90)
    small, whole = (
        compiled.run("gradient", *graph, torch.full((40,), w, dtype=torch.float64))[1] for w in (2**-12, 1.0)
    )
    tolerance = 1e-2 if compiled.precision == "fp16" else 1e-5
    assert float((small * 2**12 - whole).abs().max()) <= tolerance * float(whole.abs().max())


def test_one_package_serves_sizes_in_any_order(compiled: Compiled) -> None:
    for num_atoms, num_edges in ((300, 3000), (1, 0), (300, 3000), (0, 0), (40, 90)):
        check(compiled, make_graph(num_atoms, num_edges), torch.ones(num_atoms, dtype=torch.float64))


def test_metadata(compiled: Compiled, capsys: pytest.CaptureFixture[str]) -> None:
    _, header = load_model(compiled.file)
    metadata = read_package(compiled.path)
    expected = {
        "format": "mlff-aot",
        "format_version": "1",
        "sha256": header["sha256"],
        "name": STUDENT,
        "device": compiled.device,
        "precision": compiled.precision,
        "torch": torch.__version__,
        "cutoff": "4.0",
        "elements": "H C O",
    }
    machine = "instruction_set" if compiled.device == "cpu" else "compute_capability"
    assert expected.items() <= metadata.items() and metadata[machine]
    for model, loader in compiled.loaders.items():  # what C++ sees
        assert loader.get_metadata() == {**metadata, "model": model}

    assert compiled.path == compiled.file.with_name(f"{STUDENT}.{compiled.device}-{compiled.precision}.pt2")
    assert main(["info", str(compiled.path)]) == 0
    text = capsys.readouterr().out
    shown = expected | {"cutoff": "cutoff        4 Angstrom", "machine": metadata[machine]}
    assert all(value in text for value in shown.values()), text


def test_package_names_no_library_that_a_cpu_program_lacks(compiled: Compiled) -> None:
    """Our host plugin links libtorch_cpu.so and libc10.so alone; libtorch.so would draw in CUDA."""
    if compiled.device == "cpu":
        with zipfile.ZipFile(compiled.path) as archive:
            libraries = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
        assert len(libraries) == len(MODELS)
        assert not any(b"\0libtorch.so\0" in library for library in libraries)


# ---------------------------------------------------------------- errors


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("aot") / "small.pt"
    save_model(PaiNN(["O", "H"], [8, 1], 8, 1, 4, 3.5, [-1.1, -0.3], [0.66, 0.31]), path, "small")
    return path


def write_zip(path: Path, records: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"top/{name}", content)
    return path


def write_package(path: Path, change: Callable[[dict[str, str]], object] = lambda metadata: None) -> Path:
    """A package without libraries."""
    records = {}
    for model in MODELS:
        metadata = dict.fromkeys(aot.REQUIRED_FIELDS, "1") | {"format": "mlff-aot", "model": model}
        change(metadata)
        records[f"data/aotinductor/{model}/a.wrapper_metadata.json"] = json.dumps(metadata)
    return write_zip(path, records)


def test_read_package_without_libraries(tmp_path: Path) -> None:
    assert read_package(write_package(tmp_path / "a.pt2"))["format"] == "mlff-aot"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("units metal\n"), "expected a compiled student"),
        (lambda path: path.write_bytes((REFERENCE / "painn-tiny-v1.pt").read_bytes()[:40000]), "truncated"),
        (lambda path: path.write_bytes((REFERENCE / "painn-tiny-v1.pt").read_bytes()), "of another kind"),
        (lambda path: write_zip(path, {"archive_format": "pt2", "models/model.json": "{}"}), "of another kind"),
        (lambda path: write_package(path, lambda metadata: metadata.pop("format")), "of another kind"),
        (lambda path: write_package(path, lambda metadata: metadata.update(format_version="9")), "found version 9"),
        (lambda path: write_package(path, lambda metadata: metadata.pop("cutoff")), "lacks cutoff"),
    ],
    ids=["text", "truncated", "student", "other-package", "other-metadata", "version", "field"],
)
def test_other_files_are_one_sentence(
    make: Callable[[Path], object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pt2"
    make(path)
    with pytest.raises(PackageError):
        read_package(path)
    assert main(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"mlff: {path}: ") and words in error and "mlff export --aot" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["small.pt", "other.pt", "--aot"], "expected no FILE, found 'other.pt'"),
        (["small.pt", "--aot", "--name", "x"], "expected no --name, found 'x'"),
        (["small.pt"], "expected CHECKPOINT and FILE, found only small.pt"),
        (["a.ckpt", "small.pt", "--device", "cuda"], "--device cuda is for compiling"),
        (["a.ckpt", "small.pt", "--precision", "fp16"], "--precision fp16 is for compiling"),
        (["small.pt", "--aot", "--device", "tpu"], "device: expected cpu or cuda, found 'tpu'"),
        (["small.pt", "--aot", "--precision", "fp8"], "precision: expected fp64, fp32, tf32, bf16, fp16, found 'fp8'"),
        (["small.pt", "--aot", "--precision", "tf32"], "found tf32, which CPUs do not have"),
        (["small.ckpt", "--aot"], "expected a student (.pt)"),
        (["absent.pt", "--aot"], "No such file"),
    ],
)
def test_wrong_command_lines_are_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 1
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_no_gpu_is_one_sentence(
    student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["export", str(student), "--aot", "--device", "cuda"]) == 1
    assert "expected a GPU" in capsys.readouterr().err


def test_no_compiler_is_one_sentence(
    student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch._inductor import config

    monkeypatch.delenv("CXX", raising=False)
    with config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        assert main(["export", str(student), "--aot", "--precision", "fp64"]) == 1
    error = capsys.readouterr().err
    assert "expected a C++ compiler" in error and "found no g++" in error and len(error.splitlines()) == 1


def test_compiler_script_passes_words_on(tmp_path: Path) -> None:
    """All but -ltorch, in their order and whole."""
    import subprocess

    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "g++"
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    real.chmod(real.stat().st_mode | stat.S_IXUSR)
    script = aot.lean_compiler(str(real), tmp_path)
    words = ["a b.cpp", "-shared", "-ltorch_cpu", "-O3"]
    found = subprocess.run([script, words[0], words[1], "-ltorch", *words[2:]], capture_output=True, text=True)
    assert found.stdout.splitlines() == words


def test_progress_names_both_models(
    student: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fake_compile(*arguments: object, **keywords: object) -> list[str]:
        return []

    def fake_package(path: str, files: dict[str, list[str]]) -> None:
        assert list(files) == list(MODELS)
        Path(path).write_bytes(b"package")

    monkeypatch.setattr("torch._inductor.aot_compile", fake_compile)
    monkeypatch.setattr("torch._inductor.package.package_aoti", fake_package)
    copy = tmp_path / "copy.v1.pt"
    copy.write_bytes(student.read_bytes())
    with caplog.at_level(logging.INFO, logger="mlff"):
        out = compile_student(copy, "cpu", "bf16")
    assert out.read_bytes() == b"package" and out.name == "copy.v1.cpu-bf16.pt2"
    assert "in bf16" in caplog.text and all(f"  {model}: recorded in" in caplog.text for model in MODELS)
