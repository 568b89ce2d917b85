"""Text, one character after the other, by an LSTM whose state goes on from batch to batch (Graves 2013)."""

import tinytorch as torch
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 3, "steps": 8, "embedding": 8, "hidden": 12, "layers": 2}
FULL = {"batch": 32, "steps": 64, "embedding": 64, "hidden": 256, "layers": 2}
VOCABULARY = 128


class CharLSTM(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, size["embedding"])
        self.lstm = nn.LSTM(size["embedding"], size["hidden"], size["layers"], batch_first=True)
        self.out = nn.Linear(size["hidden"], VOCABULARY)

    def forward(self, tokens, state):
        x, state = self.lstm(self.embedding(tokens), state)
        return self.out(x), state


def models(size):
    return [CharLSTM(size)]


def batches(size, rng):
    """The text in `batch` columns, cut into pieces that follow each other."""
    columns = data.columns(data.text(), size["batch"])
    while True:
        for start in range(0, columns.shape[1] - size["steps"] - 1, size["steps"]):
            piece = columns[:, start : start + size["steps"] + 1]
            yield piece[:, :-1].copy(), piece[:, 1:].copy()


def trainer(models, size):
    (model,) = models
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.RMSprop(model.parameters(), lr=2e-3)
    state = tuple(torch.zeros(size["layers"], size["batch"], size["hidden"]) for _ in range(2))

    @torch.compile
    def update(tokens, targets, state):
        optimizer.zero_grad()
        logits, (h, c) = model(tokens, state)
        loss = criterion(logits.transpose(1, 2), targets)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        return loss, (h.detach(), c.detach())

    def step(tokens, targets):
        nonlocal state
        loss, state = update(tokens, targets, state)
        return loss

    return step
