import django.db.models.deletion
from django.db import migrations, models

# Months aren't counted again: the facts behind them may be gone by now.
PACK = """
INSERT INTO analytics_productmonth (store_id, month, totals)
SELECT store_id, month,
  string_agg(int8send(product_id) || int4send(n_shown::int) || int4send(n_clicks::int), ''::bytea)
FROM analytics_productmonthrow
GROUP BY store_id, month
"""

# Packed numbers don't shrink enough to be worth the time of unpacking them.
AS_THEY_ARE = "ALTER TABLE analytics_productmonth ALTER COLUMN totals SET STORAGE EXTERNAL"


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0005_insights'),
        ('catalog', '0007_erasures'),
    ]

    operations = [
        migrations.RenameModel('ProductMonth', 'ProductMonthRow'),
        migrations.CreateModel(
            name='ProductMonth',
            fields=[
                ('pk', models.CompositePrimaryKey('store_id', 'month', blank=True, editable=False, primary_key=True, serialize=False)),
                ('month', models.DateField(help_text='Its first day')),
                ('totals', models.BinaryField(help_text='product_id int64, n_shown int32, n_clicks int32, big endian')),
                ('store', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.store')),
            ],
        ),
        migrations.RunSQL(AS_THEY_ARE, migrations.RunSQL.noop),
        migrations.RunSQL(PACK, migrations.RunSQL.noop),
        migrations.DeleteModel('ProductMonthRow'),
    ]
