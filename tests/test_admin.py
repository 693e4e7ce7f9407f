"""Channels in Django's admin: what an operator sees and does, and who may."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import path
from django.utils.timezone import localtime

from seaway import channel
from seaway.conf import close_layer_home, layer_home
from seaway.layers.queues import DeadLetter

urlpatterns = [path("admin/", admin.site.urls)]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

LIST = "/admin/seaway/channel/"
THUMBNAILS = f"{LIST}{quote('photos/thumbnails')}/change/"

As = Callable[..., Client]


@pytest.fixture(autouse=True)
def own_layer() -> Iterator[None]:
    yield
    close_layer_home()


@pytest.fixture
def someone() -> As:
    """Somebody who has logged in, with these of the channels' permissions."""

    def log_in(*permissions: str, is_staff: bool = False, is_superuser: bool = False) -> Client:
        user = User.objects.create_user("someone", is_staff=is_staff, is_superuser=is_superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def boss(someone: As) -> Client:
    return someone(is_staff=True, is_superuser=True)


def put(value: object, name: str = "photos/thumbnails", delay: float = 0.0) -> str:
    """At once: these tests run in a transaction, whose end `Channel.put` would wait for."""
    data = json.dumps(value).encode()
    return layer_home().run(lambda layer: layer.send(name, data, delay=delay))


def bury(*values: object, name: str = "photos/thumbnails", reason: str = "no disk") -> list[str]:
    """Make dead letters; their ids."""
    thumbnails = channel(name, tries=1)
    for value in values:
        sent = put(value, name)
        delivery = thumbnails.take()
        assert delivery is not None
        assert delivery.id == sent
        with contextlib.suppress(OSError), delivery:
            raise OSError(reason)
    return [letter.id for letter in dead(name)]


def dead(name: str = "photos/thumbnails") -> list[DeadLetter]:
    return list(layer_home().run(lambda layer: layer.dead_letters(name)))


def waiting(name: str = "photos/thumbnails") -> int:
    return layer_home().run(lambda layer: layer.queue_state(name)).waiting


def page(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def said(client: Client, url: str, **form: object) -> str:
    """What the page says after a button was pressed."""
    response = client.post(url, form, follow=True)
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


# Looking -----------------------------------------------------------------------------------------


def test_the_index_leads_to_the_list_and_the_list_to_each_channel(boss: Client) -> None:
    bury({"photo": 7})
    put("x", "mails", delay=60)

    assert LIST in page(boss, "/admin/")
    assert LIST in page(boss, "/admin/seaway/")
    shown = page(boss, LIST)
    assert "mails" in shown
    assert "2 channels" in shown
    assert THUMBNAILS in shown
    assert "photo" in page(boss, THUMBNAILS)


def test_the_list_is_searched(boss: Client) -> None:
    for name in ("mails/in", "mails/out", "photos"):
        put(1, name)
    shown = page(boss, LIST, q="mails")
    assert "mails/in" in shown
    assert "mails/out" in shown
    assert "photos" not in shown
    assert "No channel with “nothing”" in page(boss, LIST, q="nothing")


def test_many_channels_are_on_several_pages(boss: Client) -> None:
    for number in range(101):
        put(1, f"many-{number:03}")
    shown = page(boss, LIST, q="many")
    assert "101 channels" in shown
    assert "many-099" in shown
    assert "many-100" not in shown
    assert "?q=many&amp;p=2" in shown
    second = page(boss, LIST, q="many", p="2")
    assert "many-100" in second
    assert "many-099" not in second


def test_many_dead_letters_are_on_several_pages(boss: Client) -> None:
    ids = bury(*range(51))
    ids = sorted(ids, key=lambda id_: int(id_.rpartition("-")[2]))
    first, second = page(boss, THUMBNAILS), page(boss, THUMBNAILS, p="2")
    assert "51 dead letters" in first
    assert (f">{ids[49]}<" in first, f">{ids[50]}<" in first) == (True, False)
    assert (f">{ids[49]}<" in second, f">{ids[50]}<" in second) == (False, True)
    for odd in ("99", "0", "x"):
        assert "Replay all 51" in page(boss, THUMBNAILS, p=odd)

    answer = said(boss, f"{THUMBNAILS}?p=2", _replay="chosen", id=ids[50])
    assert answer == "1 dead letter put back."
    assert "50 dead letters" in page(boss, THUMBNAILS, p="2")


def test_a_dead_letter_has_a_page_of_its_own(boss: Client, someone: As) -> None:
    (one,) = bury({"photo": "<script>" * 1000}, reason="<b>no disk</b>")
    assert letter_page(one) in page(boss, THUMBNAILS)
    shown = page(boss, letter_page(one))
    assert "OSError: &lt;b&gt;no disk&lt;/b&gt;" in shown
    assert shown.count("&lt;script&gt;") == 1000
    assert "more characters" not in shown
    assert f"{len(dead()[0].data)} bytes" in shown
    assert f'action="{THUMBNAILS}"' in shown

    assert said(boss, THUMBNAILS, _discard="chosen", id=one, confirmed="yes")
    gone = boss.get(letter_page(one), follow=True)
    assert gone.redirect_chain == [(THUMBNAILS, 302)]
    assert "is gone" in gone.content.decode()


def letter_page(id_: str, name: str = "photos/thumbnails") -> str:
    return f"{LIST}{quote(name)}/letters/{quote(id_)}/"


def test_whatever_is_asked_for_it_is_no_letter(boss: Client) -> None:
    bury(1)
    for odd in ("unknown", "a/b", "<b>"):
        answer = boss.get(letter_page(odd), follow=True)
        assert answer.redirect_chain == [(THUMBNAILS, 302)]
        assert "<b> is gone" not in answer.content.decode()
    assert boss.get(f"{LIST}no%20name/letters/1/").status_code == 404


def test_nothing_to_show(boss: Client) -> None:
    assert "No channel holds anything." in page(boss, LIST)
    assert "There are no dead letters." in page(boss, THUMBNAILS)
    assert boss.get(f"{LIST}no%20name/change/").status_code == 404


def test_a_dead_letter_says_what_why_when_and_how_often(boss: Client) -> None:
    (one,) = bury({"photo": "<script>"}, reason="<b>no disk</b>")
    shown = page(boss, THUMBNAILS)
    assert one in shown
    assert "OSError: &lt;b&gt;no disk&lt;/b&gt;" in shown
    assert "&quot;photo&quot;: &quot;&lt;script&gt;&quot;" in shown
    assert "<td>1</td>" in shown
    died = localtime(datetime.fromtimestamp(dead()[0].died_at, UTC))
    assert f"{died:%Y-%m-%d %H:%M:%S}" in shown


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\xff\x00 no JSON", "\\xff"), (b"[" * 100_000, "and 99500 more characters")],
    ids=["bytes", "brackets"],
)
def test_whatever_a_dead_letter_holds_the_page_comes(boss: Client, data: bytes, words: str) -> None:
    layer_home().run(lambda layer: layer.send("photos/thumbnails", data))
    assert channel("photos/thumbnails").take() is None
    assert words in page(boss, THUMBNAILS)


# Doing -------------------------------------------------------------------------------------------


def test_chosen_ones_are_replayed(boss: Client) -> None:
    first, second, third = bury(1, 2, 3)
    answer = said(boss, THUMBNAILS, _replay="chosen", id=[first, third])
    assert answer == "2 dead letters put back."
    assert [letter.id for letter in dead()] == [second]
    assert waiting() == 2
    taken = channel("photos/thumbnails").take()
    assert taken is not None
    assert (taken.value, taken.attempt) == (1, 1)


def test_discarding_asks_first(boss: Client) -> None:
    first, second = bury(1, 2)
    asked = boss.post(THUMBNAILS, {"_discard": "chosen", "id": [first]})
    assert "1 dead letter of photos/thumbnails will be gone for good" in asked.content.decode()
    assert len(dead()) == 2

    answer = said(boss, THUMBNAILS, _discard="chosen", id=[first], confirmed="yes")
    assert answer == "1 dead letter discarded."
    assert [letter.id for letter in dead()] == [second]
    assert waiting() == 0


def test_all_of_them_at_once(boss: Client) -> None:
    bury(1, 2, 3)
    assert said(boss, THUMBNAILS, _replay="all") == "3 dead letters put back."
    assert waiting() == 3
    bury(4, 5, name="mails")
    mails = f"{LIST}mails/change/"
    asked = boss.post(mails, {"_discard": "all"})
    assert "All 2 dead letters of mails" in asked.content.decode()
    assert said(boss, mails, _discard="all", confirmed="yes") == "2 dead letters discarded."
    assert dead("mails") == []


def test_nothing_chosen_is_nothing_done(boss: Client) -> None:
    (one,) = bury(1)
    assert "choose dead letters first" in said(boss, THUMBNAILS, _replay="chosen")
    assert "choose dead letters first" in said(boss, THUMBNAILS, id=one)
    assert "gone already" in said(boss, THUMBNAILS, _replay="chosen", id="somebody else's")
    assert len(dead()) == 1


def test_who_did_it_is_written_down(boss: Client) -> None:
    bury(1)
    said(boss, THUMBNAILS, _replay="all")
    entry = LogEntry.objects.get()
    assert entry.object_repr == "photos/thumbnails"
    assert "1 dead letter put back." in entry.change_message
    assert entry.user.username == "someone"
    assert entry.get_admin_url() == THUMBNAILS


# Who may -----------------------------------------------------------------------------------------


def test_strangers_are_sent_to_log_in() -> None:
    for url in (LIST, THUMBNAILS):
        response = Client().get(url)
        assert response.status_code == 302
        assert "/admin/login/" in response["Location"]


def test_staff_without_permission_see_nothing(someone: As) -> None:
    bury(1)
    client = someone(is_staff=True)
    assert client.get(LIST).status_code == 403
    assert client.get(THUMBNAILS).status_code == 403
    assert client.get(letter_page("1")).status_code == 403
    assert client.post(THUMBNAILS, {"_replay": "all"}).status_code == 403
    assert LIST not in page(client, "/admin/")
    assert len(dead()) == 1


def test_permission_without_being_staff_is_not_enough(someone: As) -> None:
    assert someone("view_channel", "change_channel").get(LIST).status_code == 302


def test_who_may_view_may_not_change(someone: As) -> None:
    (one,) = bury(1)
    client = someone("view_channel", is_staff=True)
    assert THUMBNAILS in page(client, LIST)
    shown = page(client, THUMBNAILS)
    assert one in shown
    for url in (THUMBNAILS, letter_page(one)):
        assert "_replay" not in page(client, url)
        assert "_discard" not in page(client, url)
    for form in ({"_replay": "all"}, {"_discard": "all"}, {}):
        assert client.post(THUMBNAILS, form).status_code == 403
    assert len(dead()) == 1


def test_who_may_change_may_not_discard_nor_the_other_way_round(someone: As) -> None:
    (one,) = bury(1)
    client = someone("change_channel", is_staff=True)
    assert "_discard" not in page(client, THUMBNAILS)
    assert "_discard" not in page(client, letter_page(one))
    assert client.post(THUMBNAILS, {"_discard": "all", "confirmed": "yes"}).status_code == 403
    assert len(dead()) == 1
    User.objects.all().delete()

    client = someone("view_channel", "delete_channel", is_staff=True)
    assert "_replay" not in page(client, THUMBNAILS)
    assert client.post(THUMBNAILS, {"_replay": "all"}).status_code == 403
    answer = said(client, THUMBNAILS, _discard="chosen", id=one, confirmed="yes")
    assert answer == "1 dead letter discarded."


def test_who_may_change_may_view(someone: As) -> None:
    bury(1)
    client = someone("change_channel", is_staff=True)
    assert "_replay" in page(client, THUMBNAILS)
    assert said(client, THUMBNAILS, _replay="all") == "1 dead letter put back."


def test_a_form_of_another_site_does_nothing(boss: Client) -> None:
    bury(1)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = boss.cookies
    assert strict.post(THUMBNAILS, {"_replay": "all"}).status_code == 403
    assert len(dead()) == 1
    assert boss.get(THUMBNAILS, {"_replay": "all"}).status_code == 200
    assert len(dead()) == 1


# Around it ---------------------------------------------------------------------------------------


def test_a_layer_that_is_away_is_told(boss: Client) -> None:
    close_layer_home()
    with override_settings(SEAWAY={"LAYER": "postgres://nobody@127.0.0.1:1/none"}):
        for url in (LIST, THUMBNAILS, letter_page("1")):
            response = boss.get(url)
            assert response.status_code == 503
            assert "The layer did not answer" in response.content.decode()
        close_layer_home()


def test_nobody_else_minds_a_model_without_a_table() -> None:
    model = apps.get_model("seaway", "Channel")
    assert list(model._default_manager.all()) == []
    assert list(model._base_manager.all()) == []
    out = io.StringIO()
    call_command("dumpdata", "seaway", stdout=out)
    call_command("dumpdata", "seaway", "--all", stdout=out)
    assert out.getvalue().split() == ["[][]"]
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
