"""Vector instructions that numba lacks, such as comparing 64 bytes at once, written as LLVM code.

LLVM lowers them to what the machine has (AVX-512, AVX2, SSE2, NEON). Every function takes the address of 64 readable
bytes, at any alignment; bit i of a mask answers for byte i.
"""

# mypy: disable-error-code="untyped-decorator"

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 64
_BYTE, _BIT, _WORD = ir.IntType(8), ir.IntType(1), ir.IntType(64)
_VECTOR = ir.VectorType(_BYTE, LANES)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


def _vector(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, _VECTOR.as_pointer()), align=1)


def _between(builder: ir.IRBuilder, vector: Any, low: str, high: str) -> Any:
    above = builder.sub(vector, _constant(ord(low)))
    return builder.icmp_unsigned("<=", above, _constant(ord(high) - ord(low)))


def _letter(builder: ir.IRBuilder, vector: Any) -> Any:
    return _between(builder, builder.or_(vector, _constant(0x20)), "a", "z")


def _letter_or_digit(builder: ir.IRBuilder, vector: Any) -> Any:
    return builder.or_(_letter(builder, vector), _between(builder, vector, "0", "9"))


def _word(builder: ir.IRBuilder, vector: Any) -> Any:
    underscore = builder.icmp_unsigned("==", vector, _constant(ord("_")))
    return builder.or_(_letter_or_digit(builder, vector), underscore)


def _mask_of(test: Callable[[ir.IRBuilder, Any], Any]) -> Callable[..., Any]:
    """The typing function and code generator of a mask: what `intrinsic` wants."""

    def typed(_context: Any, _address: Any) -> Any:
        def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(test(builder, _vector(builder, arguments[0])), _WORD)

        return types.uint64(types.uint64), generate

    return typed


word_mask = intrinsic(_mask_of(_word))  # [A-Za-z0-9_]
alnum_mask = intrinsic(_mask_of(_letter_or_digit))  # [A-Za-z0-9]
high_mask = intrinsic(_mask_of(lambda builder, v: builder.icmp_signed("<", v, _constant(0))))  # outside ASCII
# 0x80 to 0xBF, the second and later bytes of a character, are the 64 smallest signed bytes.
continuation_mask = intrinsic(_mask_of(lambda builder, v: builder.icmp_signed("<", v, _constant(-64))))
newline_mask = intrinsic(_mask_of(lambda builder, v: builder.icmp_unsigned("==", v, _constant(10))))
less_than_sign_mask = intrinsic(_mask_of(lambda builder, v: builder.icmp_unsigned("==", v, _constant(ord("<")))))


@intrinsic
def equal_mask(_context: Any, _left: Any, _right: Any) -> Any:
    """Return where the 64 bytes at two addresses agree."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        left, right = (_vector(builder, address) for address in arguments)
        return builder.bitcast(builder.icmp_unsigned("==", left, right), _WORD)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def copy_64(_context: Any, _to: Any, _source: Any) -> Any:
    """Copy 64 bytes to the first address from the second."""

    def generate(target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        builder.store(_vector(builder, arguments[1]), builder.inttoptr(arguments[0], _VECTOR.as_pointer()), align=1)
        return target.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def copy_64_lowered(_context: Any, _to: Any, _source: Any) -> Any:
    """Copy 64 bytes to the first address from the second, with A to Z as a to z."""

    def generate(target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        vector = _vector(builder, arguments[1])
        lowered = builder.or_(vector, _constant(0x20))
        chosen = builder.select(_between(builder, vector, "A", "Z"), lowered, vector)
        builder.store(chosen, builder.inttoptr(arguments[0], _VECTOR.as_pointer()), align=1)
        return target.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def load_byte(_context: Any, _address: Any) -> Any:
    """Return the byte at an address."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _BYTE.as_pointer()))

    return types.uint8(types.uint64), generate


@intrinsic
def load_word(_context: Any, _address: Any) -> Any:
    """Return the 8 bytes at an address as one number, the first byte lowest."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()), align=1)

    return types.uint64(types.uint64), generate


@intrinsic
def trailing_zeros(_context: Any, _value: Any) -> Any:
    """Return the number of the lowest set bit of a mask that is not 0."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(_BIT, 1))

    return types.int64(types.uint64), generate


@intrinsic
def ones(_context: Any, _value: Any) -> Any:
    """Return how many bits of a mask are set."""

    def generate(_target: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate
