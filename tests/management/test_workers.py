"""``manage.py runworker`` and ``manage.py channels``: real processes on the local engine."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for

SETTINGS = """
SECRET_KEY = "tests-only"
INSTALLED_APPS = ["seaway", "photos"]
DATABASES = {}
LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"seaway": {"handlers": ["console"], "level": "WARNING"}},
}
SEAWAY = {"LAYER": "local://PLACE"}
"""
#: Handlers write down what they did; "slow" ones wait until a file says that they may end.
CHANNELS = """
import os, time
from pathlib import Path
from seaway import Backoff, GiveUp, channel

HERE = Path(__file__).parent.parent
photos = channel("photos", lease=1.0, tries=3)
mails = channel("mails", tries=2)

def note(what):
    with (HERE / "done").open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")

@photos.handler(concurrency=2, backoff=Backoff(first=0, longest=0))
def print_photo(number: int, delivery):
    note(f"begun {number}")
    while not (HERE / f"go-{number}").exists():
        time.sleep(0.01)
    note(f"printed {number} at attempt {delivery.attempt}")

@mails.handler(backoff=Backoff(first=0, longest=0))
async def send_mail(address: str):
    if "@" not in address:
        raise GiveUp(f"{address} is no address")
    note(f"mailed {address}")
"""


class Project:
    """A project in a directory; its processes share a broker of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "photos").mkdir()
        (directory / "photos" / "__init__.py").touch()
        (directory / "photos" / "channels.py").write_text(CHANNELS)
        (directory / "project_settings.py").write_text(SETTINGS.replace("PLACE", str(directory)))
        paths = [str(directory), os.environ.get("PYTHONPATH", "")]
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project_settings",
            "PYTHONPATH": os.pathsep.join(paths),
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run Python to its end; all that it said."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def manage(self, *arguments: str, status: int = 0) -> str:
        return self.run("-m", "django", *arguments, status=status)

    def put(self, channel: str, *values: object) -> None:
        setup = "import django; django.setup(); from photos.channels import mails, photos; "
        self.run("-c", f"{setup}[{channel}.put(value) for value in {list(values)!r}]")

    def done(self) -> list[str]:
        """What handlers have written down, each line with the worker's process id at its end."""
        file = self.directory / "done"
        return file.read_text().splitlines() if file.exists() else []

    def sees(self, *words: str) -> None:
        """Waits until handlers have written all of it."""

        def seen() -> bool:
            lines = [line.rpartition(" ")[0] for line in self.done()]
            return all(word in lines for word in words)

        wait_for(seen, f"{words} in {self.done()}")

    def let_go(self, number: int) -> None:
        (self.directory / f"go-{number}").touch()


class Worker:
    """``manage.py runworker`` in a process of its own."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self.log = project.directory / f"worker-{next(_numbers)}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", "runworker", *arguments],
                cwd=project.directory,
                env=project.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(lambda: "Ctrl+C stops it." in self.text or self.process.poll(), "A start block")

    @property
    def text(self) -> str:
        return self.log.read_text()

    def ends(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


_numbers = itertools.count()
Start = Callable[..., Worker]


@pytest.fixture
def project() -> Iterator[Project]:
    """In a short directory: the path of the broker's socket has to fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield Project(Path(directory))


@pytest.fixture
def start(project: Project) -> Iterator[Start]:
    started: list[Worker] = []

    def run(*arguments: str) -> Worker:
        started.append(Worker(project, *arguments))
        return started[-1]

    yield run
    for worker in started:
        worker.process.kill()
        worker.process.wait(60)


# runworker ---------------------------------------------------------------------------------------


def test_a_worker_says_what_it_works_on_and_does_it(project: Project, start: Start) -> None:
    worker = start("--concurrency=3")
    assert f"Seaway worker, pid {worker.process.pid}" in worker.text
    assert "layer    local broker at" in worker.text
    lines = worker.text.splitlines()
    assert lines[2:] == [
        "  channel  mails   photos.channels.send_mail    up to 3 at a time",
        "  channel  photos  photos.channels.print_photo  up to 3 at a time",
        "Waiting for work. Ctrl+C stops it. What is running then has 30 s to end.",
    ]

    project.let_go(1)
    project.put("photos", 1)
    project.put("mails", "ann@example.com")
    project.sees("printed 1 at attempt 1", "mailed ann@example.com")
    assert worker.ends(signal.SIGINT) == 0
    assert "Stopped: 2 messages handled, 0 given back." in worker.text
    assert "Traceback" not in worker.text


def test_task_queues_stand_beside_channels_even_of_the_same_name(
    project: Project, start: Start
) -> None:
    options = {"BACKEND": "seaway.tasks.backend.SeawayBackend", "QUEUES": ["default", "mails"]}
    with (project.directory / "project_settings.py").open("a") as settings:
        settings.write(f"TASKS = {{'default': {options!r}}}\n")
    lines = start("mails", "default", "mails").text.splitlines()
    assert lines[2:5] == [
        "  channel  mails    photos.channels.send_mail           up to 1 at a time",
        "  tasks    default  @task functions, urgent ones first  up to 4 at a time",
        "  tasks    mails    @task functions, urgent ones first  up to 4 at a time",
    ]


