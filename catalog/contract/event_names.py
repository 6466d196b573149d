"""What events are called: ours (GA4 e-commerce), and what other trackers say for the same."""

from __future__ import annotations

VIEW_ITEM = "view_item"
VIEW_ITEM_LIST = "view_item_list"
SELECT_ITEM = "select_item"
ADD_TO_CART = "add_to_cart"
REMOVE_FROM_CART = "remove_from_cart"
ADD_TO_WISHLIST = "add_to_wishlist"
BEGIN_CHECKOUT = "begin_checkout"
PURCHASE = "purchase"
SEARCH = "search"
RATE_ITEM = "rate_item"
HIDE_ITEM = "hide_item"
RECOMMENDATION_VIEW = "recommendation_view"
RECOMMENDATION_CLICK = "recommendation_click"

EVENT_NAMES = (
    VIEW_ITEM,
    VIEW_ITEM_LIST,
    SELECT_ITEM,
    ADD_TO_CART,
    REMOVE_FROM_CART,
    ADD_TO_WISHLIST,
    BEGIN_CHECKOUT,
    PURCHASE,
    SEARCH,
    RATE_ITEM,
    HIDE_ITEM,
    RECOMMENDATION_VIEW,
    RECOMMENDATION_CLICK,
)

# Without a product these say nothing.
NEEDS_PRODUCT = frozenset(
    {
        VIEW_ITEM,
        SELECT_ITEM,
        ADD_TO_CART,
        REMOVE_FROM_CART,
        ADD_TO_WISHLIST,
        PURCHASE,
        RATE_ITEM,
        HIDE_ITEM,
        RECOMMENDATION_CLICK,
    }
)

# https://segment.com/docs/connections/spec/ecommerce/v2/
SEGMENT_ALIASES = {
    "Product Viewed": VIEW_ITEM,
    "Product List Viewed": VIEW_ITEM_LIST,
    "Product Clicked": SELECT_ITEM,
    "Product Added": ADD_TO_CART,
    "Product Removed": REMOVE_FROM_CART,
    "Product Added to Wishlist": ADD_TO_WISHLIST,
    "Checkout Started": BEGIN_CHECKOUT,
    "Order Completed": PURCHASE,
    "Products Searched": SEARCH,
    "Product Reviewed": RATE_ITEM,
}
# https://cloud.google.com/retail/docs/user-events
GOOGLE_RETAIL_ALIASES = {
    "detail-page-view": VIEW_ITEM,
    "category-page-view": VIEW_ITEM_LIST,
    "add-to-cart": ADD_TO_CART,
    "remove-from-cart": REMOVE_FROM_CART,
    "purchase-complete": PURCHASE,
    "search": SEARCH,
}

NAME_OF = {
    **{name: name for name in EVENT_NAMES},
    **SEGMENT_ALIASES,
    **GOOGLE_RETAIL_ALIASES,
}
