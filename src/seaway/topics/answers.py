"""What a client is told when a topic's method raised.

What lives here: the one table from exceptions to `TopicError`, and the log of what is our fault.
What must not: dialects' forms of an error.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import msgspec
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404

from seaway.exceptions import (
    Failed,
    Forbidden,
    InvalidArguments,
    LayerUnavailable,
    NotFound,
    TopicError,
    Unavailable,
    UnencodablePayload,
)
from seaway.topics.encoding import encode_json

logger = logging.getLogger("seaway.topics")


@contextlib.contextmanager
def answering(where: str) -> Iterator[None]:
    """Turn whatever the block raises into the `TopicError` that `answer_to` makes of it."""
    try:
        yield
    except Exception as exc:
        answer = answer_to(exc, where)
        if answer is exc:
            raise
        raise answer from exc


def answer_to(exc: Exception, where: str) -> TopicError:
    """The error for the client; logged with its traceback if it is the server's fault.

    :param where: the topic's name and what was asked of it, for the log.
    """
    for kind, make in _ANSWERS:
        if isinstance(exc, kind):
            try:
                return _presentable(make(exc))
            except UnencodablePayload as fault:
                exc = fault
                break
    if isinstance(exc, LayerUnavailable):
        logger.warning("%s: the layer is unavailable: %s", where, exc)
        return Unavailable("The service cannot be reached. Please try again later.")
    logger.error("%s failed: %s", where, exc, exc_info=exc)
    if settings.DEBUG:
        return Failed(f"{type(exc).__name__}: {exc}")
    return Failed("Something went wrong on the server.")


def _refused(exc: Exception) -> TopicError:
    return Forbidden(str(exc) or "You may not do this.")


def _invalid(exc: Exception) -> TopicError:
    assert isinstance(exc, ValidationError)  # noqa: S101 - narrows for mypy
    data = exc.message_dict if hasattr(exc, "error_dict") else None
    return InvalidArguments(" ".join(exc.messages), data=data)


def _absent(exc: Exception) -> TopicError:
    """Django's 404 pages show the message of an `Http404`; that of a failed ``get()`` names our
    models, and stays here."""
    logger.debug("not found: %s", exc, exc_info=exc)
    words = str(exc) if isinstance(exc, Http404) else ""
    return NotFound(words or "What you asked for does not exist.")


def _as_it_is(exc: Exception) -> TopicError:
    assert isinstance(exc, TopicError)  # noqa: S101 - narrows for mypy
    return exc


_ANSWERS: tuple[tuple[type[Exception], Callable[[Exception], TopicError]], ...] = (
    (TopicError, _as_it_is),
    (PermissionDenied, _refused),
    (ValidationError, _invalid),
    (Http404, _absent),
    (ObjectDoesNotExist, _absent),
)


def _presentable(error: TopicError) -> TopicError:
    """Make code, message and data plain: they may hold lazy translations and other Django types."""
    error.code = str(error.code)
    error.message = str(error.message)
    if error.data is not None:
        error.data = msgspec.json.decode(encode_json(error.data, "The data of an error"))
    return error
