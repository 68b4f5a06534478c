"""Sixty-four bytes at a time: comparisons as bit masks and unaligned loads, which NumPy and plain loops cannot say.

They are written as vector instructions of LLVM, so the compiler lowers them to whatever the processor has (AVX-512,
AVX2, SSE2, NEON); results are the same everywhere. Callers see to it that what is read is there: nothing is checked.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 64  # bytes of a mask
_I8, _I64 = ir.IntType(8), ir.IntType(64)
_VECTOR = ir.VectorType(_I8, LANES)


def load(context, builder, array_type, array, place, kind):
    """The value of LLVM type `kind` at element `place` of a one-dimensional array of bytes, at any alignment."""
    data = context.make_array(array_type)(context, builder, array).data
    value = builder.load(builder.bitcast(builder.gep(data, [place]), kind.as_pointer()))
    value.align = 1
    return value


def _every_lane(builder, byte):
    """The byte in every lane of a vector."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), lanes)


def is_bytes(array):
    """Is a type of Numba that of an array uint8[n] without gaps?"""
    return isinstance(array, types.Array) and array.dtype == types.uint8 and array.ndim == 1 and array.layout == "C"


@intrinsic
def differing(typingctx, array, i, j):
    """uint64: bit k is set where array[i + k] != array[j + k], for k below 64; array uint8[n], i and j int64."""
    if not is_bytes(array):
        return None

    def generate(context, builder, signature, arguments):
        values, first, second = arguments
        left = load(context, builder, signature.args[0], values, first, _VECTOR)
        right = load(context, builder, signature.args[0], values, second, _VECTOR)
        return builder.bitcast(builder.icmp_unsigned("!=", left, right), _I64)

    return types.uint64(array, types.int64, types.int64), generate


@intrinsic
def equal_to(typingctx, array, i, value):
    """uint64: bit k is set where array[i + k] == value, for k below 64; array uint8[n], i int64, value uint8."""
    if not is_bytes(array):
        return None

    def generate(context, builder, signature, arguments):
        values, first, wanted = arguments
        left = load(context, builder, signature.args[0], values, first, _VECTOR)
        return builder.bitcast(builder.icmp_unsigned("==", left, _every_lane(builder, wanted)), _I64)

    return types.uint64(array, types.int64, types.uint8), generate


@intrinsic
def having(typingctx, array, i, bits):
    """uint64: bit k is set where array[i + k] has one of the bits, for k below 64; arguments as `equal_to`."""
    if not is_bytes(array):
        return None

    def generate(context, builder, signature, arguments):
        values, first, wanted = arguments
        left = load(context, builder, signature.args[0], values, first, _VECTOR)
        shared = builder.and_(left, _every_lane(builder, wanted))
        return builder.bitcast(builder.icmp_unsigned("!=", shared, ir.Constant(_VECTOR, [0] * LANES)), _I64)

    return types.uint64(array, types.int64, types.uint8), generate


@intrinsic
def word_at(typingctx, array, i):
    """uint64: the eight bytes array[i:i + 8], the first lowest; array uint8[n], i int64."""
    if not is_bytes(array):
        return None

    def generate(context, builder, signature, arguments):
        values, first = arguments
        return load(context, builder, signature.args[0], values, first, _I64)

    return types.uint64(array, types.int64), generate


@intrinsic
def lowest_bit(typingctx, mask):
    """int64: the number of the lowest set bit of a uint64; 64 where none is."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], cgutils.false_bit)

    return types.int64(types.uint64), generate


@intrinsic
def bit_count(typingctx, mask):
    """int64: the set bits of a uint64."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate
