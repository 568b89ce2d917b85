"""Creation, dtypes, manipulation, products, and what an array itself has: one question for each line."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.array_api.case import FLOATS, INTEGERS, NUMBERS, Ask, B, Case, M, N, V, X, cases, numbers


def manipulation() -> dict[str, list[Case]]:
    return {
        "broadcast_arrays": cases(
            lambda xp, a: tuple(xp.broadcast_arrays(a(V), a(X[:, :2, :1]))),
            refused=(lambda xp, a: xp.broadcast_arrays(a(V), a(X)),),
        ),
        "broadcast_to": cases(
            lambda xp, a: xp.broadcast_to(a(V), (2, 5)),
            lambda xp, a: xp.broadcast_to(a(X[:, :1]), (3, 2, 3, 4)),
            refused=(lambda xp, a: xp.broadcast_to(a(V), (2, 4)),),
        ),
        "concat": cases(
            lambda xp, a: xp.concat([a(X), a(X)]),
            lambda xp, a: xp.concat((a(X), a(X[..., :1])), axis=-1),
            lambda xp, a: xp.concat([a(X), a(V)], axis=None),
            lambda xp, a: xp.concat([a(M[0]), a(V)]),
            refused=(lambda xp, a: xp.concat([a(X), a(X[..., :1])]), lambda xp, a: xp.concat([a(X), a(X)], axis=3)),
        ),
        "expand_dims": cases(
            *(lambda xp, a, i=i: xp.expand_dims(a(X), axis=i) for i in (0, 1, 3, -1, -4)),
            refused=(lambda xp, a: xp.expand_dims(a(X), axis=4),),
        ),
        "flip": cases(
            *(lambda xp, a, i=i: xp.flip(a(X), axis=i) for i in (None, 0, -1, (0, 2))),
            refused=(lambda xp, a: xp.flip(a(X), axis=3),),
        ),
        "moveaxis": cases(
            lambda xp, a: xp.moveaxis(a(X), 0, -1),
            lambda xp, a: xp.moveaxis(a(X), (0, 1), (2, 0)),
            refused=(lambda xp, a: xp.moveaxis(a(X), 0, 3), lambda xp, a: xp.moveaxis(a(X), (0, 0), (1, 2))),
        ),
        "permute_dims": cases(
            lambda xp, a: xp.permute_dims(a(X), (2, 0, 1)),
            lambda xp, a: xp.permute_dims(a(X), (-1, 0, 1)),
            refused=(lambda xp, a: xp.permute_dims(a(X), (0, 1)), lambda xp, a: xp.permute_dims(a(X), (0, 0, 1))),
        ),
        "repeat": cases(
            lambda xp, a: xp.repeat(a(X), 2),
            lambda xp, a: xp.repeat(a(X), 3, axis=1),
            lambda xp, a: xp.repeat(a(X), a(np.array([1, 0, 2])), axis=1),
        ),
        "reshape": cases(
            *(lambda xp, a, s=s: xp.reshape(a(X), s) for s in ((24,), (-1, 6), (4, 3, 2), (1, 24, 1))),
            lambda xp, a: xp.reshape(a(X), (6, 4), copy=True),
            lambda xp, a: xp.reshape(a(V[:1]), ()),
            refused=(lambda xp, a: xp.reshape(a(X), (5, 5)), lambda xp, a: xp.reshape(a(X), (-1, 7))),
        ),
        "roll": cases(
            lambda xp, a: xp.roll(a(X), 5),
            lambda xp, a: xp.roll(a(X), -1, axis=1),
            lambda xp, a: xp.roll(a(X), (1, 2), axis=(0, 2)),
            lambda xp, a: xp.roll(a(X[:0]), 1, axis=0),
            refused=(lambda xp, a: xp.roll(a(X), 1, axis=3),),
        ),
        "squeeze": cases(
            lambda xp, a: xp.squeeze(a(X[:1]), 0),
            lambda xp, a: xp.squeeze(a(X[:1, :, :1]), (0, -1)),
            refused=(lambda xp, a: xp.squeeze(a(X), 0), lambda xp, a: xp.squeeze(a(X), 3)),
        ),
        "stack": cases(
            *(lambda xp, a, i=i: xp.stack([a(X), a(X)], axis=i) for i in (0, 1, 3, -1)),
            lambda xp, a: xp.stack([a(M), a(M.astype("float32"))]),
            refused=(lambda xp, a: xp.stack([a(X), a(X[:1])]), lambda xp, a: xp.stack([a(X)], axis=4)),
        ),
        "tile": cases(
            *(lambda xp, a, r=r: xp.tile(a(X), r) for r in ((2,), (2, 1, 3), (2, 1, 1, 2))),
            lambda xp, a: xp.tile(a(V), (0,)),
        ),
        "unstack": cases(*(lambda xp, a, i=i: tuple(xp.unstack(a(X), axis=i)) for i in (0, 1, -1))),
    }


def products() -> dict[str, list[Case]]:
    y = numbers("float32", (2, 4, 5))
    return {
        "matmul": cases(
            lambda xp, a: xp.matmul(a(M), a(M)),
            lambda xp, a: xp.matmul(a(X), a(y)),
            lambda xp, a: xp.matmul(a(X), a(y[0])),
            lambda xp, a: xp.matmul(a(V), a(V)),
            lambda xp, a: xp.matmul(a(N), a(N[0].T)),
            lambda xp, a: xp.matmul(a(M), a(M.astype("float32"))),
            refused=(lambda xp, a: xp.matmul(a(X), a(X)), lambda xp, a: xp.matmul(a(V), a(np.array(1.0, "f")))),
        ),
        "matrix_transpose": cases(
            lambda xp, a: xp.matrix_transpose(a(X)), refused=(lambda xp, a: xp.matrix_transpose(a(V)),)
        ),
        "tensordot": cases(
            *(lambda xp, a, n=n: xp.tensordot(a(M), a(M), axes=n) for n in (0, 1, 2)),
            lambda xp, a: xp.tensordot(a(X), a(X), axes=((0, 2), (0, 2))),
            lambda xp, a: xp.tensordot(a(N), a(N), axes=((1,), (1,))),
            refused=(lambda xp, a: xp.tensordot(a(X), a(X), axes=1),),
        ),
        "vecdot": cases(
            lambda xp, a: xp.vecdot(a(X), a(X)),
            lambda xp, a: xp.vecdot(a(X), a(X[0])),
            lambda xp, a: xp.vecdot(a(X), a(X), axis=-2),
            lambda xp, a: xp.vecdot(a(N), a(N)),
            refused=(lambda xp, a: xp.vecdot(a(X), a(V)),),
        ),
    }


def creation() -> dict[str, list[Case]]:
    def like(name: str, *value: Any) -> list[Case]:
        shapes = cases(
            lambda xp, a: getattr(xp, name)(a(X), *value),
            lambda xp, a: getattr(xp, name)(a(N), *value),
            lambda xp, a: getattr(xp, name)(a(N), *value, dtype=xp.float32),
            lambda xp, a: getattr(xp, name)(a(X[:0]), *value),
        )
        return [Case(c.label, _shape_only(c.ask)) for c in shapes] if name == "empty_like" else shapes

    def filled(name: str, *value: Any) -> list[Case]:
        made = cases(
            *(lambda xp, a, s=s: getattr(xp, name)(s, *value) for s in (3, (), (2, 3), (0, 2)) if value),
            *(
                lambda xp, a, s=s, d=d: getattr(xp, name)(s, *value, dtype=getattr(xp, d))
                for s in (3, (), (2, 3), (0, 2))
                for d in ("float32", "float64", "int64", "uint8", "bool")
            ),
        )
        return [Case(c.label, _shape_only(c.ask)) for c in made] if name == "empty" else made

    return {
        "arange": cases(
            lambda xp, a: xp.arange(5),
            lambda xp, a: xp.arange(2, 9, 3),
            lambda xp, a: xp.arange(5, 2, -1),
            lambda xp, a: xp.arange(5, 2),
            lambda xp, a: xp.arange(0.0, 1.0, 0.25, dtype=xp.float64),
            lambda xp, a: xp.arange(3, dtype=xp.float32),
            lambda xp, a: xp.arange(0),
        ),
        "asarray": cases(
            lambda xp, a: xp.asarray([[1, 2], [3, 4]]),
            lambda xp, a: xp.asarray([True, False]),
            lambda xp, a: xp.asarray([1, 2.5], dtype=xp.float32),
            lambda xp, a: xp.asarray(3),
            lambda xp, a: xp.asarray(a(X), copy=True),
            lambda xp, a: xp.asarray(a(X), dtype=xp.float64),
            lambda xp, a: xp.asarray(a(X), copy=False),
        ),
        "empty": filled("empty"),
        "empty_like": like("empty_like"),
        "eye": cases(
            *(lambda xp, a, n=n, m=m, k=k: xp.eye(n, m, k=k, dtype=xp.float32)
              for n, m, k in ((3, None, 0), (3, 2, 0), (2, 4, 1), (3, 3, -1), (2, 2, 5))),
            lambda xp, a: xp.eye(2, dtype=xp.int64),
        ),
        "from_dlpack": cases(lambda xp, a: xp.from_dlpack(X), lambda xp, a: xp.from_dlpack(a(N))),
        "full": cases(
            *(lambda xp, a, s=s, v=v: xp.full(s, v) for s in (3, (2, 3), ()) for v in (2, True)),
            lambda xp, a: xp.full((2,), 2.5, dtype=xp.float32),
        ),
        "full_like": like("full_like", 3),
        "linspace": cases(
            lambda xp, a: xp.linspace(0.0, 1.0, 5, dtype=xp.float32),
            lambda xp, a: xp.linspace(1, -1, 4, dtype=xp.float64),
            lambda xp, a: xp.linspace(0.0, 1.0, 4, dtype=xp.float32, endpoint=False),
            lambda xp, a: xp.linspace(0.0, 1.0, 1, dtype=xp.float32),
            lambda xp, a: xp.linspace(0.0, 1.0, 0, dtype=xp.float32),
        ),
        "meshgrid": cases(
            *(
                lambda xp, a, how=how: tuple(xp.meshgrid(a(V), a(V[:2]), a(V[:3]), indexing=how))
                for how in ("xy", "ij")
            ),
            lambda xp, a: tuple(xp.meshgrid(a(V))),
        ),
        "ones": filled("ones"),
        "ones_like": like("ones_like"),
        "tril": cases(*(lambda xp, a, k=k: xp.tril(a(X), k=k) for k in (0, 1, -1)), lambda xp, a: xp.tril(a(B))),
        "triu": cases(*(lambda xp, a, k=k: xp.triu(a(X), k=k) for k in (0, 1, -1)), lambda xp, a: xp.triu(a(B))),
        "zeros": filled("zeros"),
        "zeros_like": like("zeros_like"),
    }  # fmt: skip


def _shape_only(ask: Ask) -> Ask:
    """What stands in memory without a value is not compared."""
    return lambda xp, a: xp.zeros_like(ask(xp, a))


def data_types() -> dict[str, list[Case]]:
    names = (*NUMBERS, "bool")
    pairs = [(a, b) for a, b in itertools.product(names, names) if {a, b} != {"int8", "uint8"}]  # int16 is not here
    kinds = ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric")
    numeric = [(a, b) for a, b in pairs if ("bool" in (a, b)) == (a == b == "bool")]
    same_kind = [(a, b) for a, b in numeric if (a in FLOATS) == (b in FLOATS)]
    return {
        "astype": cases(
            *(lambda xp, a, d=d: xp.astype(a(N), getattr(xp, d)) for d in names if d != "uint8"),
            lambda xp, a: xp.astype(a(X), xp.float32, copy=False),
        ),
        "can_cast": cases(
            *(lambda xp, a, p=p: xp.can_cast(getattr(xp, p[0]), getattr(xp, p[1])) for p in same_kind),
            lambda xp, a: xp.can_cast(a(X), xp.float64),
        ),
        "finfo": cases(
            *(
                lambda xp, a, d=d, f=f: getattr(xp.finfo(getattr(xp, d)), f)
                for d in FLOATS
                for f in ("bits", "eps", "max", "min", "smallest_normal")
            )
        ),
        "iinfo": cases(
            *(
                lambda xp, a, d=d, f=f: getattr(xp.iinfo(getattr(xp, d)), f)
                for d in INTEGERS
                for f in ("bits", "max", "min")
            )
        ),
        "isdtype": cases(
            *(lambda xp, a, d=d, k=k: xp.isdtype(getattr(xp, d), k) for d in names for k in kinds),
            lambda xp, a: xp.isdtype(xp.int8, (xp.float32, "signed integer")),
            lambda xp, a: xp.isdtype(xp.int8, xp.uint8),
        ),
        "result_type": cases(
            *(
                lambda xp, a, p=p: xp.asarray([], dtype=xp.result_type(getattr(xp, p[0]), a(np.zeros(2, p[1]))))
                for p in same_kind
            ),
        ),
    }


def members() -> dict[str, list[Case]]:
    """What an array itself has."""
    return {
        "__array_namespace__": cases(lambda xp, a: a(X).__array_namespace__().sum(a(X))),
        "__getitem__": cases(
            lambda xp, a: a(X)[0, ..., ::-1],
            lambda xp, a: a(X)[a(B)],
            lambda xp, a: a(X)[:, None, 1:2, ...],
            lambda xp, a: a(X)[a(np.array([1, 0])), 1, 0],
        ),
        "T": cases(lambda xp, a: a(M[:2]).T),
        "device": cases(lambda xp, a: xp.asarray(a(X), device=a(X).device)),
        "mT": cases(lambda xp, a: a(X).mT),
        "ndim": cases(lambda xp, a: a(X).ndim),
        "operators": cases(
            lambda xp, a: (a(X) + 1) * 2 - a(X) / 3,
            lambda xp, a: a(N) // 2 + a(N) % 3 - (a(N) << 1) + (a(N) & 3) - (a(N) | 1) ^ ~a(N),
            lambda xp, a: (1 - a(X) < 0.5) & (a(X) != 0) | (a(X) <= 2),
            lambda xp, a: -(abs(a(X)) ** 2) + (+a(X)),
            lambda xp, a: a(M) @ a(M),
        ),
        "shape": cases(lambda xp, a: tuple(a(X).shape)),
        "size": cases(lambda xp, a: a(X).size),
        "to_device": cases(lambda xp, a: a(X).to_device(a(X).device)),
    }
