"""Each message of the plugin stands in doc/troubleshooting.md under its own words, and has a test on its text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from messages import Message, messages_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "doc" / "troubleshooting.md"
LOG = {"report.cpp"}  # what it prints is no message
NO_MESSAGES = (  # beginnings of names, of lines of the log, of advice that ends messages of other lines
    "distilled neural-network potentials", "mlff ... distilled", "pair_style mlff developers",
    "KOKKOS ... Kokkos library",
    "out of memory ... ", "; through host buffers", "; on the GPU", "images mapped to", "energy %.2g",
    "  largest difference", ": record '", ". Export the student again.", "Copy or download", ". Change ",
)  # fmt: skip
SECTIONS = ("Input script", "While it runs", "Student's file", "Student of your own", "Compiled student", "Loading")
ELSEWHERE = ("(LAMMPS)", "(`mlff wrap`)")  # whose message it is
UNREACHED = {
    "its length differs from the one stated": "libzip finds it before",
    "pair_style mlff: expected  ...  for the student  ...  of kind custom": "the frame of three others",
}
WINDOW = 3  # words in a row by which a message is known
WORD = r"[\w'./:()*-]+"


def sources() -> list[Path]:
    folders = ("models", "pair_mlff", "kokkos")
    files = [path for folder in folders for pattern in ("*.h", "*.cpp") for path in (ROOT / folder).glob(pattern)]
    return sorted(path for path in files if path.name not in LOG)


def is_message(message: Message) -> bool:
    return not " ... ".join(message.parts).startswith(NO_MESSAGES)


MESSAGES = [message for path in sources() for message in messages_of(path) if is_message(message)]


def entries() -> dict[str, list[str]]:
    """Texts in backquotes of the first column of the page's tables, by the row that they stand in."""
    result = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        if not section.startswith(SECTIONS):
            continue
        for row in re.findall(r"^\| (.*?) \| .* \|$", section, re.MULTILINE):
            if "`" in row and not any(word in row for word in ELSEWHERE):
                result[row] = re.findall(r"`([^`]+)`", row)
    return result


def phrases(entry: str) -> list[str]:
    """Without what stands for names and numbers: dots and words in capitals."""
    parts = (part.strip() for part in re.split(r"\.\.\.|\b[A-Z][A-Z0-9_]*\b", entry))
    return [part for part in parts if len(part) > 2]


ENTRIES = [(row, entry) for row, texts in entries().items() for entry in texts]


def test_messages_are_found() -> None:
    """The extraction itself: what one literal, several literals and a name between them give."""
    found = {str(message) for message in MESSAGES}
    assert len(MESSAGES) > 100
    assert any("expected elements for types  ...  and  ...  in pair_coeff, found NULL." in text for text in found)


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_message_stands_in_the_page(message: Message) -> None:
    assert any(message.has(phrases(entry)) for _, entry in ENTRIES), f"expected {message} in {PAGE.name}, found none"


@pytest.mark.parametrize(("row", "entry"), ENTRIES, ids=[entry for _, entry in ENTRIES])
def test_entry_of_the_page_is_a_message(row: str, entry: str) -> None:
    assert sum(len(phrase) for phrase in phrases(entry)) >= 10, f"too little to know a message by: {entry!r}"
    assert any(message.has(phrases(entry)) for message in MESSAGES), f"no message of the sources: {entry!r} in {row!r}"


def words_of(text: str) -> list[str]:
    return [word.rstrip(".:") for word in re.findall(WORD, text)]


def marks(message: Message) -> set[str]:
    """Its parts, and any few words in a row of them."""
    parts = [words_of(part) for part in message.parts]
    rows = {" ".join(part[i : i + WINDOW]) for part in parts for i in range(len(part) - WINDOW + 1)}
    return rows | {" ".join(part) for part in parts if len(part) > 1}


def test_each_message_has_a_test_on_its_text() -> None:
    """By some words in a row that no other message has, in some test."""
    by_parts = {message.parts: message for message in MESSAGES}
    common = Counter(mark for message in by_parts.values() for mark in marks(message))
    text = ""
    for path in sorted(ROOT.glob("unittest/**/*.*")):
        if path.suffix in (".cpp", ".h", ".py") and path.name not in (Path(__file__).name, "messages.py"):
            text += re.sub(r"\"\s*\n\s*[a-z]{0,2}\"", "", path.read_text()).replace("\\", "")
    text = " ".join(words_of(text))
    untested = [
        str(message)
        for message in by_parts.values()
        if " ... ".join(message.parts) not in UNREACHED
        and not any(common[mark] == 1 and mark in text for mark in marks(message))
    ]
    assert not untested, "\n".join(untested)
