from recommender.models.experiments import (
    GOALS,
    ExclusionGroup,
    Experiment,
    ExperimentPhase,
    ExperimentPlacement,
    Exposure,
    Metric,
    Variant,
    VariantStrategy,
)
from recommender.models.impressions import Impression
from recommender.models.lab import LabChoice, LabRun
from recommender.models.placements import Placement
from recommender.models.rules import Rule, Segment
from recommender.models.runs import Artifact, Run
from recommender.models.strategies import Strategy, StrategyVersion
from recommender.models.weights import ContentWeights, EventWeights

__all__ = [
    "GOALS",
    "Artifact",
    "ContentWeights",
    "EventWeights",
    "ExclusionGroup",
    "Experiment",
    "ExperimentPhase",
    "ExperimentPlacement",
    "Exposure",
    "Impression",
    "LabChoice",
    "LabRun",
    "Metric",
    "Placement",
    "Rule",
    "Run",
    "Segment",
    "Strategy",
    "StrategyVersion",
    "Variant",
    "VariantStrategy",
]
