"""What Django has to know of channels to show them in its admin: a name and permissions, no table.

What lives here: the unmanaged `Channel`. What must not: channels themselves (`seaway.channels`), or
what the admin does with them (`seaway.admin`).
"""

from __future__ import annotations

from django.db import models


class NoRows(models.Manager["Channel"]):
    """Finds nothing and asks no database: ``dumpdata`` and the like pass by."""

    def get_queryset(self) -> models.QuerySet[Channel]:
        return super().get_queryset().none()


class Channel(models.Model):
    """A channel in the admin. It is kept by the layer; this class carries its permissions,
    ``seaway.view_channel`` to look, ``seaway.change_channel`` to replay dead letters and
    ``seaway.delete_channel`` to discard them, and its place among the pages."""

    name = models.CharField(max_length=200, primary_key=True)

    objects = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")

    def __str__(self) -> str:
        return self.name
