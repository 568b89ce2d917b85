"""TinyTorch against its peers, on the same work, in interleaved rounds: `python -m benchmarks --help`."""
