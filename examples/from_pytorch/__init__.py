"""Ten programs as one writes them in PyTorch. Each differs from its PyTorch twin in the imports and in `torch.compile`
alone: `programs` makes the twin of the same text.

    python -m examples.from_pytorch vae --steps 200        trains one
    python -m examples.from_pytorch --against-torch        compares losses with PyTorch's, all ten

A program has `SMALL` and `FULL` sizes, `models(size)`, `batches(size, rng)` (numpy arrays, noise among them) and
`trainer(models, size)`, which gives the function that makes a step and returns its loss.
"""
