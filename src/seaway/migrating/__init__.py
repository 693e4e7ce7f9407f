"""Moving a project from Channels: ``seaway migrate-from-channels``.

What lives here: finding what is Channels' in a project's files, and what becomes of it.
What must not: importing the project, Django or Channels; a file is read, not run.
"""
