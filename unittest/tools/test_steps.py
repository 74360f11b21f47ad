"""The column of steps: order, what is passed over, the estimate of the time left, programs that fail or never end."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bootstrap import session, settings
from bootstrap.failure import Failure
from bootstrap.progress import Progress, duration
from bootstrap.shell import CTEST, NINJA, Shell, counted
from bootstrap.steps import Step, run_steps


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def shell(tmp_path: Path, out: io.StringIO) -> Shell:
    return Shell(tmp_path / "log", Progress(out))


def test_steps_that_are_done_are_passed_over(shell: Shell, out: io.StringIO) -> None:
    order: list[str] = []
    steps = [
        Step("first", 100, lambda: "first" in order, lambda _: order.append("first")),
        Step("second", 200, lambda: True, lambda _: order.append("second")),
        Step("third", 300, lambda: "third" in order, lambda _: order.append("third")),
    ]
    run_steps(steps, shell)
    assert order == ["first", "third"]
    assert "[1/3] first: about 2 min, 7 min for all that is left" in out.getvalue()
    assert "[2/3] second: there already" in out.getvalue()
    run_steps(steps, shell)
    assert order == ["first", "third"], "nothing is done twice"


def test_time_left_follows_the_machine_once_a_tenth_is_done() -> None:
    progress = Progress(io.StringIO())
    progress.begin("step", 100, 0)
    assert progress.time_left(30) == 70
    assert progress.time_left(1000) == 10, "never less than a tenth while nothing is known"
    progress.fraction, progress.moved_at = 0.25, 200
    assert progress.time_left(200) == pytest.approx(600)
    assert progress.time_left(300) == pytest.approx(500), "it goes on falling while the counter stands still"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counters_of_ninja_and_ctest_are_read() -> None:
    assert counted(NINJA)("[25/100] Building CXX object") == 0.25
    assert counted(NINJA)("warning: [25/100]") is None
    assert counted(CTEST)("  1/20 Test  #3: test_units ....   Passed    0.01 sec") == 0.05


def test_output_goes_to_the_log_and_a_failure_names_the_program(shell: Shell) -> None:
    status, output = shell.run([sys.executable, "-c", "print('some words')"])
    assert (status, output) == (0, "some words\n")
    with pytest.raises(Failure, match="ended with status 3"):
        shell.run([sys.executable, "-c", "print('last words'); raise SystemExit(3)"])
    assert "some words" in shell.tail() and "last words" in shell.tail()
    with pytest.raises(Failure, match="Expected the program no-such-program"):
        shell.run(["no-such-program"])


def test_a_program_that_asks_gets_no_answer(shell: Shell) -> None:
    with pytest.raises(Failure):
        shell.run([sys.executable, "-c", "input('Really? ')"])


def test_failure_shows_the_tail_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "BUILD", tmp_path)

    def body(shell: Shell) -> bool:
        shell.run([sys.executable, "-c", "print('words of the compiler'); raise SystemExit(1)"])
        return True

    assert session.run("some-command", body) == 1
    text = capsys.readouterr().out
    assert "words of the compiler" in text
    assert "goes on where it stopped" in text
    assert str(tmp_path / "some-command.log") in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_command_takes_its_children_along(tmp_path: Path, number: signal.Signals) -> None:
    """A build that is interrupted must not leave compilers behind, which would write into what the next run builds."""
    tools = Path(session.__file__).parents[1]
    script = (
        "import signal, sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(tools)!r})\n"
        "from bootstrap import session, settings\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"settings.BUILD = Path({str(tmp_path)!r})\n"
        f"session.main('x', lambda shell: shell.run(['sh', '-c', 'sleep 60 & echo $! > {tmp_path}/child; wait']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = tmp_path / "child"
    deadline = time.monotonic() + 30
    while not (child.exists() and child.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child_number = int(child.read_text())
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert "goes on where it stopped" in output
    assert process.returncode == 130
    while is_alive(child_number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child_number)


def is_alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")
