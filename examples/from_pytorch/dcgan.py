"""A generative adversarial network of convolutions (Radford et al. 2016): two models, two optimizers, one step."""

import tinytorch as torch
from examples.from_pytorch import data
from tinytorch import nn, optim

SMALL = {"batch": 4, "latent": 8, "width": 8}
FULL = {"batch": 32, "latent": 100, "width": 64}


class Generator(nn.Module):
    """Noise [batch, latent, 1, 1] to pictures [batch, 3, 32, 32]."""

    def __init__(self, latent, width):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(latent, 4 * width, 4, 1, 0, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(True),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
            nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, noise):
        return self.main(noise)


class Discriminator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4 * width, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, images):
        return self.main(images).view(-1)


def weights_init(module):
    name = module.__class__.__name__
    if name.find("Conv") != -1:
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif name.find("BatchNorm") != -1:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def models(size):
    generator = Generator(size["latent"], size["width"])
    discriminator = Discriminator(size["width"])
    generator.apply(weights_init)
    discriminator.apply(weights_init)
    return [generator, discriminator]


def batches(size, rng):
    while True:
        images, _ = data.pictures(size["batch"], 32, rng)
        yield images, data.normal(rng, size["batch"], size["latent"], 1, 1)


def trainer(models, size):
    generator, discriminator = models
    criterion = nn.BCELoss()
    of_generator = optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_discriminator = optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    @torch.compile
    def step(images, noise):
        real, fake = torch.ones(images.size(0)), torch.zeros(images.size(0))
        # The discriminator tells pictures from what the generator makes …
        discriminator.zero_grad()
        error_real = criterion(discriminator(images), real)
        error_real.backward()
        made = generator(noise)
        error_fake = criterion(discriminator(made.detach()), fake)
        error_fake.backward()
        of_discriminator.step()
        # … and the generator learns to be taken for real.
        generator.zero_grad()
        error = criterion(discriminator(made), real)
        error.backward()
        of_generator.step()
        return error_real + error_fake, error

    return step
