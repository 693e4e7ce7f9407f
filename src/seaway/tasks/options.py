"""The ``OPTIONS`` of a backend, checked once.

What lives here: `Options`, and `read_options`. What must not: what they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from django.core.exceptions import ImproperlyConfigured
from msgspec import Meta

from seaway.exceptions import InvalidName
from seaway.layers.base import check_name
from seaway.tasks.queues import BANDS, PREFIX

DAY = 86400.0

_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """See the reference page "Tasks"."""

    RETRIES: _Count = 0
    #: Deliveries beyond the retries that were asked for: a worker may die with the task in hand.
    DEATHS: _Count = 3
    TIMEOUT: _Seconds | None = None
    CONCURRENCY: Annotated[int, Meta(ge=1)] = 4
    RESULT_SECONDS: Annotated[float, Meta(ge=0)] = DAY
    CAPACITY: Annotated[int, Meta(ge=1)] = 100_000
    LEASE: _Seconds = 30.0
    ON_COMMIT: bool = True


def read_options(alias: str, options: Mapping[str, Any], queues: Iterable[str]) -> Options:
    """:raises ImproperlyConfigured: an option is not known, or its value not legal, or the name of
    a queue."""
    where = f"TASKS[{alias!r}]"
    known = Options.__struct_fields__
    for name in sorted(set(options) - set(known)):
        raise ImproperlyConfigured(
            f"{where}['OPTIONS'] has no {name!r}. Known: {', '.join(sorted(known))}."
        )
    for queue in queues:
        try:
            check_name(f"{PREFIX}{queue}/{max(BANDS, key=len)}", "channel name")
        except InvalidName as error:
            raise ImproperlyConfigured(
                f"{where}['QUEUES']: {queue!r} cannot be a queue. {error}"
            ) from error
    try:
        return msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"{where}['OPTIONS']: {error}.") from error
