"""Parameters that are computed of others whenever a module reads them.

To read, in this order: `parametrize` (by any modules, whose state has a prefix of its own), `weight_norms` and
`spectral_norms`, in that form and in the older one, whose parts lie beside each other in the module itself, and
`orthogonal_weights`.
"""
