"""Judgement, pure: (trees, view, now, earlier state) to transitions and diagnoses."""
