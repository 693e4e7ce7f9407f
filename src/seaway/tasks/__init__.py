"""Django's tasks framework on channels: a backend, its results, and progress on a topic.

What lives here: `SeawayBackend`, `TaskTopic`, `report_progress`. What must not: running workers.
Needs Django 6's ``django.tasks``, or ``django-tasks`` on Django 5.2.
"""
