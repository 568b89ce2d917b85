"""Balancing a pole by policy gradients (Williams 1992): episodes by hand, one compiled update for each."""

import tinytorch as torch
import tinytorch.nn.functional as F
from examples.from_pytorch import data
from tinytorch import nn, optim
from tinytorch.distributions import Categorical

SMALL = {"hidden": 16, "longest": 30}
FULL = {"hidden": 128, "longest": 200}
GAMMA = 0.99


class Policy(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.affine1 = nn.Linear(4, hidden)
        self.affine2 = nn.Linear(hidden, 2)

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.affine1(x))), dim=-1)


def models(size):
    return [Policy(size["hidden"])]


def batches(size, rng):
    """Where an episode begins, and a uniform number for each of its actions."""
    while True:
        yield rng.uniform(-0.05, 0.05, 4), rng.uniform(size=size["longest"])


def trainer(models, size):
    (policy,) = models
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)

    @torch.compile
    def act(state):
        return policy(state)

    @torch.compile
    def update(states, actions, returns, played):
        optimizer.zero_grad()
        log_probs = Categorical(policy(states), validate_args=False).log_prob(actions)
        loss = -(log_probs * returns * played).sum()
        loss.backward()
        optimizer.step()
        return loss

    def step(start, uniform):
        states, actions, rewards = [], [], []
        state, done = start.tolist(), False
        for u in uniform.tolist():
            if done:
                break
            with torch.no_grad():
                probabilities = act(torch.tensor([state]))
            action = int(u >= probabilities[0, 0].item())
            states.append(state)
            actions.append(action)
            state, reward, done = data.cart_pole(state, action)
            rewards.append(reward)
        returns = data.discounted(rewards, GAMMA)
        # One shape for episodes of all lengths: what was not played counts for nothing.
        missing = size["longest"] - len(actions)
        played = torch.tensor([1.0] * len(actions) + [0.0] * missing)
        states = torch.tensor(states + [[0.0] * 4] * missing)
        actions = torch.tensor(actions + [0] * missing)
        return update(states, actions, torch.tensor(returns + [0.0] * missing), played)

    return step
