from catalog.models.events import Event, EventType, QuarantinedEvent
from catalog.models.imports import FeedFormat, ImportProblem, ProductFeed, ProductImport
from catalog.models.keys import ApiKey
from catalog.models.people import AuditEntry, Invitation
from catalog.models.products import Product
from catalog.models.replays import DemoReplay
from catalog.models.shoppers import Erasure, Shopper, ShopperLink
from catalog.models.stores import Member, Store, User

__all__ = [
    "ApiKey",
    "AuditEntry",
    "DemoReplay",
    "Erasure",
    "Event",
    "EventType",
    "FeedFormat",
    "ImportProblem",
    "Invitation",
    "Member",
    "Product",
    "ProductFeed",
    "ProductImport",
    "QuarantinedEvent",
    "Shopper",
    "ShopperLink",
    "Store",
    "User",
]
