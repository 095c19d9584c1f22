"""Faults under traffic: publish, kill, then compare every room with the model of the broker order."""
