"""Incidents as they are kept, driven and answered; what they are is judged in :mod:`agent.engine.incidents`."""
