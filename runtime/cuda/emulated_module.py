"""The vocabulary's functions on x86, as LLVM text: threads that stop and go on where they were.

A thread has a stack of its own. Where it waits it saves its registers there and goes on to the
stack of the scheduler (`blocks.py`), which comes back to it by the same function.
"""

from __future__ import annotations

from .machine_layout import (
    ADDRESS,
    ARGS,
    AT_BARRIER,
    AT_SHUFFLE,
    BLOCK,
    BLOCKS,
    BYTES,
    CHECK,
    CONTEXTS,
    CURRENT,
    DONE,
    ERROR,
    HIGH,
    INDEX,
    LINE,
    LOW,
    MOST_SHARED,
    MOST_STAMPS,
    PHASE,
    SCHEDULER,
    SHARED,
    SHARED_COUNT,
    SHARED_WORDS,
    STACK,
    STAMP,
    STATE,
    THREAD_WORDS,
    THREADS,
    TOO_MUCH,
    VALUES,
    WRITES,
)

SWITCH = r"""
; Saves the registers that calls keep and the stack in the first word, goes on from the second's.
define void @keraunos_switch(ptr %saved, ptr %next) naked noinline nounwind {
  call void asm sideeffect "pushq %rbp\0Apushq %rbx\0Apushq %r12\0Apushq %r13\0Apushq %r14\0Apushq %r15\0Amovq %rsp, (%rdi)\0Amovq (%rsi), %rsp\0Apopq %r15\0Apopq %r14\0Apopq %r13\0Apopq %r12\0Apopq %rbx\0Apopq %rbp\0Aretq", ""()
  unreachable
}
; Where a thread begins: its machine and its kernel lie where these registers are taken from.
define void @keraunos_first_step() naked noinline nounwind {
  call void asm sideeffect "movq %rbx, %rdi\0Acallq *%rbp\0Aud2", ""()
  unreachable
}
define i64 @keraunos_first_step_address() {
  %address = ptrtoint ptr @keraunos_first_step to i64
  ret i64 %address
}
"""  # noqa: E501


def _word(name: str, base: str, index: int) -> str:
    """Text that names the address of a word, and its value."""
    return f"""
  %{name}.at = getelementptr i64, ptr {base}, i64 {index}
  %{name} = load i64, ptr %{name}.at"""


MACHINE = "\n  %machine = load ptr, ptr @keraunos_machine"
THREAD = (
    MACHINE + _word("current", "%machine", CURRENT) + "\n  %thread = inttoptr i64 %current to ptr"
)


def _stop(state: int) -> str:
    """Text by which a thread stops, until the scheduler resumes it."""
    return f"""
  %state = getelementptr i64, ptr %thread, i64 {STATE}
  store i64 {state}, ptr %state
  %stack = getelementptr i64, ptr %thread, i64 {STACK}
  %scheduler = getelementptr i64, ptr %machine, i64 {SCHEDULER}
  call void @keraunos_switch(ptr %stack, ptr %scheduler)"""


def _place(name: str, base: str, index: int) -> str:
    head = THREAD if base == "%thread" else MACHINE
    return f"""
define i64 @keraunos_{name}() alwaysinline {{{head}{_word("value", base, index)}
  ret i64 %value
}}"""


def _access(name: str, writes: int) -> str:
    """What lies in the array that was touched last is allowed; else the emulator looks."""
    ends = _word("low", "%machine", LOW) + _word("high", "%machine", HIGH)
    return f"""
define void @keraunos_{name}(ptr %p, i64 %bytes) alwaysinline {{{MACHINE}{ends}
  %address = ptrtoint ptr %p to i64
  %end = add i64 %address, %bytes
  %above = icmp uge i64 %address, %low
  %below = icmp ule i64 %end, %high
  %inside = and i1 %above, %below
  br i1 %inside, label %done, label %look
look:
  call void @keraunos_look(i64 %address, i64 %bytes, i64 {writes})
  br label %done
done:
  ret void
}}"""


LOOK = f"""
define void @keraunos_look(i64 %address, i64 %bytes, i64 %writes) noinline {{{THREAD}
  %address.at = getelementptr i64, ptr %machine, i64 {ADDRESS}
  store i64 %address, ptr %address.at
  %bytes.at = getelementptr i64, ptr %machine, i64 {BYTES}
  store i64 %bytes, ptr %bytes.at
  %writes.at = getelementptr i64, ptr %machine, i64 {WRITES}
  store i64 %writes, ptr %writes.at{_word("check", "%machine", CHECK)}
  %function = inttoptr i64 %check to ptr
  call void %function(ptr %machine){_word("error", "%machine", ERROR)}
  %good = icmp eq i64 %error, 0
  br i1 %good, label %done, label %bad
bad:{_stop(DONE)}
  br label %done
done:
  ret void
}}"""

