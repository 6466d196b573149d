from analytics.models.experiments import (
    ExperimentSnapshot,
    ExperimentWatermark,
    Participant,
    ParticipantDay,
    VariantDay,
)
from analytics.models.insights import (
    AttributedLine,
    CategoryDay,
    InsightsWatermark,
    ProductDay,
    ProductMonth,
    Reach,
    RecommendationDay,
    SourceDay,
    TrackingDay,
    TrackingHour,
)
from analytics.models.rollups import AnswerHour, DailyRollup, RollupWatermark, ShopperDay

__all__ = [
    "AnswerHour",
    "AttributedLine",
    "CategoryDay",
    "DailyRollup",
    "ExperimentSnapshot",
    "ExperimentWatermark",
    "InsightsWatermark",
    "Participant",
    "ParticipantDay",
    "ProductDay",
    "ProductMonth",
    "Reach",
    "RecommendationDay",
    "RollupWatermark",
    "ShopperDay",
    "SourceDay",
    "TrackingDay",
    "TrackingHour",
    "VariantDay",
]
