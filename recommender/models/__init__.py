from recommender.models.experiments import Experiment, Exposure, Variant
from recommender.models.impressions import Impression
from recommender.models.placements import Placement
from recommender.models.rules import Rule, Segment
from recommender.models.runs import Artifact, Run
from recommender.models.strategies import Strategy, StrategyVersion
from recommender.models.weights import EventWeights

__all__ = [
    "Artifact",
    "EventWeights",
    "Experiment",
    "Exposure",
    "Impression",
    "Placement",
    "Rule",
    "Run",
    "Segment",
    "Strategy",
    "StrategyVersion",
    "Variant",
]
