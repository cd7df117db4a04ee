"""Registers the app with Django."""

from __future__ import annotations

from django.apps import AppConfig


class LabConfig(AppConfig):
    name = "bankweb.lab"
