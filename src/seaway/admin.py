"""Channels in Django's admin: their numbers, their dead letters, and what becomes of those.

What lives here: `ChannelAdmin`, which Django's admin finds by itself where it is installed.
What must not: a table; the pages ask the layer each time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from seaway.conf import layer_home
from seaway.exceptions import InvalidName, LayerError
from seaway.layers.base import Layer, check_name
from seaway.layers.home import Operation
from seaway.layers.queues import DeadLetter, QueueState
from seaway.models import Channel
from seaway.tasks.replaying import replay

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Channel]
else:
    Base = admin.ModelAdmin

T = TypeVar("T")

#: Channels on the page of all, and dead letters on the page of one.
SHOWN = 100
#: Characters of one dead letter's data.
SHOWN_DATA = 4_000

#: What a button does → what is said of it when it is done.
VERBS = {"replay": "put back", "discard": "discarded"}


class ShownChannel(msgspec.Struct, frozen=True):
    """A line of the list. ``key`` is what its address has for its name."""

    name: str
    key: str
    state: QueueState


class ShownLetter(msgspec.Struct, frozen=True):
    """A dead letter as people read it."""

    id: str
    reason: str
    attempts: int
    died: datetime
    data: str
    cut: int


@admin.register(Channel)
class ChannelAdmin(Base):
    """Two pages of our own under the names that the admin links to."""

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("", guarded(self.changelist_view), name="seaway_channel_changelist"),
            path(
                "<path:object_id>/change/", guarded(self.change_view), name="seaway_channel_change"
            ),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        return False

    # The pages -----------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All channels that hold anything, or whose name has ``?q=`` in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("q", "").strip()
        try:
            names, found = _ask(lambda layer: _look(layer, wanted))
        except LayerError as error:
            return self._unanswered(request, error)
        context = {
            "title": "Channels",
            "channels": [ShownChannel(name, quote(name), state) for name, state in found],
            "count": len(names),
            "wanted": wanted,
        }
        return self._page(request, "change_list", context | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One channel and its oldest dead letters; a POST replays or discards some of them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        name = unquote(object_id)
        try:
            check_name(name, "channel name")
        except InvalidName as error:
            raise Http404(str(error)) from error
        try:
            if request.method == "POST":
                return self._post(request, name)
            state, letters = _ask(lambda layer: _open(layer, name))
        except LayerError as error:
            return self._unanswered(request, error)
        context = {
            "title": f"Channel {name}",
            "subtitle": None,
            "name": name,
            "state": state,
            "letters": [_readable(letter) for letter in letters],
            "may_change": self.has_change_permission(request),
        }
        return self._page(request, "change_form", context | (extra_context or {}))

    def _post(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        verb = next((verb for verb in VERBS if f"_{verb}" in request.POST), None)
        every = request.POST.get(f"_{verb}") == "all"
        chosen = None if every else request.POST.getlist("id")
        if verb is None or chosen == []:
            messages.warning(request, "Nothing was done: choose dead letters first.")
            return redirect(request.path)
        if verb == "discard" and "confirmed" not in request.POST:
            context: dict[str, Any] = {"title": "Are you sure?", "name": name, "chosen": chosen}
            if every:
                context["count"] = _ask(lambda layer: layer.queue_state(name)).dead
            return self._page(request, "discard", context)
        if verb == "replay":
            count = _ask(lambda layer: replay(layer, name, chosen))
        else:
            count = _ask(lambda layer: layer.discard(name, chosen))
        self._tell(request, name, verb, count)
        return redirect(request.path)

    def _tell(self, request: HttpRequest, name: str, verb: str, count: int) -> None:
        """To the operator now, and to those who ask later who it was."""
        if not count:
            messages.warning(request, "Nothing was done: those dead letters are gone already.")
            return
        said = f"{count:,} dead letter{pluralize(count)} {VERBS[verb]}."
        self.log_change(request, Channel(name=name), said)
        messages.success(request, said)

    def _unanswered(self, request: HttpRequest, error: LayerError) -> HttpResponse:
        messages.error(request, format_html("The layer did not answer: {}", str(error)))
        response = self._page(request, "change_list", {"title": "Channels", "channels": None})
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return response

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        own = {"opts": self.opts, **self.admin_site.each_context(request), **context}
        return TemplateResponse(request, f"admin/seaway/channel/{template}.html", own)


def _ask(operation: Operation[T]) -> T:
    return layer_home().run(operation)


async def _look(layer: Layer, wanted: str) -> tuple[list[str], list[tuple[str, QueueState]]]:
    names = [name for name in await layer.channels() if wanted in name]
    return names, [(name, await layer.queue_state(name)) for name in names[:SHOWN]]


async def _open(layer: Layer, name: str) -> tuple[QueueState, Sequence[DeadLetter]]:
    return await layer.queue_state(name), await layer.dead_letters(name, SHOWN)


def _readable(letter: DeadLetter) -> ShownLetter:
    try:
        text = json.dumps(json.loads(letter.data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # it may be dead because it is no JSON for us
        text = letter.data.decode("utf-8", "backslashreplace")
    return ShownLetter(
        id=letter.id,
        reason=letter.reason,
        attempts=letter.attempts,
        died=datetime.fromtimestamp(letter.died_at, UTC),
        data=text[:SHOWN_DATA],
        cut=max(0, len(text) - SHOWN_DATA),
    )
