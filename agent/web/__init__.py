"""The page, the API and the socket."""

from __future__ import annotations

from agent.web._lean import lean_web

lean_web()