# A shared array is made known by the first thread that comes by; its stamps follow the others'.
KNOWN = _word("list", "%machine", SHARED) + _word("count", "%machine", SHARED_COUNT)
SHARED_ARRAY = f"""
define void @keraunos_shared(ptr %p, i64 %bytes) noinline {{{THREAD}{KNOWN}
  %arrays = inttoptr i64 %list to ptr
  %address = ptrtoint ptr %p to i64
  br label %next
next:
  %i = phi i64 [0, %0], [%j, %other]
  %stamps = phi i64 [0, %0], [%after, %other]
  %j = add i64 %i, 1
  %row = mul i64 %i, {SHARED_WORDS}
  %low.at = getelementptr i64, ptr %arrays, i64 %row
  %new = icmp eq i64 %i, %count
  br i1 %new, label %add, label %known
known:
  %low = load i64, ptr %low.at
  %same = icmp eq i64 %low, %address
  br i1 %same, label %done, label %other
other:
  %old.high.at = getelementptr i64, ptr %low.at, i64 1
  %old.high = load i64, ptr %old.high.at
  %old.bytes = sub i64 %old.high, %low
  %old.words = udiv i64 %old.bytes, 4
  %old.stamps = mul i64 %old.words, {STAMP}
  %after = add i64 %stamps, %old.stamps
  br label %next
add:
  %words = udiv i64 %bytes, 4
  %mine = mul i64 %words, {STAMP}
  %last = add i64 %stamps, %mine
  %many = icmp ugt i64 %last, {MOST_STAMPS * STAMP}
  %full = icmp uge i64 %i, {MOST_SHARED}
  %too.much = or i1 %many, %full
  br i1 %too.much, label %bad, label %keep
bad:
  %error.at = getelementptr i64, ptr %machine, i64 {ERROR}
  store i64 {TOO_MUCH}, ptr %error.at{_stop(DONE)}
  br label %done
keep:
  %end = add i64 %address, %bytes
  store i64 %address, ptr %low.at
  %high.at = getelementptr i64, ptr %low.at, i64 1
  store i64 %end, ptr %high.at
  %stamps.at = getelementptr i64, ptr %low.at, i64 2
  store i64 %stamps, ptr %stamps.at
  %more = add i64 %count, 1
  store i64 %more, ptr %count.at
  br label %done
done:
  ret void
}}"""

BARRIER = f"""
define void @keraunos_barrier() {{{THREAD}{_stop(AT_BARRIER)}
  ret void
}}"""

AT = f"""
define void @keraunos_at(i64 %line) alwaysinline {{{THREAD}
  %line.at = getelementptr i64, ptr %thread, i64 {LINE}
  store i64 %line, ptr %line.at
  ret void
}}"""


def _shuffle(name: str, source: str) -> str:
    """Puts the value into one of two places in turn, and reads the other lane's once all have.

    ``source`` is text that computes ``%other``, a thread, of ``%index`` and ``%d``.
    """
    own = _word("index", "%thread", INDEX) + _word("phase", "%thread", PHASE)
    wait = _stop(AT_SHUFFLE) + source + _word("contexts", "%machine", CONTEXTS)
    return f"""
define i32 @keraunos_{name}(i32 %value, i32 %distance) {{{THREAD}{own}
  %d = zext i32 %distance to i64
  %slot = add i64 %phase, {VALUES}
  %own = getelementptr i64, ptr %thread, i64 %slot
  %wide = zext i32 %value to i64
  store i64 %wide, ptr %own
  %flipped = xor i64 %phase, 1
  store i64 %flipped, ptr %phase.at{wait}
  %first = inttoptr i64 %contexts to ptr
  %before = mul i64 %other, {THREAD_WORDS}
  %its = add i64 %before, %slot
  %theirs = getelementptr i64, ptr %first, i64 %its
  %word = load i64, ptr %theirs
  %result = trunc i64 %word to i32
  ret i32 %result
}}"""


XOR = "\n  %other = xor i64 %index, %d"
DOWN = """
  %lane = and i64 %index, 31
  %there = add i64 %lane, %d
  %is.lane = icmp ult i64 %there, 32
  %further = add i64 %index, %d
  %other = select i1 %is.lane, i64 %further, i64 %index"""

FUNCTIONS = "\n".join(
    [
        "@keraunos_machine = internal global ptr null",
        _place("thread_index", "%thread", INDEX),
        _place("thread_count", "%machine", THREADS),
        _place("block_index", "%machine", BLOCK),
        _place("block_count", "%machine", BLOCKS),
        _access("reads", 0),
        _access("writes", 1),
        LOOK,
        SHARED_ARRAY,
        BARRIER,
        AT,
        _shuffle("shuffle_xor", XOR),
        _shuffle("shuffle_down", DOWN),
    ]
)


def entry(symbol: str, body: str) -> str:
    """Text of the function that a thread begins with: the kernel, and then never again."""
    return f"""
declare void @{body}(ptr)
define void @{symbol}(ptr %machine) {{
  store ptr %machine, ptr @keraunos_machine{_word("args", "%machine", ARGS)}
  %words = inttoptr i64 %args to ptr
  call void @{body}(ptr %words){_word("current", "%machine", CURRENT)}
  %thread = inttoptr i64 %current to ptr{_stop(DONE)}
  unreachable
}}"""
