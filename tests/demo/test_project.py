"""The demo without a browser: its own tests, its commands, and a race between processes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.project import ROOT, Project

#: Takes every seat that it can, once it is told to start; prints the ids of those that it got.
RACER = """
import sys, datetime, django
django.setup()
from django.db import IntegrityError, transaction
from django.utils import timezone
from seats.models import Reservation, Seat
seats = list(Seat.objects.order_by("pk")[:40])
until = timezone.now() + datetime.timedelta(hours=1)
print("ready", flush=True)
sys.stdin.readline()
won = []
for seat in seats:
    try:
        with transaction.atomic():
            Reservation.objects.take(seat, sys.argv[1], until)
    except IntegrityError:
        continue
    won.append(seat.pk)
print(*won)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path, unlike tmp_path's: the broker's socket below it has to fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield Path(directory)


@pytest.fixture
def project(directory: Path) -> Project:
    return Project(directory)


def test_the_demo_passes_its_own_tests(project: Project) -> None:
    done = project.manage("test", "--verbosity=1", check=False)

    assert done.returncode == 0, done.stderr
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    assert ran is not None
    assert int(ran[1]) >= 11


def test_models_and_migrations_agree_and_no_check_complains(project: Project) -> None:
    project.manage("makemigrations", "--check", "--dry-run")
    project.manage("check", "--fail-level=WARNING")


def test_loading_the_venue_twice_is_loading_it_once(project: Project) -> None:
    project.manage("migrate", "--verbosity=0")
    first = project.manage("load_venue", "--url=http://127.0.0.1:9000/").stdout
    seat = project.seat("Stalls C4")
    second = project.manage("load_venue").stdout

    seats = re.search(r"(\d+) seats", first)
    assert seats is not None
    assert 350 <= int(seats[1]) <= 450
    assert f"{seats[1]} seats" in second
    assert project.seat("Stalls C4") == seat
    assert "http://127.0.0.1:9000/" in first
    assert "http://127.0.0.1:9000/admin/   (log in as admin / admin" in first
    assert "DEBUG" in first


def test_the_demo_login_is_for_debug_only(directory: Path) -> None:
    production = Project(directory, debug=0)
    production.manage("migrate", "--verbosity=0")

    assert "createsuperuser" in production.manage("load_venue").stdout
    count = "from django.contrib.auth.models import User; print(User.objects.count())"
    assert production.manage("shell", "--no-imports", "-c", count).stdout.strip() == "0"


def test_of_processes_that_take_the_same_seats_one_gets_each(project: Project) -> None:
    project.build()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, f"racer {number}"],
            cwd=ROOT,
            env=project.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    won: list[int] = []
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            out, _ = racer.communicate(timeout=60)
            assert racer.returncode == 0
            won += [int(seat) for seat in out.split()]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()

    assert len(won) == 40
    assert len(set(won)) == 40
