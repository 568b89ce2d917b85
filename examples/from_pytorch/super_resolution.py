"""Pictures of three times the size: convolutions at the small size, whose channels become pixels (Shi et al. 2016)."""

import tinytorch as torch
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 2, "side": 6, "width": 8}
FULL = {"batch": 16, "side": 32, "width": 64}
FACTOR = 3


class SuperResolution(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, width, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(width, width, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(width, width // 2, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(width // 2, FACTOR**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(FACTOR)
        self._initialize_weights()

    def _initialize_weights(self):
        for layer in (self.conv1, self.conv2, self.conv3):
            nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("relu"))
        nn.init.orthogonal_(self.conv4.weight)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))


def models(size):
    return [SuperResolution(size["width"])]


def batches(size, rng):
    while True:
        yield data.small_and_large(size["batch"], size["side"], FACTOR, rng)


def trainer(models, size):
    (model,) = models
    criterion = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @torch.compile
    def step(small, large):
        optimizer.zero_grad()
        loss = criterion(model(small), large)
        loss.backward()
        optimizer.step()
        return loss

    return step
