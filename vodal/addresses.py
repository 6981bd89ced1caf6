"""Memory by its address, and C functions by theirs, for compiled code.

Compiled code of numba sees arrays; what it gets from C libraries are addresses.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import raw_memcpy
from numba.extending import intrinsic

__all__ = ["caller", "copy", "float_writer", "leading_zeros", "reader", "writer"]

_BYTE, _WIDEST = 8, 64

_LLVM = {types.int64: ir.IntType(64), types.int32: ir.IntType(32), types.float64: ir.DoubleType()}


def caller(result: Any, *arguments: Any) -> Any:
    """Make what calls a C function by its address, which is known only as the process runs.

    Parameters
    ----------
    result, *arguments
        Numba's types: int32, int64 or, of the result, float64.

    Returns
    -------
    callable
        For compiled code: takes the address and a tuple of 64-bit numbers.
    """

    @intrinsic
    def call(_context: Any, _address: Any, _values: Any) -> Any:
        several: Any = types.UniTuple
        signature = result(types.int64, several(types.int64, len(arguments)))

        def generate(_target: Any, builder: Any, _signature: Any, given: Any) -> Any:
            kind = ir.FunctionType(_LLVM[result], [_LLVM[item] for item in arguments])
            function = builder.inttoptr(given[0], kind.as_pointer())
            values = [builder.extract_value(given[1], n) for n in range(len(arguments))]
            narrow = [
                builder.trunc(value, _LLVM[item]) if item is types.int32 else value
                for value, item in zip(values, arguments, strict=True)
            ]
            return builder.call(function, narrow)

        return signature, generate

    return call


def reader(bits: int) -> Any:
    """Make what reads a whole number at an address, wherever it lies, as a signed one."""

    @intrinsic
    def read(_context: Any, _address: Any) -> Any:
        def generate(_target: Any, builder: Any, _signature: Any, given: Any) -> Any:
            pointer = builder.inttoptr(given[0], ir.IntType(bits).as_pointer())
            number = builder.load(pointer, align=1)
            return number if bits == _WIDEST else builder.sext(number, ir.IntType(_WIDEST))

        return types.int64(types.int64), generate

    return read


def writer(bits: int, *, native: bool = False) -> Any:
    """Make what writes a whole number at an address, the highest byte first or as here."""

    @intrinsic
    def write(_context: Any, _address: Any, _number: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
            kind = ir.IntType(bits)
            number = given[1] if bits == _WIDEST else builder.trunc(given[1], kind)
            if bits > _BYTE and not native:
                number = builder.bswap(number)
            builder.store(number, builder.inttoptr(given[0], kind.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return write


def float_writer(bits: int, *, native: bool = False) -> Any:
    """Make what writes a float, rounded to so many bits, the highest byte first or as here."""

    @intrinsic
    def write(_context: Any, _address: Any, _number: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
            kind = ir.IntType(bits)
            number = given[1] if bits == _WIDEST else builder.fptrunc(given[1], ir.FloatType())
            number = builder.bitcast(number, kind)
            if not native:
                number = builder.bswap(number)
            builder.store(number, builder.inttoptr(given[0], kind.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.float64), generate

    return write


@intrinsic
def _leading_zeros(_context: Any, _number: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.ctlz(given[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


leading_zeros: Any = _leading_zeros
"""Counts the zero bits above the highest one of 64."""


@intrinsic
def _copy(_context: Any, _target: Any, _source: Any, _size: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        byte = ir.IntType(_BYTE).as_pointer()
        target, source = (builder.inttoptr(address, byte) for address in given[:2])
        generate_copy: Any = raw_memcpy
        one = ir.Constant(ir.IntType(_WIDEST), 1)
        generate_copy(builder, target, source, given[2], one, 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


copy: Any = _copy
"""Copies bytes: to an address, from an address, how many."""
