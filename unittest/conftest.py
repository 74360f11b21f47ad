"""Fixtures of all Python tests; paths come from the build (test_config.json), which ctest passes with --config."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "pair_mlff"), str(HERE / "models"), str(HERE.parent / "models" / "python")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--config", help="test_config.json of the build folder")
    parser.addoption("--plugin-dir", help="folder of the plugin under test (default: that of the build)")
    parser.addoption("--aot-precisions", default="fp64 fp16", help="which of fp64 fp32 tf32 bf16 fp16 to test")
    parser.addoption("--lammps-flags", default="", help="further words for lmp, such as '-k on t 2 -sf kk'")


def config_path(config: pytest.Config) -> Path:
    return Path(config.getoption("--config") or HERE.parent / "build" / "unittest" / "test_config.json")


@pytest.fixture(scope="session")
def config(request: pytest.FixtureRequest) -> dict[str, str]:
    path = config_path(request.config)
    if not path.exists():
        pytest.fail(f"expected the build's test_config.json, found none at {path}; give it with --config")
    return json.loads(path.read_text())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs compiled students where CMake said that this build has none."""
    path = config_path(config)
    if not path.exists() or json.loads(path.read_text())["aot_dir"]:
        return
    gone = [item for item in items if "compiled" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session")
def lammps(config: dict[str, str], request: pytest.FixtureRequest):  # noqa: ANN201 (the type is only in these tests)
    from lammps_run import Lammps

    flags = tuple(request.config.getoption("--lammps-flags").split())
    edges = config["test_plugin_dir"] + "/edges"
    plugins = request.config.getoption("--plugin-dir") or config["plugin_dir"]
    return Lammps(config["lmp"], config["mpirun"] or None, plugins, edges, flags)


@pytest.fixture(scope="session")
def gentle_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights as a network begins its training with: soft forces, so that dynamics is stable. H O, T = 2."""
    import torch
    from mlff.model_file import save_model
    from mlff.painn import PaiNN

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("student") / "gentle.pt"
    save_model(PaiNN(["H", "O"], [1, 8], 16, 2, 8, 5.0, [-1.0, -2.0], [0.31, 0.66]), path, "gentle")
    return path
