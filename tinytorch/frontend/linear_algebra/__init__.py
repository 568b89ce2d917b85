"""Linear algebra beyond products: what calls numpy for the values, with gradients written in ops.

Values of a trace are not known, so all this is for eager mode and refused inside `tt.compile`; norms that need no
singular values are products and sums, and compile.

To read in this order: `calls` (a call of numpy with a gradient), `solving`, `factorizations`, `lu`, `spectra`
(eigenvalues and singular values), `norms`, `pseudo` (inverses of any matrix), `powers`.
"""

from __future__ import annotations

from tinytorch.frontend.linear_algebra import calls as calls
from tinytorch.frontend.linear_algebra import factorizations as factorizations
from tinytorch.frontend.linear_algebra import lu as lu
from tinytorch.frontend.linear_algebra import norms as norms
from tinytorch.frontend.linear_algebra import powers as powers
from tinytorch.frontend.linear_algebra import pseudo as pseudo
from tinytorch.frontend.linear_algebra import solving as solving
from tinytorch.frontend.linear_algebra import spectra as spectra
