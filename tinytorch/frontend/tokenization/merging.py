"""Byte pair encoding of one piece: of all neighbours that a merge joins, those whose merge ranks first become one
token, the leftmost of equals first, until no merge joins any (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from tinytorch.frontend.tokenization.vocabulary import Merge

_NEVER = 1 << 62  # the rank of a pair that no merge joins
_LONG = 128  # bytes from which a heap finds the next pair faster than a look at all of them


class Merges:
    """The merges of a tokenizer: pair -> rank, and rank -> the token that they make."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self._ranks = {(left, right): rank for rank, (left, right, _) in enumerate(merges)}
        self._made = [made for *_, made in merges]

    def apply(self, tokens: list[int]) -> list[int]:
        """The tokens of a piece, given those of its bytes (a list that is changed)."""
        return self._with_heap(tokens) if len(tokens) > _LONG else self._by_looking(tokens)

    def _by_looking(self, tokens: list[int]) -> list[int]:
        rank_of, made = self._ranks.get, self._made
        ranks = [rank_of(pair, _NEVER) for pair in pairwise(tokens)]
        while ranks:
            rank = min(ranks)
            if rank == _NEVER:
                break
            at = ranks.index(rank)
            tokens[at : at + 2] = (made[rank],)
            del ranks[at]
            if at:
                ranks[at - 1] = rank_of((tokens[at - 1], tokens[at]), _NEVER)
            if at < len(ranks):
                ranks[at] = rank_of((tokens[at], tokens[at + 1]), _NEVER)
        return tokens

    def _with_heap(self, tokens: list[int]) -> list[int]:
        """In n log n steps: a heap of (rank, place of the left token), as rank * n + place. What it says of a place
        whose pair has changed since is passed over."""
        rank_of, made, size = self._ranks.get, self._made, len(tokens)
        ranks = [rank_of(pair, _NEVER) for pair in pairwise(tokens)]
        ranks.append(_NEVER)
        before, after = list(range(-1, size - 1)), list(range(1, size + 1))
        heap = [rank * size + place for place, rank in enumerate(ranks) if rank != _NEVER]
        heapify(heap)

        def rank_again(place: int) -> None:
            right = after[place]
            rank = rank_of((tokens[place], tokens[right]), _NEVER) if right < size else _NEVER
            ranks[place] = rank
            if rank != _NEVER:
                heappush(heap, rank * size + place)

        while heap:
            rank, place = divmod(heappop(heap), size)
            if ranks[place] != rank:
                continue
            gone = after[place]
            tokens[place], tokens[gone], ranks[gone] = made[rank], -1, _NEVER
            after[place] = after[gone]
            if after[place] < size:
                before[after[place]] = place
            rank_again(place)
            if before[place] >= 0:
                rank_again(before[place])
        return [token for token in tokens if token >= 0]
