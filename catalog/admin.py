"""The operator's view of the facts. Members of a store use the console."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from catalog.models import ApiKey, Member, Product, QuarantinedEvent, Shopper, Store, User


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Facts are looked at here, and changed by the services that know what hangs on them."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class MemberInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Member
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Store)
class StoreAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Stores are opened by `manage.py up`; here their names and members change."""

    list_display = ("name", "slug", "currency", "time_zone", "is_demo", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "currency", "locale", "time_zone", "is_demo", "created_at")
    readonly_fields = ("slug", "currency", "is_demo", "created_at")
    inlines = (MemberInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Passwords are set by `manage.py changepassword`, never shown."""

    list_display = ("email", "name", "is_active", "is_staff", "last_login")
    search_fields = ("email", "name")
    fields = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login", "created_at")
    readonly_fields = ("last_login", "created_at")


@admin.register(Member)
class MemberAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "store", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "store")
    autocomplete_fields = ("user", "store")
    readonly_fields = ("created_at",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ("name", "store", "kind", "prefix", "created_at", "revoked_at")
    list_filter = ("kind",)
    list_select_related = ("store",)
    fields = ("store", "kind", "name", "prefix", "origins", "created_at", "revoked_at")


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("title", "external_id", "store", "availability", "hidden", "updated_at")
    list_filter = ("store", "availability", "hidden")
    list_select_related = ("store",)
    search_fields = ("=external_id",)
    ordering = ("-pk",)
    exclude = ("vector",)


@admin.register(Shopper)
class ShopperAdmin(ReadOnlyAdmin):
    list_display = ("external_id", "store", "first_seen_at", "last_seen_at")
    list_filter = ("store",)
    list_select_related = ("store",)
    search_fields = ("=external_id",)
    ordering = ("-pk",)


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "store", "code", "field", "message")
    list_filter = ("store", "code")
    list_select_related = ("store",)
    ordering = ("-received_at",)
