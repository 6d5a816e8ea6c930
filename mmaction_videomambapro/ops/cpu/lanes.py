"""A language of loops over lanes, written in Python for LLVM to compile.

A kernel is a function of one argument, the address of its parameters. Its body is
put together from two kinds of values: :class:`Int`, an address or a count, and
:class:`Lanes`, one number for each of ``LANES`` neighbouring channels. On AVX-512
the lanes are one register, on AVX2 two, on NEON four.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from functools import partialmethod
from typing import NamedTuple

from llvmlite import ir

LANES = 16
_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_POINTER = ir.PointerType()
# No 'nnan' or 'ninf': with them a NaN is undefined, not a NaN.
_FAST = ('nsz', 'contract')
_FLUSH_DENORMALS = 1 << 15 | 1 << 6  # bits of MXCSR: of results, of operands


class Features(NamedTuple):
    """Instructions that a kernel may use, which only some CPUs have."""

    fma: bool = False  # multiply and add, rounded once
    permute: bool = False  # AVX-512's, a table lookup as cheap as an addition
    mxcsr: bool = False  # x86's register that can turn denormal numbers off


class Int:
    """An integer or address while the kernel runs."""

    def __init__(self, kernel: Kernel, value: ir.Value) -> None:
        self.kernel, self.value = kernel, value

    def _binary(self, name, other):
        kernel = self.kernel
        operate = getattr(kernel.builder, name)
        return Int(kernel, operate(self.value, kernel.int(other).value))

    __add__ = partialmethod(_binary, 'add')
    __sub__ = partialmethod(_binary, 'sub')
    __mul__ = partialmethod(_binary, 'mul')
    __floordiv__ = partialmethod(_binary, 'sdiv')
    __mod__ = partialmethod(_binary, 'srem')

    def min(self, other: Int | int) -> Int:
        return self.kernel.choose(self.is_less(other), self, self.kernel.int(other))

    def _compare(self, sign, other):
        other = self.kernel.int(other).value
        return self.kernel.builder.icmp_signed(sign, self.value, other)

    def is_(self, other: Int | int) -> ir.Value:
        return self._compare('==', other)

    def is_not(self, other: Int | int) -> ir.Value:
        return self.kernel.builder.not_(self.is_(other))

    def is_less(self, other: Int | int) -> ir.Value:
        return self._compare('<', other)


class Lanes:
    """One real number for each lane."""

    def __init__(self, kernel: Kernel, value: ir.Value) -> None:
        self.kernel, self.value = kernel, value

    def _binary(self, name, other):
        operate = getattr(self.kernel.builder, name)
        other = self.kernel.lanes(other).value
        return Lanes(self.kernel, operate(self.value, other, flags=_FAST))

    __add__ = partialmethod(_binary, 'fadd')
    __sub__ = partialmethod(_binary, 'fsub')
    __mul__ = partialmethod(_binary, 'fmul')
    __truediv__ = partialmethod(_binary, 'fdiv')

    def fma(self, factor: Lanes, addend: Lanes | float) -> Lanes:
        """The product with ``factor`` plus ``addend``, rounded once if the CPU can."""
        if not self.kernel.has_fma:  # LLVM would call a function for every lane
            return self * factor + addend
        args = [self, factor, self.kernel.lanes(addend)]
        return self.kernel.call('llvm.fma', *args)

    def __neg__(self):
        return Lanes(self.kernel, self.kernel.builder.fneg(self.value))

    def __abs__(self):
        return self.kernel.call('llvm.fabs', self)

    def min(self, other: Lanes | float) -> Lanes:
        """The smaller of the two; a NaN in self stays."""
        other = self.kernel.lanes(other)
        return self.kernel.select(self.kernel.less(other, self), other, self)

    def bits(self) -> Bits:
        kernel = self.kernel
        return Bits(kernel, kernel.builder.bitcast(self.value, kernel.bits))


class Bits:
    """The representation of Lanes, as signed integers.

    Integer operations do not compete with those on real numbers.
    """

    def __init__(self, kernel: Kernel, value: ir.Value) -> None:
        self.kernel, self.value = kernel, value

    def _constant(self, other):
        if isinstance(other, Bits):
            return other.value
        return ir.Constant(self.kernel.bits, [other] * LANES)

    def __add__(self, other):
        value = self.kernel.builder.add(self.value, self._constant(other))
        return Bits(self.kernel, value)

    def __lshift__(self, other):
        value = self.kernel.builder.shl(self.value, self._constant(other))
        return Bits(self.kernel, value)

    def min(self, other: Bits | int) -> Bits:
        return self._choose('smin', other)

    def max(self, other: Bits | int) -> Bits:
        return self._choose('smax', other)

    def _choose(self, name, other):
        kernel, other = self.kernel, self._constant(other)
        name = f'llvm.{name}.{kernel.bits_suffix}'
        return Bits(kernel, kernel.intrinsic(name, kernel.bits, self.value, other))

    def reduce_max(self) -> ir.Value:
        """The largest of all lanes."""
        kernel = self.kernel
        name = f'llvm.vector.reduce.smax.{kernel.bits_suffix}'
        return kernel.intrinsic(name, kernel.bits.element, self.value)

    def lanes(self) -> Lanes:
        kernel = self.kernel
        return Lanes(kernel, kernel.builder.bitcast(self.value, kernel.type))


class Variable:
    """Lanes that change from one turn of a loop to the next."""

    def __init__(self, kernel: Kernel, value: Lanes) -> None:
        self.kernel = kernel
        with kernel.builder.goto_block(kernel.entry):
            self.slot = kernel.builder.alloca(value.value.type)
        self.set(value)

    def get(self) -> Lanes:
        return Lanes(self.kernel, self.kernel.builder.load(self.slot))

    def set(self, value: Lanes) -> None:
        self.kernel.builder.store(value.value, self.slot)


class Kernel:
    """A function under construction.

    Args:
        name (str): Name of the function.
        fields (tuple[str]): Names of its parameters: 64-bit integers that lie one
            after the other at the address it is called with.
        double (bool): Lanes of float64 instead of float32. Defaults to False.
        features (Features): What the CPU can do. Defaults to what all of them can.
    """

    def __init__(
        self,
        name: str,
        fields: tuple[str, ...],
        double: bool = False,
        features: Features = Features(),  # noqa: B008  immutable
    ) -> None:
        self.has_fma = features.fma
        self.has_permute = features.permute and not double
        self.has_mxcsr = features.mxcsr
        self.module = ir.Module(name)
        self.double = double
        self.real = ir.DoubleType() if double else ir.FloatType()
        self.bits = ir.VectorType(_I64 if double else _I32, LANES)
        self.type = ir.VectorType(self.real, LANES)
        self.item = 8 if double else 4  # bytes of a number
        self.size = self.item * LANES  # bytes of all lanes
        # names of the types, which LLVM's intrinsics are overloaded by
        self.suffix, self.bits_suffix = (f'v{LANES}{t}{8 * self.item}' for t in 'fi')
        self.function = ir.Function(
            self.module, ir.FunctionType(ir.VoidType(), [_POINTER]), name
        )
        # allocas live in a block of their own, so that loops do not repeat them
        self.entry = self.function.append_basic_block('entry')
        start = self.function.append_basic_block('start')
        self.builder = ir.IRBuilder(start)
        self.if_then, self.if_else = self.builder.if_then, self.builder.if_else
        self.params = Int(self, self.builder.ptrtoint(self.function.args[0], _I64))
        self.fields = fields
        for i, field in enumerate(fields):
            setattr(self, field, self.load_int(self.params + 8 * i))
        self._start = start

    # Values

    def int(self, value: Int | int) -> Int:
        return value if isinstance(value, Int) else Int(self, _I64(value))

    def lanes(self, value: Lanes | float) -> Lanes:
        if isinstance(value, Lanes):
            return value
        return Lanes(self, ir.Constant(self.type, [self.real(float(value))] * LANES))

    def float_bits(self, value: float) -> int:
        """The representation of a number."""
        real, whole = ('d', 'q') if self.double else ('f', 'i')
        return struct.unpack(whole, struct.pack(real, value))[0]

    def variable(self, value: Lanes | float) -> Variable:
        return Variable(self, self.lanes(value))

    def call(self, name: str, *args: Lanes) -> Lanes:
        """An LLVM intrinsic over lanes, overloaded by their type alone."""
        values = (x.value for x in args)
        return Lanes(self, self.intrinsic(f'{name}.{self.suffix}', self.type, *values))

    def intrinsic(self, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        """Call one of LLVM's, named with the types that it is overloaded by."""
        function = self.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(result, [x.type for x in args])
            function = ir.Function(self.module, kind, name)
        return self.builder.call(function, args)

    def permute(self, table: list[int], index: Bits) -> Bits:
        """Look up a table of LANES or 2 * LANES entries at the lowest bits of index."""
        low, *high = (
            ir.Constant(self.bits, table[i : i + LANES])
            for i in range(0, len(table), LANES)
        )
        if high:
            name, args = 'vpermi2var.d', [low, index.value, *high]
        else:
            name, args = 'permvar.si', [low, index.value]
        name = f'llvm.x86.avx512.{name}.512'
        return Bits(self, self.intrinsic(name, self.bits, *args))

    def less(self, x: Lanes, y: Lanes | float) -> ir.Value:
        """Where x < y; nowhere for a NaN."""
        return self.builder.fcmp_ordered('<', x.value, self.lanes(y).value)

    def select(self, holds: ir.Value, x: Lanes | float, y: Lanes | float) -> Lanes:
        x, y = self.lanes(x), self.lanes(y)
        return Lanes(self, self.builder.select(holds, x.value, y.value))

    def choose(self, holds: ir.Value, x: Int, y: Int) -> Int:
        return Int(self, self.builder.select(holds, x.value, y.value))

    # Memory. Addresses are Ints, in bytes.

    def _at(self, address):
        return self.builder.inttoptr(address.value, _POINTER)

    def load_int(self, address: Int) -> Int:
        return Int(self, self.builder.load(self._at(address), typ=_I64))

    def tail_mask(self, count: Int | int) -> ir.Value:
        """A mask that holds in the first ``count`` lanes."""
        kind = ir.VectorType(_I64, LANES)
        index = ir.Constant(kind, list(range(LANES)))
        limit = self._splat(self.int(count).value, kind)
        return self.builder.icmp_signed('<', index, limit)

    def buffer(self, size: int) -> Int:
        """Address of ``size`` bytes that belong to the running thread."""
        with self.builder.goto_block(self.entry):
            slot = self.builder.alloca(ir.ArrayType(_I8, size))
            slot.align = 64
            return Int(self, self.builder.ptrtoint(slot, _I64))

    def load(self, address: Int, mask: ir.Value | None = None) -> Lanes:
        """LANES numbers; with a mask 0 where it does not hold, without touching it."""
        if mask is None:
            value = self.builder.load(self._at(address), align=self.item, typ=self.type)
            return Lanes(self, value)
        args = self._at(address), _I32(self.item), mask, self.lanes(0).value
        name = f'llvm.masked.load.{self.suffix}.p0'
        return Lanes(self, self.intrinsic(name, self.type, *args))

    def store(self, address: Int, x: Lanes, mask: ir.Value | None = None) -> None:
        if mask is None:
            self.builder.store(x.value, self._at(address), align=self.item)
            return
        args = x.value, self._at(address), _I32(self.item), mask
        self.intrinsic(f'llvm.masked.store.{self.suffix}.p0', ir.VoidType(), *args)

    def gather(self, address: Int, step: int, mask: ir.Value) -> Lanes:
        """LANES numbers ``step`` bytes apart, 0 where the mask does not hold."""
        places, zero = self._places(address, step), self.lanes(0).value
        name = f'llvm.masked.gather.{self.suffix}.v{LANES}p0'
        args = places, _I32(self.item), mask, zero
        return Lanes(self, self.intrinsic(name, self.type, *args))

    def scatter(self, address: Int, step: int, x: Lanes, mask: ir.Value) -> None:
        """The reverse."""
        args = x.value, self._places(address, step), _I32(self.item), mask
        name = f'llvm.masked.scatter.{self.suffix}.v{LANES}p0'
        self.intrinsic(name, ir.VoidType(), *args)

    def _places(self, address, step):
        kind = ir.VectorType(_I64, LANES)
        steps = ir.Constant(kind, [step * i for i in range(LANES)])
        places = self.builder.add(self._splat(address.value, kind), steps)
        return self.builder.inttoptr(places, ir.VectorType(_POINTER, LANES))

    def broadcast(self, address: Int) -> Lanes:
        """One number in all lanes."""
        x = self.builder.load(self._at(address), align=self.item, typ=self.real)
        return Lanes(self, self._splat(x, self.type))

    def _splat(self, x, kind):
        undefined = ir.Constant(kind, ir.Undefined)
        x = self.builder.insert_element(undefined, x, _I32(0))
        return self._shuffle(x, None, [0] * LANES)

    def _shuffle(self, x, y, order):
        y = ir.Constant(x.type, ir.Undefined) if y is None else y
        order = ir.Constant(ir.VectorType(_I32, LANES), order)
        return self.builder.shuffle_vector(x, y, order)

    def sum(self, x: Lanes) -> Lanes:
        """The sum over the lanes, in all lanes."""
        return Lanes(self, self._shuffle(self.sums([x]).value, None, [0] * LANES))

    def sums(self, rows: list[Lanes]) -> Lanes:
        """The sum over the lanes of the i-th row in lane i, for up to LANES rows.

        Pairs of rows are folded into one, half of each, until one is left.
        """
        rows = [x.value for x in rows]
        rows += [self.lanes(0).value] * (LANES - len(rows))
        width = LANES
        while width > 1:
            width //= 2
            half = len(rows) // 2
            # in every 2 * width lanes: the lower half of one row, then of the other
            lower = [
                row + block + lane
                for block in range(0, LANES, 2 * width)
                for row in (0, LANES)
                for lane in range(width)
            ]
            upper = [lane + width for lane in lower]
            rows = [
                self.builder.fadd(
                    self._shuffle(x, y, lower), self._shuffle(x, y, upper), flags=_FAST
                )
                for x, y in zip(rows[:half], rows[half:])
            ]
        return Lanes(self, rows[0])

    def prefetch(self, address: Int) -> None:
        read, into_l2, data = _I32(0), _I32(2), _I32(1)
        args = self._at(address), read, into_l2, data
        self.intrinsic('llvm.prefetch.p0', ir.VoidType(), *args)

    # Control flow

    @contextmanager
    def loop(self, count: Int | int, down: bool = False):
        """Repeat the body for 0 ... count - 1, or the other way round."""
        builder, count = self.builder, self.int(count)
        before = builder.block
        head = builder.append_basic_block('loop')
        body = builder.append_basic_block('body')
        after = builder.append_basic_block('after')
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_I64)
        index.add_incoming(_I64(0), before)
        builder.cbranch(builder.icmp_signed('<', index, count.value), body, after)
        builder.position_at_end(body)
        i = Int(self, index)
        yield count - 1 - i if down else i
        index.add_incoming(builder.add(index, _I64(1)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def atomic_add(self, address: Int, value: int, ordering: str = 'acq_rel') -> Int:
        """Add to a number that threads share; returns what it was.

        By default, a later thread sees what those before it have stored.
        """
        number = self._at(address)
        before = self.builder.atomic_rmw('add', number, _I64(value), ordering)
        return Int(self, before)

    @contextmanager
    def parallel_loop(self, counter: Int, count: Int):
        """Share 0 ... count - 1 with the other threads that run the kernel.

        Scheduled dynamically, by a counter in memory: a thread that is held up takes
        fewer of them and does not delay the others.
        """
        builder = self.builder
        head = builder.append_basic_block('next')
        body = builder.append_basic_block('task')
        after = builder.append_basic_block('done')
        builder.branch(head)
        builder.position_at_end(head)
        index = self.atomic_add(counter, 1, 'monotonic').value
        builder.cbranch(builder.icmp_signed('<', index, count.value), body, after)
        builder.position_at_end(body)
        yield Int(self, index)
        builder.branch(head)
        builder.position_at_end(after)

    def finish(self) -> str:
        """End the function; returns its module in LLVM's assembly."""
        with self.builder.goto_block(self.entry):
            before = self._flush_denormals() if self.has_mxcsr else None
            self.builder.branch(self._start)
        if before is not None:
            self._set_mode(before)
        self.builder.ret_void()
        return str(self.module)

    def _flush_denormals(self):
        """Make the thread take denormal numbers for zero; returns what to undo it with.

        States and gradients that fade come to them, and x86 is slow with each one.
        """
        before, during = (self.builder.alloca(_I32) for _ in range(2))
        self.intrinsic('llvm.x86.sse.stmxcsr', ir.VoidType(), before)
        mode = self.builder.load(before)
        self.builder.store(self.builder.or_(mode, _I32(_FLUSH_DENORMALS)), during)
        self._set_mode(during)
        return before

    def _set_mode(self, place):
        self.intrinsic('llvm.x86.sse.ldmxcsr', ir.VoidType(), place)
