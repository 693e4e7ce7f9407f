"""The site of these tests."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

from tests.http import async_views, views

urlpatterns = [
    path("hello/", views.hello, name="hello"),
    path("echo/", views.echo),
    path("unread/", views.unread),
    path("where/", views.where),
    path("meet/", views.meet),
    path("context/", views.context),
    path("activate/", views.activate_language),
    path("language/", views.language),
    path("reverse/", views.reversed_hello),
    path("fail/", views.fail),
    path("exit/", views.leave),
    path("missing/", views.missing),
    path("none/", views.nothing),
    path("template/", views.template),
    path("cookies/", views.cookies),
    path("status/<int:code>/", views.status),
    path("upload/", views.upload),
    path("slow/", views.slow),
    path("stream/", views.stream),
    path("endless/", views.endless),
    path("late/", views.late),
    path("fails-first/", views.stream_fails_first),
    path("fails-later/", views.stream_fails_later),
    path("async-parts/", views.async_parts_from_sync),
    path("file/", views.file),
    path("session/", views.session),
    path("message/", views.message),
    path("form/", views.form),
    path("calls-async/", views.calls_async),
    path("suspicious/", views.suspicious),
    path("unawaited/", views.unawaited),
    path("async/suspicious/", async_views.async_suspicious),
    path("async/unawaited/", async_views.async_unawaited),
    path("async/hello/", async_views.async_hello),
    path("async/echo/", async_views.async_echo),
    path("async/threads/", async_views.async_threads),
    path("async/wait/", async_views.async_wait),
    path("async/stubborn/", async_views.async_stubborn),
    path("async/timeout/", async_views.async_timeout),
    path("async/fail/", async_views.async_fail),
    path("async/missing/", async_views.async_missing),
    path("async/stream/", async_views.async_stream),
    path("events/", async_views.events),
    path("async/events/", async_views.async_events),
    path("async/sync-parts/", async_views.async_view_of_sync_parts),
    path("async/fails-first/", async_views.async_stream_fails_first),
    path("async/fails-later/", async_views.async_stream_fails_later),
    path("async/file/", async_views.async_file),
    path("async/session/", async_views.async_session),
    path("async/message/", async_views.async_message),
    path("async/form/", async_views.async_form),
    path("async/template/", async_views.async_template),
    path("async/language/", async_views.async_language),
    path("async/class/", async_views.AsyncClass.as_view()),
    path("nested/", include([path("async/", async_views.async_hello)])),
]
urlpatterns += i18n_patterns(path("kind/", async_views.async_kind))

handler404 = views.page_not_found
handler500 = views.server_error
