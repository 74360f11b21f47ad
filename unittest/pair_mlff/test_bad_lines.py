"""A corpus of script lines, good and bad, in real LAMMPS: no crash, no hang, always a message, the one that is meant.

A third of the corpus of bad input; the files are unittest/models/test_bad_files.cpp's. Each case is made from a good
input with one fault of a known kind, and the message must be of that kind; a case without fault must run.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STUDENT = HERE.parent / "reference" / "painn-tiny-v1.pt"  # H O
NUM_CASES = 720
MOST_SECONDS = 1500  # of all cases; they take 40 on an idle core

GOOD = {
    "precision": ["fp64", "fp32", "bf16", "fp16"],
    "jit": ["off", "script", "freeze"],
    "engine": ["auto", "torch"],
    "ghosts": ["auto", "exchange", "halo"],
    "chunk": ["auto", "1", "3", "100000", "2147483647"],
    "check": ["auto", "off", "setup", "1", "2147483647"],
}
# no value of any keyword
BAD_WORDS = [
    "0", "-1", "-0", "1.5", "1e3", "2147483648", "99999999999999999999", "+3", "0x10", "3k", "nan", "inf", "yes", "no",
    "AUTO", "Freeze", "fp", "fp128", "half", "{}", "{0}", "%s%n", "'", "aut", "autoo", "*", "NULL", "x" * 3000,
]  # fmt: skip
BAD_KEYWORDS = [
    "",
    "model",
    "Precision",
    "precisions",
    "prec",
    "cutoff",
    "device",
    "{}",
    "%n",
    "*",
    "1",
    "-",
    "k" * 2000,
]
KEYWORDS = r"\(engine, precision, jit, ghosts, chunk or check\)"


@dataclass
class Case:
    """Commands by what they are for, in the order in which LAMMPS takes them; and the message of the fault in them."""

    lines: dict[str, str] = field(
        default_factory=lambda: {
            "units": "units metal",
            "style": "atom_style atomic",
            "box": "region box block 0 9 0 9 0 9",
            "create": "create_box 2 box",
            "more": "",
            "mass 1": "mass 1 1.008",
            "mass 2": "mass 2 15.999",
            "atoms": "create_atoms 2 single 4 4 4",
            "atoms 1": "create_atoms 1 single 4.9 4.1 4",
            "atoms 2": "create_atoms 1 single 3.6 4.9 4",
            "pair_style": "pair_style mlff check off",
            "pair_coeff": f"pair_coeff * * {STUDENT} H O",
            "settings": "",
            "run": "run 0",
        }
    )
    message: str | None = None  # a pattern; None: the input is good

    def commands(self) -> list[str]:
        return [line for text in self.lines.values() for line in text.split("\n") if line]


def quoted(word: str) -> str:
    """As LAMMPS's input takes a word with anything in it."""
    return f'"{word}"' if "'" in word or not word else f"'{word}'" if re.search(r"[\s#&$]", word) else word


# ---------------------------------------------------------------------------------------------- pair_style


def some_keywords(rng: random.Random) -> list[list[str]]:
    """Of a good line: any keywords in any order, some of them twice."""
    chosen = rng.choices(list(GOOD), k=rng.randrange(1, 5))
    return [[keyword, rng.choice(GOOD[keyword])] for keyword in chosen]


