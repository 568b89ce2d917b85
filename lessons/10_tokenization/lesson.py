# %% [markdown]
# # Module 10: Tokenization
#
# A network multiplies numbers. A text is characters. The tokenizer stands between them, and it is part of the model: it
# decides how long a sequence is, how large the first and the last layer are, what the model can never see, and what it
# can never say.
#
# You will write two. The tokenizer of characters is three short methods. Byte pair encoding, the one behind GPT-2 and
# most that followed, is two short loops: one that learns merges and one that applies them.
#
# **You need** modules 01 to 09. **It takes** about 75 minutes.
#
# ## Why it matters
#
# - A vocabulary of 50,000 tokens with 768 numbers each is 38 million weights before the first layer.
# - Attention (module 12) compares all pairs of tokens. Halve the length and it costs a quarter.
# - Many odd mistakes of language models are the tokenizer's: letters that cannot be counted, numbers cut in strange
#   places, languages that cost five times as much as English.

# %%
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from os import PathLike
from typing import Any, Self

import tinytorch as tt
from analyses import tokenization
from tinytorch.frontend import arguments
from tinytorch.frontend.tokenization import files
from tinytorch.frontend.tokenization.byte_names import to_name
from tinytorch.frontend.tokenization.characters import _entries, _numbered, _vocabulary_in
from tinytorch.frontend.tokenization.files import FormatError
from tinytorch.frontend.tokenization.inputs import ids_of, is_text, texts_of
from tinytorch.frontend.tokenization.learning import learn_merges
from tinytorch.frontend.tokenization.merging import _LONG, _NEVER
from tinytorch.frontend.tokenization.pieces import pieces
from tinytorch.frontend.tokenization.vocabulary import NO_TOKEN, Merge, Vocabulary, only_bytes
from tinytorch.ir.loc import user_loc

# %% [markdown]
# ## The idea
#
# A tokenizer has a vocabulary of $V$ tokens and two functions, `encode: text → integers below V` and
# `decode: integers → text`. One law binds them: `decode(encode(text)) == text`.
#
# What should a token be?
#
# | unit | vocabulary | a text of 1,000 characters | unknown |
# | --- | --- | --- | --- |
# | byte | 256 | 1,000 tokens or more | nothing |
# | character | about 100 for English, 150,000 in Unicode | 1,000 tokens | other scripts |
# | word | 50,000 and up, and never enough | about 200 | names, forms, typing errors |
# | byte pair | what you choose | about 250 | nothing |
#
# ## Step 1: characters
#
# The vocabulary is a list of characters, `self._characters`, by id; `self._ids` is the dict that leads back. Write
# three methods:
#
# 1. `train(corpus)`: collect the characters of all texts. `texts_of("CharTokenizer.train", corpus)` gives the texts one
#    by one and checks them. Sort the characters, and number them: `_numbered(list)` makes the dict. A corpus without
#    characters is empty: an error that says so. Return `self`.
# 2. `encode(text)`: the id of each character. A character that is not in the vocabulary is an error that says which one
#    and where, counted from 0: "character 3 of the text is 'ß' …".
# 3. `decode(tokens)`: `ids_of("CharTokenizer.decode", tokens, self.vocab_size)` checks the ids and makes a list of
#    them; join their characters.
#
# Errors are raised by `raise arguments.ArgumentValueError(message, user_loc())`.
#
# **Hint.** Why sort? A set has no order: without one the same corpus would give other ids in the next run, and what a
# saved model says would be gibberish.

# %% exercise="characters"
#| solution


# %% test="characters"
tokenizer = CharTokenizer().train("hello world")
assert tokenizer.vocabulary == sorted(set("hello world")), "the characters, in the order of their code points"
assert tokenizer.encode("hold") == [3, 5, 4, 1], "the ids are the places in the vocabulary"
assert tokenizer.decode([3, 5, 4, 1]) == "hold", "decode leads back"
assert CharTokenizer().train(["ab", "ca"]).vocabulary == ["a", "b", "c"], "a corpus may be several texts"
some = CharTokenizer().train("naïve café 🙂")
assert some.decode(some.encode("fée 🙂")) == "fée 🙂", "any character is one token"
assert tokenizer.encode("") == [] and tokenizer.decode([]) == "", "no characters: no tokens"
for what, call, words in (
    ("an unknown character, as in 'hexlo',", lambda: tokenizer.encode("hexlo"), ("2", "'x'")),
    ("a token that is not in the vocabulary, as 99,", lambda: tokenizer.decode([1, 99]), ("99",)),
    ("an empty corpus", lambda: CharTokenizer().train(""), ("empty",)),
):
    try:
        call()
    except tt.TinyTorchError as error:
        assert all(word in str(error) for word in words), f"the error for {what} should say {words}: {error}"
    else:
        raise AssertionError(f"{what} should be an error")

