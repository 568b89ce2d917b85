"""Which pixels belong to a shape: a U-Net (Ronneberger et al. 2015), with cross entropy and the Dice loss."""

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 2, "side": 16, "width": 4}
FULL = {"batch": 8, "side": 96, "width": 32}


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    """Twice the size, beside what the way down has kept of that size."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.conv = DoubleConv(2 * outputs, outputs)

    def forward(self, x, kept):
        x = self.up(x)
        down, right = kept.size(2) - x.size(2), kept.size(3) - x.size(3)
        x = F.pad(x, [right // 2, right - right // 2, down // 2, down - down // 2])
        return self.conv(torch.cat([kept, x], dim=1))


class UNet(nn.Module):
    def __init__(self, channels, classes, width):
        super().__init__()
        self.inc = DoubleConv(channels, width)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width, 2 * width))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * width, 4 * width))
        self.up1 = Up(4 * width, 2 * width)
        self.up2 = Up(2 * width, width)
        self.outc = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, x):
        first = self.inc(x)
        second = self.down1(first)
        x = self.up1(self.down2(second), second)
        return self.outc(self.up2(x, first))


def dice_loss(probabilities, target, epsilon=1e-6):
    """1 - 2 |A and B| / (|A| + |B|), where A and B are shares of pixels."""
    both = 2 * (probabilities * target).sum(dim=(-1, -2))
    total = probabilities.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    return 1 - ((both + epsilon) / (total + epsilon)).mean()


def models(size):
    return [UNet(3, 1, size["width"])]


def batches(size, rng):
    while True:
        yield data.masks(size["batch"], size["side"], rng)


def trainer(models, size):
    (model,) = models
    optimizer = optim.RMSprop(model.parameters(), lr=1e-4, weight_decay=1e-8, momentum=0.9)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=1)

    @torch.compile
    def update(images, masks):
        optimizer.zero_grad()
        logits = model(images).squeeze(1)
        loss = F.binary_cross_entropy_with_logits(logits, masks) + dice_loss(torch.sigmoid(logits), masks)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    def step(images, masks):
        loss = update(images, masks)
        scheduler.step(loss.item())
        return loss

    return step
