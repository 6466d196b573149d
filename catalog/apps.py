from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Facts: stores, members, products, shoppers and events."""

    name = "catalog"
    verbose_name = "Catalog"