# %% [markdown]
# Characters are simple, and milestone 4 uses them. But their sequences are long. Now shorten them.
#
# ## Step 2: learning byte pairs
#
# Begin with the bytes of UTF-8: 256 tokens, and every text can be written. Then, again and again, take the pair of
# neighbours that occurs most often, and make it a new token (Sennrich et al. 2016).
#
# Tokens should not reach across words, or "of the" becomes one token, and "of a" shares nothing with it. So a text is
# cut into pieces first, words with the space before them:

# %%
print(next(pieces(b"The cat sat on the mat, didn't it?")))


def counted(text: str) -> Counter[bytes]:
    """How often each piece occurs."""
    return Counter(piece for some in pieces(text.encode()) for piece in some)


corpus, held_out = tokenization.corpus(quick=True)  # help texts that come with every Python
few = counted(corpus[:6000])
bytes_only = only_bytes()  # a vocabulary of one token for each byte
a, b, c, space = (bytes_only.byte_ids[ord(letter)] for letter in "abc ")
merges = learn_merges(few, bytes_only, 356, 2)  # what the package learns

# %% [markdown]
# `counts` says how often each piece occurs, so a word that occurs a thousand times is looked at once. Write `learn`:
#
# 1. Each piece is a list of tokens, at first those of its bytes: `start.byte_ids[byte]`.
# 2. Count all pairs of neighbours, each weighted by how often its piece occurs.
# 3. Choose the most frequent pair. Of equals, the one with the smaller left id, then right id. Stop if it occurs fewer
#    than `least` times.
# 4. Note the merge (left, right, new id), and join the pair in all pieces, from left to right. New ids go on from
#    `len(start.tokens)`.
# 5. Repeat until there are `size` tokens.
#
# **Hint.** `max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))`. And mind the piece `aaa`: it becomes `aa a`, not
# `aa aa`.


# %% exercise="learn"
def learn(counts: Counter[bytes], start: Vocabulary, size: int, least: int = 2) -> list[Merge]:
    """The merges (left, right, made) of pieces that occur `counts` times, until there are `size` tokens."""
    ### BEGIN SOLUTION
    words = {piece: [start.byte_ids[byte] for byte in piece] for piece in counts}
    merges: list[Merge] = []
    while len(start.tokens) + len(merges) < size:
        pairs: Counter[tuple[int, int]] = Counter()
        for piece, tokens in words.items():
            for pair in pairwise(tokens):
                pairs[pair] += counts[piece]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], -pair[0], -pair[1]))
        if pairs[best] < least:
            break
        made = len(start.tokens) + len(merges)
        merges.append((*best, made))
        for tokens in words.values():
            at = 0
            while at < len(tokens) - 1:
                if (tokens[at], tokens[at + 1]) == best:
                    tokens[at : at + 2] = [made]
                at += 1
    return merges
    ### END SOLUTION


# %% test="learn"
assert learn(counted("ab ab ab"), bytes_only, 257) == [(a, b, 256)], "one merge: the pair that occurs most often"
assert learn(Counter({b"aaa": 5}), bytes_only, 300) == [(a, a, 256), (256, a, 257)], "aaa: first aa, then aa with a"
assert learn(Counter({b"abab": 1}), bytes_only, 300) == [(a, b, 256)], "then (ab, ab) occurs once: fewer than two"
assert learn(Counter({b"ab": 1, b"ba": 9}), bytes_only, 257) == [(b, a, 256)], "a piece counts as often as it occurs"
assert learn(few, bytes_only, 356) == merges, "the package learns the same merges, in the same order"
print(f"{len(merges)} merges from {sum(map(len, few.elements())):,} bytes")

