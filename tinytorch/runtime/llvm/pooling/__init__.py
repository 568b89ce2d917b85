"""Max pooling: the search through windows and its gradient.

Read `windows` (what they share), then `search` and `unpool`, and `kernel` (which op has which).
"""
