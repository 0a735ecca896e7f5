"""One file = one source of telemetry."""
