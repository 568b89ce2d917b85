"""The lottery ticket experiment (Frankle & Carbin 2019, "The lottery ticket hypothesis") on MNIST.

A network of 784-300-100-10 is trained; its smallest weights are pruned, and those that are left go back to what they
were before training: that is the ticket, and it is trained again. Each round prunes a share of what is left. The
control has the same mask and other initial weights: if it is worse, it was not the mask alone that won.

    python examples/lottery_ticket.py --rounds 12 --epochs 6

With `--rounds 6 --share 0.5 --epochs 3` it prints:

    weights left    ticket  other start
          100.0%    97.63%       97.58%
           50.0%    97.89%       97.37%
           25.0%    98.05%       97.55%
           12.5%    98.21%       97.39%
            6.3%    98.27%       96.84%
            3.1%    97.74%       95.32%
            1.6%    96.50%       93.40%

MNIST is downloaded, or read from the folder that TINYTORCH_DATA names. `--samples` trains on fewer digits.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import tinytorch as tt

BATCH = 60


def network(seed: int) -> tt.Sequential:
    sizes = [784, 300, 100, 10]
    random = tt.Generator(seed)
    layers = [tt.Linear(i, o, initialization="xavier", generator=random) for i, o in pairwise(sizes)]
    return tt.Sequential(layers[0], tt.ReLU(), layers[1], tt.ReLU(), layers[2])


def state_of(model: tt.Module) -> dict[str, tt.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def masks_of(model: tt.Module) -> dict[str, tt.Tensor]:
    return {name: tensor for name, tensor in state_of(model).items() if name.endswith("_mask")}


def accuracy(model: tt.Module, train: tt.Dataset, test: tt.Dataset, epochs: int) -> float:
    """Train a model in place; the share of the test digits that it names then."""
    trainer = tt.Trainer(model, tt.Adam(model.parameters(), lr=1.2e-3), tt.CrossEntropyLoss(), progress=False)
    trainer.fit(tt.DataLoader(train, BATCH, shuffle=True, seed=0), epochs=epochs)
    return trainer.evaluate(tt.DataLoader(test, 1000)).accuracy or 0.0


def main(argv: Sequence[str] | None = None) -> list[tuple[float, float, float]]:
    """Print a row for each round; the share of weights left and both accuracies."""
    parser = argparse.ArgumentParser(description="The lottery ticket experiment on MNIST")
    parser.add_argument("--rounds", type=int, default=12, help="how often weights are pruned")
    parser.add_argument("--share", type=float, default=0.2, help="of the weights left that each round prunes")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each training")
    parser.add_argument("--samples", type=int, default=60_000, help="digits to train on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)

    train, test = (tt.MNIST(train=part, flatten=True) for part in (True, False))
    train = tt.Subset(train, range(min(options.samples, len(train))))

    model = network(options.seed)
    start, rows = state_of(model), []
    print(f"{'weights left':>12}  {'ticket':>8}  {'other start':>11}")
    for number in range(options.rounds + 1):
        left = (1 - options.share) ** number
        tt.magnitude_prune(model, 1 - left)
        masks = masks_of(model)
        model.load_state_dict(start)  # under the mask: what is pruned stays 0
        control = network(options.seed + 1 + number)
        control.load_state_dict({**control.state_dict(), **masks})
        ticket, other = (accuracy(each, train, test, options.epochs) for each in (model, control))
        rows.append((1 - float(tt.measure_sparsity(model)), ticket, other))
        print(f"{rows[-1][0]:12.1%}  {ticket:8.2%}  {other:11.2%}", flush=True)
    return rows


if __name__ == "__main__":
    main()
