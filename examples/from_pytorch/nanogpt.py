"""A small GPT over bytes of text: pre-norm blocks of causal attention, tied embeddings, AdamW in two groups, a rate
that warms up and falls along a cosine (after Radford et al. 2019)."""

import math

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 3, "block": 12, "layers": 2, "heads": 2, "width": 16, "dropout": 0.0, "steps": 20}
FULL = {"batch": 16, "block": 128, "layers": 4, "heads": 4, "width": 128, "dropout": 0.1, "steps": 500}
VOCABULARY = 128


class CausalSelfAttention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.heads = size["heads"]
        self.dropout = size["dropout"]
        self.c_attn = nn.Linear(size["width"], 3 * size["width"])
        self.c_proj = nn.Linear(size["width"], size["width"])

    def forward(self, x):
        batch, steps, width = x.size()
        q, k, v = self.c_attn(x).split(width, dim=2)
        q, k, v = (t.view(batch, steps, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(batch, steps, width))


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        width = size["width"]
        self.ln_1 = nn.LayerNorm(width)
        self.attn = CausalSelfAttention(size)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(size["dropout"])
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, size["width"])
        self.wpe = nn.Embedding(size["block"], size["width"])
        self.drop = nn.Dropout(size["dropout"])
        self.h = nn.ModuleList([Block(size) for _ in range(size["layers"])])
        self.ln_f = nn.LayerNorm(size["width"])
        self.lm_head = nn.Linear(size["width"], VOCABULARY, bias=False)
        self.apply(self._init_weights)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * size["layers"]))
        self.lm_head.weight = self.wte.weight

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens, targets):
        positions = torch.arange(tokens.shape[1])
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, VOCABULARY), targets.view(-1))


def models(size):
    return [GPT(size)]


def batches(size, rng):
    text = data.text()
    while True:
        yield data.windows(text, size["batch"], size["block"], rng)


def trainer(models, size):
    (model,) = models
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    warmup, total = 3, size["steps"]

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1, (step - warmup) / (total - warmup))))

    scheduler = optim.lr_scheduler.LambdaLR(optimizer, factor)

    @torch.compile
    def update(tokens, targets):
        optimizer.zero_grad(set_to_none=True)
        loss = model(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    def step(tokens, targets):
        loss = update(tokens, targets)
        scheduler.step()
        return loss

    return step
