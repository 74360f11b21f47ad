"""`mlff wrap`: a module of one's own becomes a student that ASE runs; each thing that must not be has its sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from mlff.calculator import MLFFCalculator
from mlff.command import main
from mlff.model_file import ModelFileError, load_model, read_header
from mlff.wrap import WrapError, wrap
from torch import nn

EXAMPLE = Path(__file__).parents[2] / "examples" / "bring-your-own"
CUTOFF = 3.0


class Pairs(nn.Module):
    """A right one, by default: features of an atom are sums over its neighbors, `passes` times."""

    def __init__(self, passes: int = 1, fault: str = "") -> None:
        super().__init__()
        self.passes, self.fault, self.cutoff = passes, fault, CUTOFF
        self.charge = nn.Parameter(torch.tensor([1.0, -0.5]))
        self.register_buffer("index", torch.arange(2))

    def forward(
        self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
    ) -> torch.Tensor:
        d = torch.sqrt((rij * rij).sum(1))
        weight = (1.0 - d / self.cutoff) ** 3
        if self.fault == "jump":
            weight = weight + 0.25
        if self.fault == "hidden":
            weight = weight * (1.0 + weight.detach())
        if self.fault == "kink":
            weight = 1.0 - d / self.cutoff
        if self.fault == "direction":
            weight = weight * (1.0 + 0.1 * torch.sin(rij[:, 0]))
        if self.fault == "edge order":
            weight = weight * torch.arange(1, len(d) + 1, dtype=rij.dtype)
        x = self.charge[self.index[element]]
        if self.fault == "atom order":
            x = x * torch.arange(1, len(element) + 1, dtype=rij.dtype)
        for _ in range(self.passes):
            x = x + torch.tanh(torch.zeros_like(x).index_add(0, center, weight * x[neighbor]))
        if self.fault == "mean":
            x = x - x.mean()
        if self.fault == "no edges":
            x = x + weight.max()
        if self.fault == "total":
            return x.sum()
        if self.fault == "column":
            return x.unsqueeze(1)
        if self.fault == "integers":
            return element
        if self.fault == "single precision":
            return x.float()
        if self.fault == "constant":
            return x.detach()
        if self.fault == "infinite":
            return x / torch.zeros_like(x)
        if self.fault == "gradient":
            return x + 0.0 * torch.zeros_like(x).index_add(0, center, torch.sqrt(d - d))
        if self.fault == "raises":
            raise RuntimeError("no such state")
        return x


def wrapped(tmp_path: Path, module: nn.Module, num_interactions: int = 1, **more: object) -> list[str]:
    return wrap(module, ["O", "H"], CUTOFF, num_interactions, tmp_path / "own.pt", **more)  # type: ignore[arg-type]


def test_header_and_program(tmp_path: Path) -> None:
    assert wrapped(tmp_path, Pairs(), name="pairs", license="MIT", reference_energies=[-2000.0, -13.5]) == []
    header = read_header(tmp_path / "own.pt")
    expected = {
        "kind": "custom",
        "name": "pairs",
        "num_interactions": 1,
        "num_parameters": 2,
        "cutoff": CUTOFF,
        "elements": ["O", "H"],
        "atomic_numbers": [8, 1],
        "reference_energies": [-2000.0, -13.5],
        "precisions": ["fp64", "fp32"],
        "dtype": "float32",
        "license": "MIT",
    }
    assert {field: header.get(field) for field in expected} == expected
    program = torch.jit.load(tmp_path / "own.pt")
    assert torch.equal(program.charge, Pairs().charge)


def test_only_names_its_file_is_needed(tmp_path: Path) -> None:
    wrapped(tmp_path, Pairs().double())
    header = read_header(tmp_path / "own.pt")
    assert (header["name"], header["reference_energies"], header["dtype"]) == ("own", [0.0, 0.0], "float64")


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 1e-6)])
def test_ase_runs_it(tmp_path: Path, precision: str, tolerance: float) -> None:
    """Energies and forces of the module itself, called with a graph made here; references in double in fp32, too."""
    wrapped(tmp_path, Pairs(2), 2, reference_energies=[-2000.0, -13.5])
    atoms = molecule("H2O")
    atoms.calc = MLFFCalculator(tmp_path / "own.pt", precision=precision)
    x = torch.tensor(atoms.positions, requires_grad=True)
    center, neighbor = torch.tensor([(i, j) for i in range(3) for j in range(3) if i != j]).T
    energies = Pairs(2).double()(torch.tensor([0, 1, 1]), center, neighbor, x[neighbor] - x[center])
    (gradient,) = torch.autograd.grad(energies.sum(), x)
    expected = energies.detach().numpy() + [-2000.0, -13.5, -13.5]
    np.testing.assert_allclose(atoms.get_potential_energies(), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(atoms.get_forces(), -gradient.numpy(), rtol=0, atol=tolerance)


def test_ase_takes_a_lone_atom_of_a_module_without_a_function_there(tmp_path: Path) -> None:
    class NothingThere(Pairs):
        def forward(
            self, element: torch.Tensor, center: torch.Tensor, neighbor: torch.Tensor, rij: torch.Tensor
        ) -> torch.Tensor:
            d = torch.sqrt((rij * rij).sum(1))
            if len(d) == 0:
                return torch.ones(len(element), dtype=rij.dtype)
            return torch.ones(len(element), dtype=rij.dtype).index_add(0, center, (1.0 - d / self.cutoff) ** 3)

    wrapped(tmp_path, NothingThere())
    atoms = molecule("H2O")[:1]
    atoms.calc = MLFFCalculator(tmp_path / "own.pt")
    assert atoms.get_potential_energy() == 1.0
    assert not atoms.get_forces().any()


def test_a_precision_that_it_does_not_know(tmp_path: Path) -> None:
    wrapped(tmp_path, Pairs(), precisions=["fp64"])
    with pytest.raises(ValueError, match=r"a precision that the file states \(fp64\), found fp32"):
        MLFFCalculator(tmp_path / "own.pt", precision="fp32")


def test_it_is_not_trained_or_compiled(tmp_path: Path) -> None:
    wrapped(tmp_path, Pairs())
    with pytest.raises(ModelFileError, match="expected a student with the built-in network, found one of kind custom"):
        load_model(tmp_path / "own.pt")


FAULTS = {
    "direction": "stay the same when all edge vectors are rotated, found one that changes by",
    "edge order": "stay the same when edges come in another order",
    "atom order": "stay the same when atoms come in another order",
    "mean": "depends on one 4 or more edges away",
    "no edges": "forward fails on a graph of 1 atom without edges",
    "total": r"one for each atom, found \[\], torch.float64",
    "column": r"one for each atom, found \[24, 1\], torch.float64",
    "integers": r"one for each atom, found \[24\], torch.int64",
    "single precision": "expected energies of torch.float64, found torch.float32. Make tensors with dtype=rij.dtype",
    "constant": "in a way that autograd can follow",
    "hidden": "expected a gradient that is the derivative of the energy, found",
    "infinite": "expected finite energies",
    "gradient": "expected a finite gradient by rij",
    "raises": "forward fails on a random graph: .*no such state",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_its_sentence_and_no_file_is_written(tmp_path: Path, fault: str) -> None:
    with pytest.raises(WrapError, match=FAULTS[fault]):
        wrapped(tmp_path, Pairs(fault=fault))
    assert not (tmp_path / "own.pt").exists()


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_how_far_an_atom_sees(tmp_path: Path, passes: int) -> None:
    assert wrapped(tmp_path, Pairs(passes), passes) == []
    (warning,) = wrapped(tmp_path, Pairs(passes), passes + 1)
    assert f"up to {passes} edges away alone" in warning
    if passes > 1:
        with pytest.raises(
            WrapError, match=f"up to {passes - 1} edges away, found that it depends on one {passes} edges"
        ):
            wrapped(tmp_path, Pairs(passes), passes - 1)


def test_jumps_at_the_cutoff_are_warnings_with_their_size(tmp_path: Path) -> None:
    """Of O-O, tanh(1/4) each; the force of a pair by 1 / cutoff, twice."""
    energy, *_ = wrapped(tmp_path, Pairs(fault="jump"))
    found = float(energy.partition("jumps by ")[2].split()[0])
    # the third atom changes the argument of tanh
    assert 0.05 < found < 2 * np.tanh(0.25)
    (force,) = wrapped(tmp_path, Pairs(fault="kink"))
    found = float(force.partition("jumps by ")[2].split()[0])
    assert 0.05 < found < 1.0 / CUTOFF


def test_a_module_that_does_not_compile_is_traced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Closure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Pairs(2)

        def forward(self, *graph: torch.Tensor) -> torch.Tensor:  # TorchScript knows no *arguments
            return (lambda inner: inner(*graph))(self.inner)

    with caplog.at_level("INFO", logger="mlff"):
        wrapped(tmp_path, Closure(), 2)
    assert "the module was traced, since TorchScript cannot compile it" in caplog.text
    atoms = molecule("H2O")
    energies = []
    for module in (Closure(), Pairs(2)):
        wrapped(tmp_path, module, 2)
        atoms.calc = MLFFCalculator(tmp_path / "own.pt", precision="fp64")
        energies.append(atoms.get_potential_energies())
    np.testing.assert_array_equal(*energies)


def test_a_module_that_can_neither(tmp_path: Path) -> None:
    class Neither(nn.Module):
        def forward(self, *graph: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("later")

    with pytest.raises(WrapError, match="Compiling: .* Tracing: later"):
        wrapped(tmp_path, Neither())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"elements": ["O", "O"]}, "elements: expected different chemical symbols, found O O"),
        ({"elements": []}, "found none"),
        ({"elements": ["O", "Xx"]}, "found O Xx"),
        ({"cutoff": 0.0}, "cutoff: expected a positive number of Å, found 0.0"),
        ({"num_interactions": 0}, "num_interactions: expected at least 1, found 0"),
        ({"precisions": ["fp32"]}, "with fp64, found fp32"),
        ({"precisions": ["fp64", "int8"]}, "found fp64 int8"),
        ({"reference_energies": [1.0]}, "a number for each of the 2 elements, found 1"),
        ({"module": Pairs().half()}, "expected parameters of float32 or float64, found torch.float16"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict, words: str) -> None:
    right = {"module": Pairs(), "elements": ["O", "H"], "cutoff": CUTOFF, "num_interactions": 1}
    with pytest.raises(WrapError, match=words):
        wrap(path=tmp_path / "own.pt", **{**right, **arguments})


# ---------------------------------------------------------------- the command

OPTIONS = ["--elements", "O", "H", "--cutoff", "4", "--interactions", "2"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "own.pt"
    assert main(["wrap", f"{EXAMPLE / 'invariant.py'}:model", str(out), *OPTIONS, "--name", "mine"]) == 0
    assert read_header(out)["name"] == "mine"
    assert main(["info", str(out)]) == 0
    card = capsys.readouterr().out
    assert "custom, an energy depends on atoms up to 2 edges away, in fp64 fp32" in card
    assert "O (Z = 8), reference energy 0.000000 eV\n" in card


def test_command_takes_torchscript(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Pairs()), tmp_path / "plain.pt")
    options = ["--elements", "O", "H", "--cutoff", str(CUTOFF), "--interactions", "1"]
    assert main(["wrap", str(tmp_path / "plain.pt"), str(tmp_path / "own.pt"), *options]) == 0
    assert read_header(tmp_path / "own.pt")["num_parameters"] == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent.pt", "expected FILE.py:NAME, package.module:NAME or a TorchScript file, found neither"),
        ("absent.py:model", "expected a Python file, found none"),
        (f"{EXAMPLE / 'invariant.py'}:absent", "expected the name 'absent' in it, found no such name"),
        (f"{EXAMPLE / 'invariant.py'}:CUTOFF", "expected a torch.nn.Module, found float"),
        (f"{EXAMPLE / 'invariant.py'}", "expected a TorchScript file, found another"),
    ],
)
def test_wrong_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, words: str) -> None:
    assert main(["wrap", source, str(tmp_path / "own.pt"), *OPTIONS]) == 1
    assert words in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command adds folders of modules to the path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
