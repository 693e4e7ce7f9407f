"""No table: the admin's permissions on channels are made for the models that Django knows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Channel",
            fields=[
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
            ],
            options={
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": ("view", "change", "delete"),
            },
        ),
    ]
