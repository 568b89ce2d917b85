"""A language model over words: a transformer encoder that sees only what is before (Vaswani et al. 2017)."""

import math

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 3, "steps": 7, "width": 16, "heads": 2, "hidden": 24, "layers": 2, "dropout": 0.0}
FULL = {"batch": 20, "steps": 35, "width": 128, "heads": 4, "hidden": 256, "layers": 2, "dropout": 0.2}


class PositionalEncoding(nn.Module):
    def __init__(self, width, dropout, longest=512):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(longest).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        angles = position * frequency
        table = torch.stack([torch.sin(angles), torch.cos(angles)], dim=2).reshape(longest, 1, width)
        self.register_buffer("pe", table)

    def forward(self, x):
        return self.dropout(x + self.pe[: x.shape[0]])


class EncoderLayer(nn.Module):
    """Attention, then two linear layers, each with a norm behind the sum."""

    def __init__(self, size):
        super().__init__()
        width = size["width"]
        self.heads, self.dropout_p = size["heads"], size["dropout"]
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, size["hidden"])
        self.linear2 = nn.Linear(size["hidden"], width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(size["dropout"])

    def attention(self, x, mask):
        steps, batch, width = x.shape
        parts = self.in_proj(x).chunk(3, dim=-1)
        q, k, v = (t.reshape(steps, batch, self.heads, width // self.heads).permute(1, 2, 0, 3) for t in parts)
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        weights = F.softmax(scores.masked_fill(mask, float("-inf")), dim=-1)
        return self.out_proj((weights @ v).permute(2, 0, 1, 3).reshape(steps, batch, width))

    def forward(self, x, mask):
        x = self.norm1(x + self.dropout(self.attention(x, mask)))
        return self.norm2(x + self.dropout(self.linear2(F.relu(self.linear1(x)))))


class TransformerModel(nn.Module):
    def __init__(self, words, size):
        super().__init__()
        self.width = size["width"]
        self.input_emb = nn.Embedding(words, size["width"])
        self.pos_encoder = PositionalEncoding(size["width"], size["dropout"])
        self.layers = nn.ModuleList([EncoderLayer(size) for _ in range(size["layers"])])
        self.decoder = nn.Linear(size["width"], words)
        nn.init.uniform_(self.input_emb.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens):
        steps = tokens.shape[0]
        mask = torch.triu(torch.ones(steps, steps), diagonal=1) == 1
        x = self.pos_encoder(self.input_emb(tokens) * math.sqrt(self.width))
        for layer in self.layers:
            x = layer(x, mask)
        return F.log_softmax(self.decoder(x), dim=-1)


def models(size):
    return [TransformerModel(len(data.words()[1]), size)]


def batches(size, rng):
    numbers, _ = data.words()
    while True:
        tokens, targets = data.windows(numbers, size["batch"], size["steps"], rng)
        yield tokens.T.copy(), targets.T.copy()


def trainer(models, size):
    (model,) = models
    criterion = nn.NLLLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.5)

    @torch.compile
    def step(tokens, targets):
        optimizer.zero_grad()
        logits = model(tokens)
        loss = criterion(logits.view(-1, logits.shape[-1]), targets.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        return loss

    return step
