"""Sorting along an axis, whole or its first elements.

Read `keys` (elements as integers, and where these lie), `run` (a run of keys put in order), `rows` (the axis cut into
runs), and `kernel` (which op has which).
"""
