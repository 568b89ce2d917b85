"""What the generated code may assume about the machine: vectors, registers, instructions, caches."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tinytorch.ir.errors import CompileError
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.types import DType, i8, u8
from tinytorch.runtime.llvm.text import library

TargetName = Literal["avx512", "avx512_vnni", "avx2", "avx_vnni", "sse2", "neon", "neon_dot"]
_BYTES = [(left, right) for left in (i8, u8) for right in (i8, u8)]
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Target:
    """A machine to generate code for; `Target.host()` is this one. All sizes are in bytes."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    has_half: bool  # converts f16 in hardware
    has_round: bool  # rounds to integral floats in hardware
    has_vnni: bool  # multiplies unsigned by signed bytes, in vectors of its size
    has_bf16: bool
    l1_bytes: int = 32 << 10
    l2_bytes: int = 512 << 10
    l3_bytes: int = 16 << 20
    has_dot: bool = False  # NEON that multiplies bytes of one signedness
    has_mixed_dot: bool = False  # and unsigned by signed ones

    @property
    def is_x86(self) -> bool:
        return self.triple.startswith(("x86_64", "amd64"))

    @property
    def byte_dots(self) -> Literal["quad", "pair", "none"]:
        """How many bytes of each operand an instruction multiplies and adds up in an i32, exactly."""
        if self.has_vnni or self.has_dot:
            return "quad"
        return "pair" if self.is_x86 else "none"  # of bytes that were widened to 16 bits

    @property
    def has_sums_of_16_bits(self) -> bool:
        """Whether it adds up two products of unsigned by signed bytes in 16 bits."""
        return self.is_x86 and self.vector_bytes >= 32

    def multiplies_bytes(self, left: DType, right: DType) -> bool:
        """Whether bytes of these dtypes are what its instruction for them multiplies."""
        return left is not right if self.has_vnni else self.has_dot and (left is right or self.has_mixed_dot)

    def lanes(self, dtype: DType) -> int:
        """Elements of `dtype` in one vector register."""
        return max(1, self.vector_bytes // dtype.size)

    @property
    def attributes(self) -> str:
        """Attributes for every function, so that LLVM keeps the vector width that the code was written in."""
        return f'nounwind "prefer-vector-width"="{self.vector_bytes * 8}"'

    @property
    def key(self) -> str:
        """Identifies what compiled code depends on beside its text, for caches."""
        return f"llvmlite {library.version()}/{self.triple}/{self.cpu}/{self.features}/{self.vector_bytes}"

    @property
    def facts(self) -> dict[str, str | int]:
        """What reports say of it."""
        has = {"fma": self.has_fma, "f16": self.has_half, "vnni": self.has_vnni, "bf16": self.has_bf16}
        has |= {"dot": self.has_dot, "mixed dot": self.has_mixed_dot}
        vectors = f"{self.name}, {self.vector_bytes * 8} bits, {self.vector_registers} registers"
        known = ", ".join(name for name, there in has.items() if there) or "none"
        return {
            "cpu": self.cpu,
            "vectors": vectors,
            "features": known,
            "l1_bytes": self.l1_bytes,
            "l2_bytes": self.l2_bytes,
        }

    @property
    def costs(self) -> Costs:
        """What the passes ask."""
        fours, twos = self.has_vnni or self.has_dot, self.is_x86
        return Costs(
            byte_group=4 if fours else 2 if twos else 0,
            small_byte_group=4 if fours or (twos and self.vector_bytes >= 32) else 2 if twos else 0,
            vector_bytes=self.vector_bytes,
            vector_registers=self.vector_registers,
            multiplies_pairs=self.has_bf16,
            panel_vectors=4 if self.vector_registers >= 32 else 2,
            byte_dots=self.byte_dots,
            quad_pairs=frozenset(pair for pair in _BYTES if self.multiplies_bytes(*pair)),
            sums_of_16_bits=self.has_sums_of_16_bits and not self.has_vnni,
            l2_bytes=self.l2_bytes,
            l3_bytes=self.l3_bytes,
        )

    @staticmethod
    def host() -> Target:
        """This machine, as LLVM detects it."""
        return _host()

    @staticmethod
    def named(name: TargetName) -> Target:
        """A machine with just the instructions of that name; the caches are this machine's."""
        return _named(name)


@functools.cache
def _host() -> Target:
    llvm = library.llvm()

    triple = llvm.get_process_triple()
    features = dict(llvm.get_host_cpu_features())
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    l1, l2, l3 = _cache_sizes()
    arm = triple.startswith(("aarch64", "arm64"))
    x86 = triple.startswith(("x86_64", "amd64"))
    wide = all(features.get(f"avx512{part}", False) for part in ("f", "bw", "dq", "vl"))
    avx2 = features.get("avx2", False) and features.get("fma", False)
    name = "neon" if arm else "avx512" if wide else "avx2" if avx2 else "sse2" if x86 else "plain"
    return Target(
        name=name,
        triple=triple,
        cpu=llvm.get_host_cpu_name(),
        features=flags,
        vector_bytes=64 if wide else 32 if avx2 else 16,
        vector_registers=32 if wide or arm else 16,
        has_fma=avx2 or arm,
        has_half=features.get("f16c", False) or arm,
        has_round=features.get("sse4.1", False) or arm,
        has_vnni=features.get("avx512vnni", False) if wide else avx2 and features.get("avxvnni", False),
        has_bf16=wide and features.get("avx512bf16", False),
        l1_bytes=l1,
        l2_bytes=l2,
        l3_bytes=l3,
        has_dot=arm and features.get("dotprod", False),
        has_mixed_dot=arm and features.get("dotprod", False) and features.get("i8mm", False),
    )


@functools.cache
def _named(name: TargetName) -> Target:
    caches = _cache_sizes()
    x86, arm = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
    if _host().triple.startswith("x86_64"):
        x86 = _host().triple
    if name in ("neon", "neon_dot"):
        dot = name == "neon_dot"
        features = "+neon,+dotprod" if dot else "+neon"
        return Target(name, arm, "generic", features, 16, 32, True, True, True, False, False, *caches, has_dot=dot)
    if name in ("avx512", "avx512_vnni"):
        vnni = name == "avx512_vnni"
        features = "+avx512vnni" if vnni else ""
        return Target(name, x86, "x86-64-v4", features, 64, 32, True, True, True, vnni, False, *caches)
    if name in ("avx2", "avx_vnni"):
        vnni = name == "avx_vnni"
        return Target(
            name, x86, "x86-64-v3", "+avxvnni" if vnni else "", 32, 16, True, True, True, vnni, False, *caches
        )
    if name == "sse2":
        return Target(name, x86, "x86-64", "", 16, 16, False, False, False, False, False, *caches)
    raise CompileError(f"target {name!r} is not known; use {', '.join(get_args(TargetName))}")


@functools.cache
def _cache_sizes() -> tuple[int, int, int]:
    """(L1 data, L2, L3) of the first core, where the system tells; else what small machines have."""
    sizes = {1: 32 << 10, 2: 512 << 10, 3: 16 << 20}
    for index in sorted(_CACHES.glob("index*")) if _CACHES.is_dir() else []:
        try:
            kind = (index / "type").read_text().strip()
            level = int((index / "level").read_text())
            size = (index / "size").read_text().strip()
            if kind != "Instruction" and level in sizes:
                sizes[level] = int(size.rstrip("KM")) << (20 if size.endswith("M") else 10)
        except (OSError, ValueError):
            continue  # some sandboxes list caches that they do not describe
    return sizes[1], sizes[2], sizes[3]