# %% test="learn" hidden=true
other = counted(held_out[:2000])
assert learn(other, bytes_only, 300, 3) == learn_merges(other, bytes_only, 300, 3), "another text, another bound"

# %% [markdown]
# The package learns the same merges with counts that are kept up to date: a merge touches only the places where its
# pair stands. Yours counts everything anew for each merge: a vocabulary of 50,000 would take it about 50,000 passes
# over all pieces.
#
# ## Step 3: what a token is
#
# A merge makes a token of two that are there: its bytes are theirs, one after the other. Write `with_merges`: the
# vocabulary with one more token, and its name in files (`to_name` of its bytes), for each merge.
#
# 1. Copy the list of tokens, and append `tokens[left] + tokens[right]` for each merge, in order.
# 2. The names are the old ones, then those of the new tokens.
# 3. Return a `Vocabulary(tokens, names, byte_ids, merges, special)`: `byte_ids` and `special` are the old ones, the
#    merges are those given.
#
# **Hint.** Later merges use tokens that earlier ones made; that is why the order matters.

# %% exercise="vocabulary"
#| solution


# %% test="vocabulary"
grown = with_merges(bytes_only, [(a, b, 256), (256, a, 257)])
assert [bytes(token) for token in grown.tokens[256:]] == [b"ab", b"aba"], "a token is the bytes of its two parts"
assert list(grown.names[256:]) == ["ab", "aba"], "the names of the new tokens are to_name() of their bytes"
assert list(grown.names[:256]) == list(bytes_only.names), "the old names come first"
assert len(bytes_only.tokens) == 256, "the vocabulary that was given stays as it is"
assert list(grown.merges) == [(a, b, 256), (256, a, 257)], "the merges are kept, in order"
assert grown.byte_ids == bytes_only.byte_ids, "the tokens of single bytes stay as they are"
assert with_merges(bytes_only, [(space, a, 256)]).names[256] == "Ġa", "in files a space is spelled Ġ"

# %% [markdown]
# Draw what you learned: the two longest tokens, and how each was put together (parts of one byte are left out).

# %%
learned = with_merges(bytes_only, merges)
parts = {made: (left, right) for left, right, made in merges}


def drawn(token: int, indent: str = "") -> None:
    """A token above its parts."""
    print(f"{indent}{learned.tokens[token].decode()!r}")
    for part in parts.get(token, ()):
        if len(learned.tokens[part]) > 1:
            drawn(part, indent + "    ")


for token in sorted(parts, key=lambda token: -len(learned.tokens[token]))[:2]:
    drawn(token)

# %% [markdown]
# ## Step 4: encoding
#
# To encode a piece, begin with its bytes, and apply the merges **in the order in which they were learned**: not the
# longest token first, and not from left to right. As long as some pair of neighbours is a known merge, take the one of
# the lowest rank (its leftmost place, if there are several), and join it.
#
# The *rank* of a merge is its place in that order. Write `_by_looking(tokens)`. `self._ranks` leads from a pair to its
# rank, `self._made[rank]` is the token that it makes, and `_NEVER` is a rank above all, for pairs that are no merge.
# The list may be changed; return it.
#
# 1. Look up the rank of every pair of neighbours.
# 2. Find the lowest. If it is `_NEVER`, you are done.
# 3. Join that pair at its first place.
# 4. Look up the ranks that have changed: those of the new token with its two neighbours.
#
# **Hint.** Begin simply, with all ranks looked up anew in each round. Then keep the list of ranks, and mend three
# entries of it: one goes away, its two neighbours change.

# %% exercise="merging"
#| solution


# %% test="merging"
def applied(text: str, merges: Sequence[Merge]) -> list[int]:
    return Merges(merges)._by_looking([bytes_only.byte_ids[byte] for byte in text.encode()])


order = [(b, c, 256), (a, b, 257), (257, c, 258)]
assert applied("abc", order) == [a, 256], "bc was learned before ab, so it is joined first"
assert applied("ab", order) == [257], "ab is a merge, too"
assert applied("", order) == [] and applied("a", order) == [a], "without a pair nothing is joined"
assert applied("aaaa", [(a, a, 256), (256, 256, 257)]) == [257], "joins go on with what joins have made"
assert applied("aaa", [(a, a, 256)]) == [256, a], "the leftmost of equal pairs comes first"
for word in ("representation", "statements", "the", "a" * 50, "zażółć"):
    data = [bytes_only.byte_ids[byte] for byte in word.encode()]
    assert Merges(merges)._by_looking(list(data)) == tokenization.by_looking(data, merges), f"the tokens of {word!r}"

