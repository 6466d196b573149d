from catalog.models.events import Event, EventType, QuarantinedEvent
from catalog.models.keys import ApiKey
from catalog.models.products import Product
from catalog.models.shoppers import Shopper, ShopperLink
from catalog.models.stores import Member, Store, User

__all__ = [
    "ApiKey",
    "Event",
    "EventType",
    "Member",
    "Product",
    "QuarantinedEvent",
    "Shopper",
    "ShopperLink",
    "Store",
    "User",
]
