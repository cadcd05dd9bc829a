"""Labelled images: shards of them, and sets for training and testing."""
