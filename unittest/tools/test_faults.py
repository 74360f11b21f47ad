"""The list of planted faults fits the sources, and doc/pains.md is its table."""

from __future__ import annotations

import dataclasses

from bootstrap import faults


def test_each_fault_has_its_line_and_its_test() -> None:
    assert faults.misfits(faults.read_faults()) == []


def test_a_line_or_a_test_that_is_gone_is_told() -> None:
    one = next(fault for fault in faults.read_faults() if fault.is_planted)
    without_line = dataclasses.replace(one, old="no such line")
    without_test = dataclasses.replace(one, test="unittest/tools/test_faults.py::test_nothing")
    told = faults.misfits([without_line, without_test])
    assert len(told) == 2
    assert "expected 'no such line' once" in told[0] and "expected the test" in told[1]


def test_the_page_is_the_table_of_the_list() -> None:
    expected = faults.table(faults.read_faults())
    assert expected in faults.TABLE.read_text(), "write it anew with tools/plant-faults --table"


def test_ci_replays_ten() -> None:
    assert sum(fault.in_ci for fault in faults.read_faults()) == 10
