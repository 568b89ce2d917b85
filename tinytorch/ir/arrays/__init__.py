"""The numpy arrays that ops compute with: `memory` (which share it), `words` (arrays in errors), `nans` (which op makes
the first NaN), `reference` (ops on arrays: the meaning that all else is compared with)."""
