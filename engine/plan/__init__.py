"""The configuration, compiled: what actors ask what becomes of an event.

Pure but for the plugins it is given: may know engine.registry and below, never trio, httpx, sqlite3 or structlog.
"""

from __future__ import annotations

from engine.plan.compile import Plan, compile_plan
from engine.plan.destinations import DestinationPlan
from engine.plan.sources import Doorway, SourcePlan
from engine.plan.syncs import EventTypePlan, Route, SyncPlan

__all__ = ["DestinationPlan", "Doorway", "EventTypePlan", "Plan", "Route", "SourcePlan", "SyncPlan", "compile_plan"]
