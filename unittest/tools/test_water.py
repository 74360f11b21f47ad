"""What run-water reads from LAMMPS's output while it runs."""

from __future__ import annotations

from bootstrap.water import Thermo


def test_thermo_lines_are_shown_and_tell_how_far_the_run_is() -> None:
    shown: list[str] = []
    thermo = Thermo(2000, shown.append)
    lines = {
        "   Step          Temp          PotEng         TotEng          Press     ": None,
        "         0   300           -938.7731      -931.3466       -1.5e+03   ": 0.0,
        "       500   298.1         -938.1         -931.3466        812.4": 0.25,
        "Loop time of 12.5 on 1 procs for 2000 steps with 192 atoms": None,
        "Performance: 6.9 ns/day": None,
        "1 = max # of 1-2 neighbors": None,
        "": None,
    }
    assert [thermo(line) for line in lines] == list(lines.values())
    assert shown == list(lines)[:3]
