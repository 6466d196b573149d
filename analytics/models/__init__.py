from analytics.models.experiments import (
    ExperimentSnapshot,
    ExperimentWatermark,
    Participant,
    ParticipantDay,
    VariantDay,
)
from analytics.models.rollups import AnswerHour, DailyRollup, RollupWatermark, ShopperDay

__all__ = [
    "AnswerHour",
    "DailyRollup",
    "ExperimentSnapshot",
    "ExperimentWatermark",
    "Participant",
    "ParticipantDay",
    "RollupWatermark",
    "ShopperDay",
    "VariantDay",
]
