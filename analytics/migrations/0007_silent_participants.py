from django.db import migrations, models

# As a refresh would, of everybody: those of tests that are over aren't refreshed any more.
RECOUNT = """
WITH RECURSIVE linked AS (
  SELECT store_id, shopper_id, customer_id FROM catalog_shopperlink WHERE undone_at IS NULL
  UNION
  SELECT linked.store_id, linked.shopper_id, link.customer_id
  FROM linked JOIN catalog_shopperlink AS link ON link.store_id = linked.store_id
    AND link.shopper_id = linked.customer_id AND link.undone_at IS NULL
), member AS (
  SELECT store_id, external_id AS person, id AS shopper_id FROM catalog_shopper
  UNION
  SELECT linked.store_id, customer.external_id, linked.shopper_id
  FROM linked JOIN catalog_shopper AS customer ON customer.id = linked.customer_id
), heard AS (
  SELECT DISTINCT participant.store_id, participant.experiment_id, participant.person
  FROM analytics_participant AS participant
    JOIN member USING (store_id, person)
    JOIN recommender_experiment AS experiment ON experiment.id = participant.experiment_id
    JOIN catalog_event AS event ON event.store_id = participant.store_id
      AND event.shopper_id = member.shopper_id AND event.occurred_at >= participant.exposed_at
      AND event.occurred_at < coalesce(experiment.stopped_at, 'infinity')
)
UPDATE analytics_participant AS participant SET is_silent = true
WHERE NOT EXISTS (
  SELECT FROM heard WHERE heard.store_id = participant.store_id
    AND heard.experiment_id = participant.experiment_id AND heard.person = participant.person
)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0006_packed_months'),
        ('recommender', '0004_experiments'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='experimentwatermark',
            name='exposed_at',
        ),
        migrations.AddField(
            model_name='participant',
            name='is_silent',
            field=models.BooleanField(default=False, help_text='No event is known since the exposure'),
        ),
        migrations.RunSQL(RECOUNT, migrations.RunSQL.noop),
    ]
