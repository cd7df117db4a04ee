"""The audit log, to read. Nobody edits it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from bankweb.identity.models import Action


@admin.register(Action)
class ActionAdmin(admin.ModelAdmin):
    list_display = ("at", "actor", "command", "arguments", "result")
    list_filter = ("command", "actor")
    search_fields = ("command", "result")
    date_hierarchy = "at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
