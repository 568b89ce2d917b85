"""Digits by a small convolutional network (after LeCun et al. 1998, with dropout), trained by Adadelta."""

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim
from tinytorch.optim.lr_scheduler import StepLR

SMALL = {"batch": 8, "dropout": 0.0}
FULL = {"batch": 64, "dropout": 0.25}


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout2d(dropout)
        self.dropout2 = nn.Dropout(2 * dropout)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def models(size):
    return [Net(size["dropout"])]


def batches(size, rng):
    while True:
        yield data.digits(size["batch"], rng)


def trainer(models, size):
    (model,) = models
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.7)

    @torch.compile
    def update(images, labels):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    def step(images, labels):
        loss = update(images, labels)
        scheduler.step()
        return loss

    return step
