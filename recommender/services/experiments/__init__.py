"""Experiments: made as drafts, started, changed as far as that is allowed, stopped and decided."""

from recommender.services.experiments.deciding import experiment_decide
from recommender.services.experiments.documents import ArmDraft, ExperimentDraft
from recommender.services.experiments.drafts import (
    experiment_create,
    experiment_delete,
    experiment_edit,
)
from recommender.services.experiments.groups import (
    exclusion_group_create,
    exclusion_group_delete,
    exclusion_group_rename,
)
from recommender.services.experiments.holdout import holdout_change, holdout_start, holdout_stop
from recommender.services.experiments.lifecycle import (
    experiment_pause,
    experiment_ramp,
    experiment_resume,
    experiment_start,
    experiment_stop,
    experiment_weights_learn,
)
from recommender.services.experiments.records import ExperimentRefused

__all__ = [
    "ArmDraft",
    "ExperimentDraft",
    "ExperimentRefused",
    "exclusion_group_create",
    "exclusion_group_delete",
    "exclusion_group_rename",
    "experiment_create",
    "experiment_decide",
    "experiment_delete",
    "experiment_edit",
    "experiment_pause",
    "experiment_ramp",
    "experiment_resume",
    "experiment_start",
    "experiment_stop",
    "experiment_weights_learn",
    "holdout_change",
    "holdout_start",
    "holdout_stop",
]
