import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0001_initial"),
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollupwatermark",
            name="time_zone",
            # No zone's days: the next refresh counts them all.
            field=models.CharField(
                default="", help_text="Whose days the rollups are", max_length=64
            ),
            preserve_default=False,
        ),
        migrations.CreateModel(
            name="ShopperDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "store_id",
                        "day",
                        "shopper_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                (
                    "visited",
                    models.BooleanField(help_text="Some event that is no purchase"),
                ),
                ("bought", models.BooleanField()),
                (
                    "shopper",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="catalog.shopper",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shopper_days",
                        to="catalog.store",
                    ),
                ),
            ],
        ),
    ]
