import django.db.models.deletion
from django.db import migrations, models

# Days aren't counted again: the facts behind them may be gone by now.
PACK = """
INSERT INTO analytics_productday (store_id, day, totals)
SELECT store_id, day, string_agg(
  int8send(product_id) || int4send(n_shown::int) || int4send(n_clicks::int), ''::bytea
  ORDER BY product_id
)
FROM analytics_productdayrow
GROUP BY store_id, day
"""

# Packed numbers don't shrink enough to be worth the time of unpacking them.
AS_THEY_ARE = "ALTER TABLE analytics_productday ALTER COLUMN totals SET STORAGE EXTERNAL"


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0007_silent_participants'),
        ('catalog', '0007_erasures'),
    ]

    operations = [
        migrations.RenameModel('ProductDay', 'ProductDayRow'),
        migrations.CreateModel(
            name='ProductDay',
            fields=[
                ('pk', models.CompositePrimaryKey('store_id', 'day', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('totals', models.BinaryField(help_text='product_id int64, n_shown int32, n_clicks int32, big endian; ids ascending')),
                ('store', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.store')),
            ],
        ),
        migrations.RunSQL(AS_THEY_ARE, migrations.RunSQL.noop),
        migrations.RunSQL(PACK, migrations.RunSQL.noop),
        migrations.DeleteModel('ProductDayRow'),
        migrations.AlterField(
            model_name='productmonth',
            name='totals',
            field=models.BinaryField(help_text='As those of a day'),
        ),
    ]
