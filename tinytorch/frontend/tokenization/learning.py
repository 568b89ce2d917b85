"""The learning of merges: again and again the most frequent pair of neighbours in all pieces becomes a new token
(Sennrich et al. 2016), with counts that are kept up to date instead of taken anew.

Of pairs that are equally frequent, the one with the smaller left id, then right id, comes first: as in the
`tokenizers` package.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from tinytorch.frontend.tokenization.byte_names import from_name
from tinytorch.frontend.tokenization.vocabulary import NO_TOKEN, Merge, Vocabulary

Pair = tuple[int, int]

_END = -1  # the neighbour of the first and of the last token of a piece


def learn_merges(counts: Mapping[bytes, int], start: Vocabulary, size: int, least: int) -> list[Merge]:
    """Merges, in order, of the pieces that occur `counts` times, until `start` has grown to `size` tokens or no pair
    occurs `least` times. Each makes a new token: bytes are cut into tokens in the same way wherever no token reaches
    across their ends, so no other pair spells the same."""
    tokens = list(start.tokens)
    taken = {from_name(name) for name in start.special}
    state = _Pieces(counts, start.byte_ids)
    heap = [(-count, pair) for pair, count in state.counts.items()]
    heapify(heap)
    merges: list[Merge] = []
    while heap and len(tokens) < size:
        negative, pair = heappop(heap)
        count = state.counts[pair]
        if count != -negative:  # it has become rarer since it was put there
            if count > 0:
                heappush(heap, (-count, pair))
            continue
        if count < least:
            break
        token = tokens[pair[0]] + tokens[pair[1]]
        if token in taken:  # in files, it would have the name of that special token
            continue
        merges.append((*pair, len(tokens)))
        for new in state.merge(merges[-1]):
            if state.counts[new] > 0:
                heappush(heap, (-state.counts[new], new))
        tokens.append(token)
    return merges


class _Pieces:
    """The tokens of all pieces, one after another, with their neighbours, so that merging a pair touches only the
    places where it stands."""

    def __init__(self, counts: Mapping[bytes, int], byte_ids: Sequence[int]) -> None:
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        self._places: defaultdict[Pair, array[int]] = defaultdict(lambda: array("q"))  # of left tokens; some are past
        self._tokens, self._before, self._after, self._weights = (array("q") for _ in range(4))
        for piece, count in counts.items():
            self._add([byte_ids[byte] for byte in piece], count)

    def _add(self, tokens: list[int], weight: int) -> None:
        first = len(self._tokens)
        last = first + len(tokens) - 1
        self._tokens.extend(tokens)
        self._before.extend((_END, *range(first, last)))
        self._after.extend((*range(first + 1, last + 1), _END))
        self._weights.extend([weight] * len(tokens))
        for place, pair in enumerate(pairwise(tokens), first):
            self.counts[pair] += weight
            self._places[pair].append(place)

    def merge(self, merge: Merge) -> set[Pair]:
        """Put the new token where its pair stands, from left to right. The pairs that the new token is in, which
        stood nowhere before, are given."""
        tokens, before, after, counts, places = self._tokens, self._before, self._after, self.counts, self._places
        left, right, made = merge
        found: set[Pair] = set()

        def exchange(old: Pair, new: Pair, place: int, weight: int) -> None:
            counts[old] -= weight
            counts[new] += weight
            places[new].append(place)
            found.add(new)

        for place in sorted(places.pop((left, right))):
            gone = after[place]
            if tokens[place] != left or gone == _END or tokens[gone] != right:
                continue
            weight, previous, following = self._weights[place], before[place], after[gone]
            if previous != _END:
                exchange((tokens[previous], left), (tokens[previous], made), previous, weight)
            if following != _END:
                exchange((right, tokens[following]), (made, tokens[following]), place, weight)
                before[following] = place
            tokens[place], tokens[gone], after[place] = made, NO_TOKEN, following
        return found