def keyword_case(rng: random.Random) -> Case:
    case = Case()
    pairs = some_keywords(rng)
    keyword = rng.choice(list(GOOD))
    at = rng.randrange(len(pairs) + 1)
    fault = rng.choice(["value", "value", "keyword", "missing", "planned", "planned value", "shift", "aot", "tf32"])
    if fault == "value":
        word = rng.choice(BAD_WORDS)
        pairs.insert(at, [keyword, word])
        case.message = rf"expected .* after keyword '{keyword}', found '{re.escape(word)}'"
    elif fault == "keyword":
        word = rng.choice(BAD_KEYWORDS)
        pairs.insert(at, [word, rng.choice(BAD_WORDS)])
        case.message = rf"expected a keyword {KEYWORDS}, found '{re.escape(word)}'"
    elif fault == "missing":
        pairs.append([keyword])
        case.message = rf"expected .* after keyword '{keyword}', found the end of the command"
    elif fault == "planned":
        pairs.insert(at, ["graph", rng.choice(["auto", "on", "off", "x"])])
        case.message = "keyword 'graph' is planned for a later version .* Remove it"
    elif fault == "planned value":
        pairs.insert(at, ["engine", "fused"])
        case.message = "'engine fused' is planned for a later version of this plugin. Use auto or torch instead"
    elif fault == "shift":  # a word is lost: values stand for keywords
        word = rng.choice(GOOD[keyword])
        pairs.insert(at, [word])
        case.message = rf"expected a keyword {KEYWORDS}, found '{word}'"
    elif fault == "aot":
        with_it = rng.choice([["ghosts", "exchange"], ["chunk", str(rng.randrange(1, 99))]])
        pairs = [pair for pair in pairs if pair[0] not in ("jit", with_it[0])]
        pairs += rng.sample([["jit", "aot"], with_it], 2)
        case.message = rf"expected 'jit off', 'script' or 'freeze' with '{' '.join(with_it)}', found 'jit aot'.*Use '"
    else:
        pairs = [pair for pair in pairs if pair[0] not in ("jit", "precision")] + [["precision", "tf32"]]
        case.message = "expected a GPU for 'precision tf32', found none.*Use fp32"
    words = [quoted(word) for pair in pairs for word in pair]
    case.lines["pair_style"] = " ".join(["pair_style mlff", *words])
    return case


def good_case(rng: random.Random) -> Case:
    case = Case()
    case.lines["pair_style"] = "pair_style mlff " + " ".join(word for pair in some_keywords(rng) for word in pair)
    if rng.random() < 0.3:
        case.lines["units"] = f"units {rng.choice(['metal', 'real'])}"
    if rng.random() < 0.3:  # a bad line before it leaves nothing behind
        case.lines["settings"] = f"{case.lines['pair_style']}\n{case.lines['pair_coeff']}"
    return case


# ---------------------------------------------------------------------------------------------- pair_coeff


