import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0002_shopper_days"),
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="AnswerHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("hour", models.DateTimeField(help_text="Its beginning")),
                ("placement_id", models.BigIntegerField()),
                ("strategy_version_id", models.BigIntegerField()),
                (
                    "n_products",
                    models.PositiveSmallIntegerField(help_text="That each of the answers had"),
                ),
                ("fallback", models.CharField(max_length=32, null=True)),
                ("reason", models.CharField(max_length=40, null=True)),
                ("rule_id", models.BigIntegerField(null=True)),
                ("n", models.BigIntegerField(help_text="How many answers")),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="answer_hours",
                        to="catalog.store",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["store", "hour"], name="answer_hour_of_store")
                ],
            },
        ),
        # No zone's days: the next refresh counts them all, and their hours.
        migrations.RunSQL(
            "UPDATE analytics_rollupwatermark SET time_zone = ''", migrations.RunSQL.noop
        ),
    ]
