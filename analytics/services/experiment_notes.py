"""What members write down beside an experiment's results."""

from __future__ import annotations

from django.db import transaction

from catalog.models import AuditEntry, User
from catalog.services.audit import audit_record
from recommender.models import Experiment

NOTE_ACTION = "experiment.note"
MAX_NOTE_CHARS = 2_000


@transaction.atomic
def experiment_note_add(*, experiment: Experiment, text: str, actor: User) -> AuditEntry:
    """A note is an entry of the log: it says who and when, and nobody can change it afterwards."""
    return audit_record(
        store=experiment.store,
        actor=actor,
        action=NOTE_ACTION,
        subject=experiment.name,
        subject_key=experiment.key,
        after={"note": text},
    )
