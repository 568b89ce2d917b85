"""Byte pair encoding of one piece: of all neighbours that a merge joins, those whose merge ranks first become one
token, the leftmost of equals first, until no merge joins any (Sennrich et al. 2016)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise

from tinytorch.frontend.tokenization.vocabulary import NO_TOKEN, Merge

_NEVER = 1 << 62  # the rank of a pair that no merge joins
_LONG = 128  # bytes from which it is faster to keep the places of each rank than to look at all ranks


class Merges:
    """The merges of a tokenizer: pair -> rank, and rank -> the token that they make."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self._ranks = {(left, right): rank for rank, (left, right, _) in enumerate(merges)}
        self._made = [made for *_, made in merges]

    def apply(self, tokens: list[int]) -> list[int]:
        """The tokens of a piece, given those of its bytes (a list that is changed)."""
        return self._by_rank(tokens) if len(tokens) > _LONG else self._by_looking(tokens)

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

    def _by_rank(self, tokens: list[int]) -> list[int]:
        """In time that grows little faster than the piece: for each rank, the places of the pairs that have it. A
        place whose pair has changed since is passed over."""
        rank_of, made, size = self._ranks.get, self._made, len(tokens)
        ranks = [rank_of(pair, _NEVER) for pair in pairwise(tokens)]
        ranks.append(_NEVER)
        before, after = list(range(-1, size - 1)), list(range(1, size + 1))
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, rank in enumerate(ranks):
            places[rank].append(place)
        waiting = sorted(places)  # a heap
        while (rank := heappop(waiting)) != _NEVER:
            here = sorted(places.pop(rank))
            for number, place in enumerate(here, 1):
                if ranks[place] != rank:
                    continue
                gone = after[place]
                following = after[place] = after[gone]
                tokens[place], tokens[gone] = made[rank], NO_TOKEN
                ranks[place] = ranks[gone] = _NEVER
                if following < size:
                    before[following] = place
                for left in (before[place], place):
                    right = after[left]  # of -1, too, there is none
                    if right < size:
                        new = ranks[left] = rank_of((tokens[left], tokens[right]), _NEVER)
                        if new not in places:
                            heappush(waiting, new)
                        places[new].append(left)
                if waiting[0] < rank:  # which no training gives: the new pair comes before the others here
                    places[rank] = here[number:]
                    heappush(waiting, rank)
                    break
        return [token for token in tokens if token != NO_TOKEN]
