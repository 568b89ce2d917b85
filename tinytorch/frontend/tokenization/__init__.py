"""Module 10: tokenizers, which turn texts into integers and back. To read, in this order: `files` (JSON, and what is
wrong with it), `inputs` (what users pass, checked), `characters` (the CharTokenizer); then byte pairs:
`unicode_classes` (letters, numbers, spaces), `pieces` (within which tokens stay), `byte_names` (how bytes are spelled
in files), `vocabulary` (tokens and merges), `merging` (encoding), `learning` (training), `formats` (of files), and
`byte_pairs` (the BPETokenizer).
"""

from __future__ import annotations

from tinytorch.frontend.tokenization.byte_pairs import BPETokenizer
from tinytorch.frontend.tokenization.characters import CharTokenizer

__all__ = ["BPETokenizer", "CharTokenizer"]
