"""All scenarios: importing this registers them."""

from __future__ import annotations

import field_limits
import field_postgres
import field_runtimes
import field_stores
import field_watchers
import field_web

MODULES = (field_postgres, field_stores, field_web, field_watchers, field_runtimes, field_limits)
