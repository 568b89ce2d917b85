"""Train a small network on 8 × 8 images of digits and export it for C.

python examples/export/train.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import tinytorch as tt
from tinytorch import nn

EPOCHS, BATCH = 12, 64


def main(folder: Path) -> None:
    tt.manual_seed(0)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:360], order[360:]

    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = tt.AdamW(model.parameters(), lr=2e-3)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for epoch in range(EPOCHS):
        shuffled = np.random.default_rng(epoch).permutation(train)
        for i in range(0, len(train) - BATCH + 1, BATCH):
            batch = shuffled[i : i + BATCH]
            step(tt.tensor(images[batch]), tt.tensor(digits.target[batch]))

    def classify(images: tt.Tensor) -> dict[str, tt.Tensor]:
        probabilities = model(images).softmax(-1)
        return {"digit": probabilities.argmax(-1), "probability": probabilities.amax(-1)}

    tt.compile(classify).export(folder / "model.o", tt.zeros(1, 1, 8, 8), name="digit")
    with (folder / "digits.bin").open("wb") as file:  # for the program in C: images, each behind its label
        for i in test:
            file.write(np.int32(digits.target[i]).tobytes() + images[i].tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
