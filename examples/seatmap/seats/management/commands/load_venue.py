"""``manage.py load_venue``: build the house, its seats and one evening. Safe to run again."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from seats.venue import load

LOGIN = "admin"


class Command(BaseCommand):
    help = "Load the demo's theatre and say where to look. Holds and sales are left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url", default="http://127.0.0.1:8000/", help="Where the demo will be served."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            event, created = load()
            login = self.demo_login()
        url = options["url"].rstrip("/")
        seats = event.seats.count()
        self.stdout.write(
            f"{'Loaded' if created else 'Kept'} {event.venue} with {seats} seats.\n\n"
        )
        self.stdout.write(f"  Seat map  {url}/   (open it in two windows)\n")
        self.stdout.write(f"  Admin     {url}/admin/   ({login})\n\n")

    def demo_login(self) -> str:
        """Make sure that the demo has an administrator, and only the demo: DEBUG must be on."""
        users = get_user_model()
        if users.objects.filter(username=LOGIN).exists():
            return f"log in as {LOGIN}" + (f" / {LOGIN}" if settings.DEBUG else "")
        if not settings.DEBUG:
            return "no login: DEBUG is off, so make one with `manage.py createsuperuser`"
        users.objects.create_superuser(LOGIN, password=LOGIN)
        return (
            f"log in as {LOGIN} / {LOGIN}: made just now because DEBUG is on, never in production"
        )
