"""The language: ops, types, graphs, and what reads and writes them. Imports nothing of the other rooms."""
