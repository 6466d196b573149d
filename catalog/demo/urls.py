"""The demo shop, below /shop/."""

from __future__ import annotations

from django.urls import path

from catalog.demo import views

app_name = "shop"

urlpatterns = [
    path("", views.home, name="home"),
    path("categories/", views.departments, name="departments"),
    path("categories/<path:slug_path>/", views.category, name="category"),
    path("search/", views.search, name="search"),
    path("products/<path:external_id>/", views.product, name="product"),
    path("cart/", views.cart, name="cart"),
    path("cart/add/", views.cart_add_product, name="cart-add"),
    path("cart/update/", views.cart_update_product, name="cart-update"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/<str:order_id>/", views.order, name="order"),
    path("shoppers/", views.shoppers, name="shoppers"),
    path("shoppers/switch/", views.shopper_switch, name="shopper-switch"),
    path("tiles/<slug:slug>.svg", views.tile, name="tile"),
]
