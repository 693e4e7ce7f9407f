"""The tables of the outbox."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("topic", models.CharField(max_length=200)),
                ("data", models.BinaryField()),
                ("size", models.IntegerField()),
                ("seconds", models.FloatField()),
                ("once", models.CharField(max_length=32)),
                ("refused", models.CharField(blank=True, default="", max_length=300)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="OutboxTurn",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("holder", models.CharField(max_length=32)),
                ("until", models.FloatField()),
            ],
        ),
    ]
