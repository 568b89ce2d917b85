"""A variational autoencoder of digits (Kingma & Welling 2014): noise is given, so that a step is a function."""

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim
from tinytorch.distributions import Independent, Normal, kl_divergence

SMALL = {"batch": 6, "hidden": 32, "latent": 4}
FULL = {"batch": 128, "hidden": 400, "latent": 20}


class VAE(nn.Module):
    def __init__(self, hidden, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())

    def encode(self, x):
        h = self.encoder(x)
        return Independent(Normal(self.mean(h), torch.exp(0.5 * self.log_variance(h)), validate_args=False), 1)

    def forward(self, x, noise):
        posterior = self.encode(x)
        z = posterior.mean + posterior.stddev * noise
        return self.decoder(z), posterior


def models(size):
    return [VAE(size["hidden"], size["latent"])]


def batches(size, rng):
    while True:
        images, _ = data.digits(size["batch"], rng)
        yield images, data.normal(rng, size["batch"], size["latent"])


def trainer(models, size):
    (model,) = models
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @torch.compile
    def step(images, noise):
        optimizer.zero_grad()
        pictures, posterior = model(images, noise)
        prior = Independent(Normal(torch.zeros(noise.shape), torch.ones(noise.shape), validate_args=False), 1)
        reconstruction = F.binary_cross_entropy(pictures, images.view(-1, 784), reduction="sum")
        loss = (reconstruction + kl_divergence(posterior, prior).sum()) / images.size(0)
        loss.backward()
        optimizer.step()
        return loss

    return step
