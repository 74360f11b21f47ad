"""Counts test cases in the output of ctest's entries, and decides whether a run counts as passed.

A skip is a pass that nobody saw: it fails the run unless its reason is a line of unittest/allowed_skips.txt. The same
holds for tests that are disabled or deselected, and for expected failures. An entry in which no case ran has failed.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Skip:
    name: str
    reason: str


@dataclass
class Count:
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips


@dataclass
class Entry:
    """One <testcase> of ctest's JUnit file."""

    name: str
    status: str  # run, fail, notrun, disabled
    seconds: float
    labels: list[str]
    message: str
    output: str


def read_junit(path: Path, labels: dict[str, list[str]]) -> list[Entry]:
    entries = []
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name") or ""
        messages = [node.get("message") or "" for tag in ("failure", "skipped") for node in case.iter(tag)]
        status, output = case.get("status") or "", case.findtext("system-out") or ""
        seconds = float(case.get("time") or 0)
        entries.append(Entry(name, status, seconds, labels.get(name, []), " ".join(messages), output))
    return entries


def read_labels(show_only: str) -> dict[str, list[str]]:
    """Labels by name of entry, from what `ctest --show-only=json-v1` prints; ctest's JUnit file has none."""
    return {
        test["name"]: next((p["value"] for p in test.get("properties", []) if p["name"] == "LABELS"), [])
        for test in json.loads(show_only)["tests"]
    }


def count_entry(entry: Entry) -> Count:
    """Cases of one entry. What ctest says is added where the output tells less (a crash, a program that is missing)."""
    if entry.status in ("notrun", "disabled"):
        if "SKIP_" in entry.message:  # the test asked for it: SKIP_RETURN_CODE or SKIP_REGULAR_EXPRESSION
            return Count(skips=[Skip(entry.name, _last_line(entry.output) or entry.message)])
        return Count(failed=[f"{entry.name}: did not run ({entry.message or entry.status})"])
    count = count_googletest(entry.name, entry.output) or count_pytest(entry.name, entry.output)
    if count is None:
        count = Count(passed=1 if entry.status == "run" else 0)
    if entry.status != "run" and not count.failed:
        count.failed.append(f"{entry.name}: {entry.message or entry.status}")
    if entry.status == "run" and not (count.passed or count.failed or count.skips):
        count.failed.append(f"{entry.name}: no test ran in it")
    return count


def count_googletest(name: str, output: str) -> Count | None:
    if not re.search(r"^\[={10}\] Running \d+ tests? from", output, re.MULTILINE):
        return None
    count = Count(passed=len(re.findall(r"^\[ {7}OK \] \S", output, re.MULTILINE)))
    count.failed = [f"{name}: {case}" for case in re.findall(r"^\[  FAILED  \] (.+) \(\d+ ms\)$", output, re.MULTILINE)]
    for block in re.split(r"^\[ RUN      \] ", output, flags=re.MULTILINE)[1:]:
        skipped = re.search(r"^\[  SKIPPED \] (.+) \(\d+ ms\)$", block, re.MULTILINE)
        if skipped:
            reason = re.search(r"Skipped\n(.*?)\n\s*\n?\[  SKIPPED \]", block, re.DOTALL)
            count.skips.append(Skip(f"{name}: {skipped[1]}", reason[1].strip() if reason else ""))
    disabled = re.search(r"YOU HAVE (\d+) DISABLED TEST", output)
    if disabled:
        count.skips += [Skip(name, "disabled in the source")] * int(disabled[1])
    return count


def count_pytest(name: str, output: str) -> Count | None:
    summary = re.search(r"^=*\s*((?:\d+ \w+(?:, )?)+) in [\d.]+s.*$|^=*\s*no tests ran in", output, re.MULTILINE)
    if not summary:
        return None
    numbers = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", summary[1] or "")}
    count = Count(passed=numbers.get("passed", 0))
    heading = r"^_{2,} (?:ERROR (?:collecting|at setup of|at teardown of) )?(\S.*?) _{2,}$"
    cases = re.findall(heading, output, re.MULTILINE)
    failures = sum(numbers.get(word, 0) for word in ("failed", "error", "errors"))
    count.failed = [f"{name}: {cases[i] if i < len(cases) else 'failed'}" for i in range(failures)]
    for number, where, reason in re.findall(r"^SKIPPED \[(\d+)\] (.*?:\d+|\S+): (.*)$", output, re.MULTILINE):
        count.skips += [Skip(f"{name}: {where}", reason.strip())] * int(number)
    unexplained = numbers.get("skipped", 0) - len(count.skips)
    count.skips += [Skip(name, "no reason in the output (pytest -rs)")] * unexplained
    for word in ("xfailed", "xpassed", "deselected"):
        count.skips += [Skip(name, word)] * numbers.get(word, 0)
    return count


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def allowed_reasons(path: Path) -> set[str]:
    lines = (line.split("#", 1)[0].strip() for line in path.read_text().splitlines())
    return {line for line in lines if line}


def refused(skips: Iterable[Skip], allowed: set[str]) -> list[Skip]:
    return [skip for skip in skips if skip.reason not in allowed]


def seconds_by_label(entries: Iterable[Entry]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for entry in entries:
        for label in entry.labels or ["none"]:
            seconds[label] += entry.seconds
    return dict(seconds)
