from analytics.models.rollups import DailyRollup, RollupWatermark, ShopperDay

__all__ = ["DailyRollup", "RollupWatermark", "ShopperDay"]
