"""The vocabulary's functions on a GPU, as LLVM text."""

from __future__ import annotations

REGISTERS = {
    "thread_index": "tid",
    "thread_count": "ntid",
    "block_index": "ctaid",
    "block_count": "nctaid",
}
ALL_LANES, WHOLE_WARP = -1, 31


def _place(name: str, register: str) -> str:
    return f"""
declare i32 @llvm.nvvm.read.ptx.sreg.{register}.x()
define i64 @keraunos_{name}() alwaysinline {{
  %value = call i32 @llvm.nvvm.read.ptx.sreg.{register}.x()
  %wide = zext i32 %value to i64
  ret i64 %wide
}}"""


def _shuffle(name: str, mode: str) -> str:
    function = f"@llvm.nvvm.shfl.sync.{mode}.i32"
    lanes, warp = f"i32 {ALL_LANES}", f"i32 {WHOLE_WARP}"
    return f"""
declare i32 {function}(i32, i32, i32, i32)
define i32 @keraunos_{name}(i32 %value, i32 %distance) alwaysinline {{
  %result = call i32 {function}({lanes}, i32 %value, i32 %distance, {warp})
  ret i32 %result
}}"""


def _nothing(name: str, parameters: str) -> str:
    return f"\ndefine void @keraunos_{name}({parameters}) alwaysinline {{\n  ret void\n}}"


FUNCTIONS = "\n".join(
    [
        *(_place(name, register) for name, register in REGISTERS.items()),
        _shuffle("shuffle_xor", "bfly"),
        _shuffle("shuffle_down", "down"),
        *(_nothing(name, "ptr %p, i64 %bytes") for name in ("reads", "writes", "shared")),
        _nothing("at", "i64 %line"),
        """
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
define void @keraunos_barrier() alwaysinline {
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}""",
    ]
)


def entry(symbol: str, body: str, arguments: int, threads: int) -> str:
    """Text of the kernel: its arguments are words in its own parameter space."""
    parameters = ", ".join(f"i64 %a{i}" for i in range(arguments))
    stores = "".join(
        f"\n  %p{i} = getelementptr i64, ptr %words, i64 {i}\n  store i64 %a{i}, ptr %p{i}"
        for i in range(arguments)
    )
    return f"""
declare void @{body}(ptr)
define ptx_kernel void @{symbol}({parameters}) "nvvm.maxntid"="{threads}" {{
  %words = alloca [{max(arguments, 1)} x i64], align 8{stores}
  call void @{body}(ptr %words)
  ret void
}}"""
