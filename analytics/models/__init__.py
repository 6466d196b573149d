from analytics.models.rollups import AnswerHour, DailyRollup, RollupWatermark, ShopperDay

__all__ = ["AnswerHour", "DailyRollup", "RollupWatermark", "ShopperDay"]
