"""Learn which points lie in a circle: one compiled function holds forward, backward and update."""

import numpy as np

import tinytorch as tt

tt.manual_seed(0)
model = tt.Sequential(tt.Linear(2, 16), tt.Tanh(), tt.Linear(16, 1))
optimizer = tt.SGD(model.parameters(), lr=0.5, momentum=0.9)

points = np.random.default_rng(0).uniform(-1, 1, (256, 2)).astype(np.float32)
x, y = tt.Tensor(points), tt.Tensor(np.hypot(*points.T)[:, None] < 0.7).float()


@tt.compile
def step(x, y):
    loss = tt.binary_cross_entropy_with_logits(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


for i in range(401):
    loss = step(x, y)
    if i % 100 == 0:
        print(f"step {i}: loss {float(loss):.2f}")

with tt.no_grad():
    right = ((model(x) > 0).float() == y).float().mean()
print(f"{float(right):.0%} of the points are right")
print(step)
