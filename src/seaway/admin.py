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
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from seaway.conf import layer_home
from seaway.exceptions import InvalidName, LayerError
from seaway.layers.base import Layer, check_name
from seaway.layers.house import Operation
from seaway.layers.queues import DeadLetter, QueueState
from seaway.models import Channel
from seaway.tasks.replaying import replay

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Channel]
else:
    Base = admin.ModelAdmin

T = TypeVar("T")

#: Channels on a page of all of them, and dead letters on a page of one's.
CHANNELS, LETTERS = 100, 50
#: Characters of a dead letter's data among others, and on a page of its own.
GLANCE, WHOLE = 500, 200_000

#: What a button does → what is said of it when it is done.
VERBS = {"replay": "put back", "discard": "discarded"}


class ShownChannel(msgspec.Struct, frozen=True):
    """A line of the list. ``key`` is what its address has for its name."""

    name: str
    key: str
    state: QueueState


class ShownLetter(msgspec.Struct, frozen=True):
    """A dead letter as people read it. ``key`` is what its address has for its id, ``cut`` how many
    characters are not shown, ``size`` how many bytes it has."""

    id: str
    key: str
    reason: str
    attempts: int
    died: datetime
    data: str
    cut: int
    size: int


class ShownPage(msgspec.Struct, frozen=True):
    """One page of a list: its number, what the links to the others say, and what comes before."""

    number: int
    links: list[int | str]
    skip: int

    @classmethod
    def of(cls, count: int, size: int, wanted: str | None) -> ShownPage:
        """The page that was asked for; the last one instead of one beyond it, else the first."""
        pages = Paginator(range(count), size)
        number = pages.get_page(wanted).number
        links = [
            link if isinstance(link, int) else "…" for link in pages.get_elided_page_range(number)
        ]
        return cls(number, links if pages.num_pages > 1 else [], (number - 1) * size)


@admin.register(Channel)
class ChannelAdmin(Base):
    """Pages of our own, two of them under the names that the admin links to."""

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view
        return [
            path("", guarded(self.changelist_view), name="seaway_channel_changelist"),
            path(
                "<path:object_id>/letters/<path:letter_id>/",
                guarded(self.letter_view),
                name="seaway_channel_letter",
            ),
            path(
                "<path:object_id>/change/", guarded(self.change_view), name="seaway_channel_change"
            ),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
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
            count, page, found = _ask(lambda layer: _look(layer, wanted, request.GET.get("p")))
        except LayerError as error:
            return self._unanswered(request, error)
        context = {
            "title": "Channels",
            "channels": [ShownChannel(name, quote(name), state) for name, state in found],
            "count": count,
            "page": page,
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
        """One channel and its dead letters; a POST replays or discards some of them."""
        name = self._named(request, object_id)
        try:
            if request.method == "POST":
                return self._post(request, name)
            state, page, letters = _ask(lambda layer: _open(layer, name, request.GET.get("p")))
        except LayerError as error:
            return self._unanswered(request, error)
        context = {
            "title": f"Channel {name}",
            "subtitle": None,
            "name": name,
            "key": quote(name),
            "state": state,
            "page": page,
            "letters": [_readable(letter, GLANCE) for letter in letters],
            **self._allowed(request),
        }
        return self._page(request, "change_form", context | (extra_context or {}))

    def letter_view(self, request: HttpRequest, object_id: str, letter_id: str) -> HttpResponse:
        """One dead letter. Its buttons post to the page of its channel."""
        name, id_ = self._named(request, object_id), unquote(letter_id)
        channel = reverse(
            "admin:seaway_channel_change", args=[quote(name)], current_app=self.admin_site.name
        )
        try:
            letters = _ask(lambda layer: layer.dead_letters(name, 1, ids=[id_]))
        except LayerError as error:
            return self._unanswered(request, error)
        if not letters:
            said = "The dead letter {} is gone: it was replayed or discarded."
            messages.warning(request, format_html(said, id_))
            return redirect(channel)
        context = {
            "title": "Dead letter",
            "name": name,
            "channel": channel,
            "letter": _readable(letters[0], WHOLE),
            **self._allowed(request),
        }
        return self._page(request, "letter", context)

    def _named(self, request: HttpRequest, object_id: str) -> str:
        """The channel of an address, for somebody who may look at it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        name = unquote(object_id)
        try:
            return check_name(name, "channel name")
        except InvalidName as error:
            raise Http404(str(error)) from error

    def _allowed(self, request: HttpRequest) -> dict[str, bool]:
        return {
            "may_replay": self.has_change_permission(request),
            "may_discard": self.has_delete_permission(request),
        }

    def _post(self, request: HttpRequest, name: str) -> HttpResponse:
        verb = next((verb for verb in VERBS if f"_{verb}" in request.POST), None)
        if not self._allowed(request)[f"may_{verb or 'replay'}"]:
            raise PermissionDenied
        every = request.POST.get(f"_{verb}") == "all"
        chosen = None if every else request.POST.getlist("id")
        if verb is None or chosen == []:
            messages.warning(request, "Nothing was done: choose dead letters first.")
            return redirect(request.get_full_path())
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
        return redirect(request.get_full_path())

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


async def _look(
    layer: Layer, wanted: str, number: str | None
) -> tuple[int, ShownPage, list[tuple[str, QueueState]]]:
    names = [name for name in await layer.channels() if wanted in name]
    page = ShownPage.of(len(names), CHANNELS, number)
    shown = names[page.skip : page.skip + CHANNELS]
    return len(names), page, [(name, await layer.queue_state(name)) for name in shown]


async def _open(
    layer: Layer, name: str, number: str | None
) -> tuple[QueueState, ShownPage, Sequence[DeadLetter]]:
    state = await layer.queue_state(name)
    page = ShownPage.of(state.dead, LETTERS, number)
    return state, page, await layer.dead_letters(name, LETTERS, skip=page.skip)


def _readable(letter: DeadLetter, length: int) -> ShownLetter:
    try:
        text = json.dumps(json.loads(letter.data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # it may be dead because it is no JSON for us
        text = letter.data.decode("utf-8", "backslashreplace")
    return ShownLetter(
        id=letter.id,
        key=quote(letter.id),
        reason=letter.reason,
        attempts=letter.attempts,
        died=datetime.fromtimestamp(letter.died_at, UTC),
        data=text[:length],
        cut=max(0, len(text) - length),
        size=len(letter.data),
    )