def test_told_to_stop_what_runs_ends_and_the_rest_stays(project: Project, start: Start) -> None:
    worker = start("photos")
    assert "mails" not in worker.text
    project.put("photos", 1, 2, 3)
    project.sees("begun 1", "begun 2")
    worker.process.send_signal(signal.SIGTERM)
    project.let_go(1)
    project.let_go(2)
    assert worker.process.wait(60) == 0
    project.sees("printed 1 at attempt 1", "printed 2 at attempt 1")
    assert "Stopped: 2 messages handled, 0 given back." in worker.text
    assert "photos: 1 waiting, 0 delayed, 0 held, 0 dead" in project.manage("channels", "photos")
    assert not any("begun 3" in line for line in project.done())


def test_what_does_not_end_in_time_is_given_back(project: Project, start: Start) -> None:
    worker = start("photos", "--grace=0.1")
    project.put("photos", 1)
    project.sees("begun 1")
    assert worker.ends() == 0
    assert "stopping what did not end in 0.1 s" in worker.text
    assert "0 messages handled, 1 given back" in worker.text
    project.let_go(1)
    start("photos")
    project.sees("printed 1 at attempt 2")


def test_what_a_killed_worker_held_is_done_by_another(project: Project, start: Start) -> None:
    first = start("photos")
    project.put("photos", 1, 2)
    project.sees("begun 1", "begun 2")
    first.ends(signal.SIGKILL)
    project.let_go(1)
    project.let_go(2)
    second = start("photos")
    project.sees("printed 1 at attempt 2", "printed 2 at attempt 2")
    by = {line.rpartition(" ")[2] for line in project.done() if line.startswith("printed")}
    assert by == {str(second.process.pid)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fotos"], "Nothing handles 'fotos'. Known: mails, photos."),
        (["--concurrency=0"], "--concurrency has to be at least 1."),
        (["--grace=-1"], "--grace has to be at least 0."),
    ],
)
def test_a_mistake_is_told_in_a_line(project: Project, arguments: list[str], words: str) -> None:
    assert project.manage("runworker", *arguments, status=1).strip() == f"CommandError: {words}"


# channels ----------------------------------------------------------------------------------------


def test_channels_shows_replays_and_discards(project: Project, start: Start) -> None:
    assert project.manage("channels") == "No channel holds anything.\n"
    project.put("mails", "ann", "bob", "cat")
    worker = start("mails")
    wait_for(lambda: worker.text.count("gave message") == 3, "Three dead letters")
    assert worker.ends() == 0

    table = [line.split() for line in project.manage("channels").splitlines()]
    assert table == [["channel", "waiting", "delayed", "held", "dead"], ["mails", *"0003"]]

    shown = project.manage("channels", "mails")
    assert shown.startswith("mails: 0 waiting, 0 delayed, 0 held, 3 dead\n")
    assert '  bob is no address\n  "bob"\n' in shown
    ids = re.findall(r"^(\S+)  \d{4}-.* UTC  attempt 1$", shown, re.MULTILINE)
    assert len(ids) == 3
    first = project.manage("channels", "mails", "--limit=1")
    assert first.count("is no address") == 1
    assert first.endswith("\n2 more: --after 1\n")
    last = project.manage("channels", "mails", "--limit=2", "--after=1")
    assert re.findall(r"^(\S+)  \d{4}-", last, re.MULTILINE) == ids[1:]
    assert "more:" not in last
    single = project.manage("channels", "mails", f"--id={ids[1]}")
    assert re.findall(r"^(\S+)  \d{4}-", single, re.MULTILINE) == ids[1:2]

    answer = project.manage("channels", "mails", "--replay", f"--id={ids[0]}")
    assert answer == "1 dead letter put back.\n"
    assert project.manage("channels", "mails", "--discard", f"--id={ids[1]}") == (
        "1 dead letter removed.\n"
    )
    assert project.manage("channels", "mails").startswith("mails: 1 waiting, 0 delayed, 0 held, 1")
    answer = project.manage("channels", "mails", "--replay", "--id=unknown")
    assert answer.startswith("0 dead letters put back.\n")
    assert "not any more" in answer
    answer = project.manage("channels", "mails", "--purge", "--noinput")
    assert answer == "1 message removed.\n"
    answer = project.manage("channels", "mails", "--discard", "--no-input")
    assert answer == "1 dead letter removed.\n"
    assert project.manage("channels") == "No channel holds anything.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replay"], "--replay needs a channel's name."),
        (["--id=1"], "--id needs a channel's name."),
        (["mails", "--id=1"], "mails has no such dead letter, or not any more."),
        (["mails", "--purge", "--id=1"], "--id is for dead letters"),
        (["mails", "--after=-1"], "--after at least 0."),
        (["two words"], "'two words' is not a legal channel name"),
        (["mails", "--limit=0"], "--limit has to be at least 1, and --after at least 0."),
        (["mails", "--replay", "--purge"], "not allowed with argument"),
    ],
)
def test_channels_says_what_is_wrong(project: Project, arguments: list[str], words: str) -> None:
    status = 2 if "not allowed" in words else 1
    said = project.manage("channels", *arguments, status=status)
    assert words in said
    assert "Traceback" not in said
