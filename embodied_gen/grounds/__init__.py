"""Proving grounds: where families of heads are compared on equal terms."""