def write_other_files(folder: Path) -> dict[str, str]:
    """Files that are no student, by name, and the words by which the message must know them."""

    def archive(name: str, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
        with zipfile.ZipFile(folder / name, "w", compression) as out:
            for record, content in records.items():
                out.writestr(f"top/{record}", content)

    with zipfile.ZipFile(STUDENT) as student:
        records = {path.partition("/")[2]: student.read(path) for path in student.namelist()}
    without = {name: content for name, content in records.items() if not name.startswith("extra/")}
    whole = STUDENT.read_bytes()
    header = json.loads(records["extra/mlff.json"])

    def with_header(**fields: object) -> dict[str, bytes]:
        return {**records, "extra/mlff.json": json.dumps({**header, **fields}).encode()}

    contents: dict[str, tuple[bytes, str]] = {
        "empty.pt": (b"", "found an empty file"),
        "page.pt": (b"<html><body>404</body></html>", "found an HTML or XML page"),
        "text.pt": (b"units metal\n", "found a text file"),
        "json.pt": (json.dumps(header).encode(), "found a text file"),
        "lfs.pt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "found a pointer of Git LFS"),
        "pickle.pt": (b"\x80\x02}q\x00.", "found a pickle"),
        "program.pt": (b"\x7fELF\x02\x01\x01\x00\x00", "found a binary file of another kind"),
        "truncated.pt": (whole[: len(whole) // 2], "the file is truncated at"),
        "flipped.pt": (whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:], "its CRC differs"),
    }
    archives: dict[str, tuple[dict[str, bytes], str]] = {
        "script.pt": (without, "found a TorchScript file without the metadata"),
        "checkpoint.pt": ({"data.pkl": b"x", "data/0": b"x", "version": b"3"}, "found a raw checkpoint of torch.save"),
        "package.pt2": ({"archive_format": b"pt2", "models/model.json": b"{}"}, "found a .pt2 package"),
        "other.zip": ({"readme.txt": b"x"}, "found another zip archive"),
        "added.pt": ({**records, "more": b"x"}, "the header states the checksum"),
        "newer.pt": (with_header(format_version=2), "expected format mlff version 1, found"),
        "field.pt": (with_header(cutoff=-1), "header field 'cutoff': expected a positive number, found -1"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    for name, (packed, _) in archives.items():
        archive(name, packed)
    archive("packed.pt", records, zipfile.ZIP_DEFLATED)
    (folder / "folder.pt").mkdir()
    with (folder / "huge.pt").open("wb") as sparse:
        sparse.truncate(3 << 30)
    return {
        **{name: words for name, (_, words) in {**contents, **archives}.items()},
        "packed.pt": "expected it stored without compression",
        "folder.pt": "expected a student's file, found",
        "huge.pt": "expected a student's file, found one of 3221225472 bytes",
        "nowhere.pt": "expected a student's file, found no file 'nowhere.pt'",
        "*": r"expected a student's file, found no file '\*'",
    }


def coeff_case(rng: random.Random, files: dict[str, str]) -> Case:
    case = Case()
    fault = rng.choice(["file", "file", "count", "element", "NULL", "types", "no coeff", "order", "aot"])
    words = ["*", "*", str(STUDENT), "H", "O"]
    if fault == "file":
        words[2], message = rng.choice(list(files.items()))
        case.message = message + ".*[.]"
    elif fault == "count":
        if rng.random() < 0.5:
            words = words[: rng.randrange(2, len(words))]
        else:
            words += rng.choices(["H", "O", "NULL", "3", "{}"], k=rng.randrange(1, 40))
        found = max(len(words) - 3, 0)
        case.message = (
            r"expected '\* \* FILE' and one element \(or NULL\) for each of the 2 atom types, "
            rf"found {found} words after FILE"
        )
    elif fault == "element":
        element = rng.choice(["Xe", "h", "o", "HO", "1", "8", "null", "{}", "%s", "'", "*", "e" * 500])
        words[rng.choice([3, 4])] = element
        case.message = rf"does not know the element '{re.escape(element)}'; it knows: H O\. Name one of these"
    elif fault == "NULL":
        words[3:5] = rng.choice([["NULL", "O"], ["H", "NULL"], ["NULL", "NULL"]])
        case.message = (
            "expected elements for types . and . in pair_coeff, found NULL|All pair coeffs are not set|Incorrect args"
        )
    elif fault == "types":  # LAMMPS's own words
        words[:2] = rng.choice([["1", "1"], ["1", "*"], ["*", "2"], ["1*2", "*"], ["H", "O"]])
        case.message = r"Pair_coeff must start with \* \*"
    elif fault == "aot":
        precision = rng.choice(["fp64", "fp32", "bf16"])
        case.lines["pair_style"] = f"pair_style mlff jit aot precision {precision}"
        case.message = rf"cpu-{precision}.pt2: expected the student .* found no such file. Compile it with 'mlff export"
    elif fault == "no coeff":
        case.message = "All pair coeffs are not set|expected 'pair_coeff"
    else:  # before pair_style, which forgets it
        case.lines["pair_style"], case.lines["pair_coeff"] = "", "pair_style mlff"
        case.lines["more"] = "pair_style mlff\npair_coeff " + " ".join(words)
        case.message = "All pair coeffs are not set|expected 'pair_coeff"
        return case
    case.lines["pair_coeff"] = "" if fault == "no coeff" else "pair_coeff " + " ".join(quoted(word) for word in words)
    return case


# ---------------------------------------------------------------------------------------------- settings beside it


def settings_case(rng: random.Random) -> Case:
    case = Case()
    bonded = {
        "style": "atom_style bond",
        "create": "create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4",
        "settings": "bond_style zero\nbond_coeff * 1.0\ncreate_bonds single/bond 1 1 2",
    }
    keyword = rng.choice(["tail", "shift"])
    faults: dict[str, tuple[dict[str, str], str]] = {
        "pair_modify": (
            {"settings": f"pair_modify {keyword} yes"},
            f"expected 'pair_modify {keyword} no', found 'yes'. A student ends smoothly at its cutoff",
        ),
        "units": (
            {"units": f"units {rng.choice(['lj', 'cgs', 'micro', 'nano'])}"},
            "expected units metal, real, electron or si, found units",
        ),
        "flat": (
            {"units": "units metal\ndimension 2", "box": "region box block 0 9 0 9 -0.5 0.5", "atoms": "",
             "atoms 1": "create_atoms 1 single 4.9 4.1 0", "atoms 2": "create_atoms 1 single 3.6 4.9 0"},
            "expected 'dimension 3', found 'dimension 2'",
        ),
        "no ids": ({"style": "atom_style atomic\natom_modify id no"}, "expected atoms with IDs, found"),
        "include": (
            {"settings": "group some id 1:2\natom_modify first some\nneigh_modify include some"},
            "expected neighbors of all atoms, found 'neigh_modify include'",
        ),
        "bonds": (bonded, "found 'special_bonds' that remove 1-2 neighbors.* Use 'special_bonds lj/coul 1 1 1'"),
    }  # fmt: skip
    changes, case.message = faults[rng.choice(list(faults))]
    case.lines |= changes
    return case


# ---------------------------------------------------------------------------------------------- the corpus


def corpus(files: dict[str, str]) -> list[Case]:
    rng = random.Random(6)
    makers: list[tuple[int, Callable[[random.Random], Case]]] = [
        (16, keyword_case), (12, lambda r: coeff_case(r, files)), (4, settings_case), (3, good_case),
    ]  # fmt: skip
    weights, functions = zip(*makers, strict=True)
    return [rng.choices(functions, weights)[0](rng) for _ in range(NUM_CASES)]


def run_all(
    config: dict[str, str], plugins: str, flags: list[str], folder: Path, cases: list[Case]
) -> list[str | None]:
    """The messages; fails where the process ends before all cases have."""
    (folder / "cases.json").write_text(json.dumps([case.commands() for case in cases]))
    results = folder / "results.txt"
    environment = {**os.environ, "LAMMPS_PLUGIN_PATH": plugins, "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false"}
    command = [sys.executable, HERE / "lammps_library.py", "cases.json", results, config["liblammps"], *flags]
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS, errors="replace"
    )
    messages = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if process.returncode != 0 or len(messages) != len(cases):
        at = "\n".join(cases[len(messages)].commands()) if len(messages) < len(cases) else "the end of the process"
        pytest.fail(
            f"expected {len(cases)} outcomes, found return code {process.returncode} at\n{at}\n{process.stderr[-3000:]}"
        )
    return messages


def kind_of(message: str) -> str:
    text = re.split(r" \(\S+:\d+\)|Status:", message.removeprefix("ERROR: "))[0]
    text = re.sub(r"\S*/(\S+\.pt2?)", r"\1", text)
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'", "'...'", text))[:100]


@pytest.fixture(scope="module")
def outcomes(
    config: dict[str, str], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Case, str | None]]:
    folder = tmp_path_factory.mktemp("lines")
    cases = corpus(write_other_files(folder))
    plugins = request.config.getoption("--plugin-dir") or config["plugin_dir"]
    flags = request.config.getoption("--lammps-flags").split()
    return list(zip(cases, run_all(config, plugins, flags, folder, cases), strict=True))


def test_every_bad_line_gets_the_message_of_its_fault(outcomes: list[tuple[Case, str | None]]) -> None:
    wrong = []
    for case, message in outcomes:
        text = " ".join((message or "").split())
        if case.message and not re.search(case.message, text):
            wrong.append(f"expected /{case.message}/, found {text!r} for\n" + "\n".join(case.commands()))
    assert not wrong, f"{len(wrong)} of {len(outcomes)}:\n\n" + "\n\n".join(wrong[:5])


def test_every_good_input_runs(outcomes: list[tuple[Case, str | None]]) -> None:
    good = [(case, message) for case, message in outcomes if not case.message]
    assert len(good) > NUM_CASES // 20
    failed = [f"{message}\n" + "\n".join(case.commands()) for case, message in good if message]
    assert not failed, "\n\n".join(failed[:5])


def test_outcomes_are_of_many_kinds(outcomes: list[tuple[Case, str | None]]) -> None:
    kinds = Counter(kind_of(message) if message else "runs" for _, message in outcomes)
    print("\n".join(f"{count:5} {kind}" for kind, count in kinds.most_common()))
    assert len(kinds) >= 25
