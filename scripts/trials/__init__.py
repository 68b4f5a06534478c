"""Trials of reliability: kills, fuzzing, memory and endurance, on the public command line and job."""
