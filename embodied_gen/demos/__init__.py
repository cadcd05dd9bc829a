"""Demonstrations: collected, stored and cut into windows."""
