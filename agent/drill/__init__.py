"""Fault drills: start a harmless fault, check that it is named, clean up."""
