from recommender.models.impressions import Impression
from recommender.models.placements import Placement
from recommender.models.runs import Artifact, Run
from recommender.models.strategies import Strategy, StrategyVersion

__all__ = ["Artifact", "Impression", "Placement", "Run", "Strategy", "StrategyVersion"]
