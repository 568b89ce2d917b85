"""Measurements around the character GPT: the machine's limit, generation with and without a cache, memory by depth."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import tinytorch as tt
from milestones import tinygpt
from milestones.common import kib, table

TEMPERATURE = 0.8
UNCACHED = 100  # characters that are generated without a cache, to compare
DEPTHS = (2, 4, 6)


def generate(model: tt.GPT, tokenizer: tt.CharTokenizer, prompt: str, count: int) -> tuple[dict[str, float], str]:
    """Characters a second with a cache of keys and values and without, and `count` characters that follow a prompt."""
    model.eval()
    tokens = tokenizer.encode(prompt)

    def run(length: int, cache: tt.KVCache | None) -> tuple[float, list[int]]:
        start = time.perf_counter()
        found = model.generate(tokens, len(tokens) + length, temperature=TEMPERATURE, seed=tinygpt.SEED, cache=cache)
        return (time.perf_counter() - start) / length, found[len(tokens) :]

    def cache() -> tt.KVCache:
        return tt.KVCache(1, model.context_length, model.num_layers, model.embed_dim)

    for again in (cache(), None):  # compile
        run(2, again)
    seconds, generated = run(count, cache())
    slow, same = run(UNCACHED, None)
    figures = {"cached_per_second": 1 / seconds, "uncached_per_second": 1 / slow}
    return figures | {"same_without_cache": same == generated[:UNCACHED]}, tokenizer.decode(generated)


def show_memory_by_depth(size: tinygpt.Size, compile: bool) -> list[dict[str, Any]]:
    """What a training step of a few layers needs beside its state."""
    rows: list[dict[str, Any]] = []
    for layers in DEPTHS if compile else ():
        trainer = tinygpt.make_trainer(replace(size, layers=layers), 65, True)
        tokens = tt.zeros(tinygpt.BATCH, tinygpt.CONTEXT, dtype="i64")
        trainer.train_step(tokens, tokens)
        rows.append({"layers": layers, "arena": trainer.train_step.executable.arena_bytes})
    shown = [(row["layers"], kib(row["arena"]), kib(row["arena"] / row["layers"])) for row in rows]
    table("Memory of a training step beside its state, in KiB", ("layers", "arena", "per layer"), shown)
    return rows