# %% [markdown]
# For pieces of more than 128 bytes, `apply` takes `_by_rank`, which gives the same tokens and need not look at all
# ranks again and again. You measure below what that saves.

# %% [markdown]
# Joined with the cutting of pieces, this is a complete tokenizer. Here is a sentence under vocabularies that grow:

# %%
sentence = "Expressions are evaluated from left to right."
for size in (256, 300, 400, 800, 1600):
    tokenizer = tt.BPETokenizer().train(corpus, size)
    ids = tokenizer.encode(sentence)
    print(f"{size:5} tokens: {len(ids):3}  {'|'.join(tokenizer.decode([i]) for i in ids)}")

# %% [markdown]
# ### The graph
#
# A tokenizer is Python and bytes: nothing of it is traced. What the compiler sees is its result, a tensor of i64. Its
# last use in a language model is a `Linear` from the state of each token, here of 32 numbers, to one score for each
# token that could come next. There a larger vocabulary costs: fewer tokens, each with more operations.

# %%
for size in (256, 1600):
    ids = tt.BPETokenizer().train(corpus, size).encode(sentence)
    scores = tt.compile(tt.Linear(32, size, bias=False))
    scores(tt.zeros(len(ids), 32))
    operations = int(scores.explain().flops)
    print(f"vocabulary {size}: {len(ids)} tokens, {operations // len(ids):,} operations each, {operations:,} in all")
scores

# %% [markdown]
# ## Systems analysis
#
# Vocabulary against length, scripts beyond ASCII, units, and how your merging scales beside the package's (`Merges`
# below), which takes `_by_rank` for the longest piece.

# %%
tokenization.analyze(CharTokenizer=CharTokenizer, looking=lambda merges: Merges(merges)._by_looking, quick=True).show()

# %% [markdown]
# ## Beside PyTorch
#
# PyTorch has no tokenizer. The reference is the `tokenizers` package, in Rust: `tt.BPETokenizer` writes and reads its
# `tokenizer.json`, gives the same ids, and reads GPT-2's `vocab.json` and `merges.txt`. What differs are *special
# tokens*. They have no bytes in a text, but a meaning for the model: `<|endoftext|>` says that here one text ends and
# another begins. If a user's text spells it out, here that is text, unless the caller says otherwise.

# %%
guarded = tt.BPETokenizer().train(corpus, 600, special_tokens=["<|endoftext|>"])
print("as text:   ", guarded.encode("<|endoftext|>"))
print("if allowed:", guarded.encode("<|endoftext|>", allowed_special="all"))

# %% [markdown] question="q1" points=1
# **Question 1.** A model has a table of embeddings of 256 numbers for each token, and six layers of 12 · 256² weights.
# From which vocabulary on does the table hold more than one layer? Which share of all weights is it at 1,024 tokens?

# %% [markdown] question="q2" points=1
# **Question 2.** How many tokens for each character did the tokenizer of English need for Chinese, and why exactly that
# many? What would training on both languages change?

# %% [markdown] question="q3" points=1
# **Question 3.** A language model is asked how many letters r there are in a word, and is wrong. Explain it with the
# pieces that you printed.

# %% [markdown] question="q4" points=1
# **Question 4.** Your merging looks at all ranks in each round. From the table: by which factor did its time grow in
# the last row, where the piece is four times as long, and by which that of `Merges`? Why is that harmless for words,
# and harmful for a long text without spaces?

# %% [markdown] question="q5" points=1
# **Question 5.** A product lets users write prompts. Describe the attack that becomes possible if `encode` turns
# `<|endoftext|>` in their text into the special token.

# %% [markdown]
# ## Summary
#
# - `decode(encode(text)) == text` is the law. Bytes make it hold for every text.
# - Byte pair encoding is learned by counting and applied by rank. Both are short loops; making them fast is
#   bookkeeping.
# - A larger vocabulary makes sequences shorter, by less and less, and costs two larger tables.
# - What the corpus has not seen costs more tokens, not errors.
# - Your characters, vocabularies and merges are the package's now: milestone 4 reads Shakespeare with them.
