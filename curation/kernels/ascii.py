"""What ASCII bytes are to the tokeniser, 64 at a time.

A table would be looked up byte by byte; the ranges below are compared for a whole vector at once. Tests hold them to
the table that the tokeniser's classes give.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from curation.kernels.vectors import LANES, is_bytes, load

# what a byte is: one bit each
LOWER, CAPITAL, FIGURE, MARK, BREAK, QUOTE, WIDE = 1, 2, 4, 8, 16, 32, 128
LETTERS = LOWER | CAPITAL
IN_WORDS = LETTERS | FIGURE

_RANGES = (
    (LOWER, ((0x61, 26),)),
    (CAPITAL, ((0x41, 26),)),
    (FIGURE, ((0x30, 10),)),
    # all that is printed but letters, figures, the apostrophe and what markdown is made of: " # * _ ` | ~
    (MARK, ((0x21, 1), (0x24, 3), (0x28, 2), (0x2B, 5), (0x3A, 7), (0x5B, 4), (0x7B, 1), (0x7D, 1))),
    (BREAK, ((0x0A, 4),)),
    (QUOTE, ((0x27, 1),)),
    (WIDE, ((0x80, 128),)),
)
_VECTOR = ir.VectorType(ir.IntType(8), LANES)
_ZERO = ir.Constant(_VECTOR, [0] * LANES)


def _every(byte):
    return ir.Constant(_VECTOR, [byte] * LANES)


def _within(builder, values, first, count):
    """Which of the values are one of `count` from `first` on."""
    if count == 1:
        return builder.icmp_unsigned("==", values, _every(first))
    return builder.icmp_unsigned("<", builder.sub(values, _every(first)), _every(count))


def _has(builder, values, bits):
    return builder.icmp_unsigned("!=", builder.and_(values, _every(bits)), _ZERO)


def _store(context, builder, array_type, array, place, value):
    data = context.make_array(array_type)(context, builder, array).data
    builder.store(value, builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())).align = 1


@intrinsic
def classify(typingctx, data, i, codes, folded, j):
    """uint64: bit k is set where data[i + k] is no ASCII; writes what each of data[i : i + 64] is to codes[j : j + 64]
    and its lower case to folded[j : j + 64]. Arrays are uint8[n], i and j int64.
    """
    if not all(map(is_bytes, (data, codes, folded))):
        return None

    def generate(context, builder, signature, arguments):
        source, first, into_codes, into_folded, place = arguments
        values = load(context, builder, signature.args[0], source, first, _VECTOR)
        found = _ZERO
        for bit, ranges in _RANGES:
            one = None
            for start, count in ranges:
                inside = _within(builder, values, start, count)
                one = inside if one is None else builder.or_(one, inside)
            found = builder.or_(found, builder.select(one, _every(bit), _ZERO))
        _store(context, builder, signature.args[2], into_codes, place, found)
        lowered = builder.or_(values, builder.select(_within(builder, values, 0x41, 26), _every(0x20), _ZERO))
        _store(context, builder, signature.args[3], into_folded, place, lowered)
        return builder.bitcast(_has(builder, values, 0x80), ir.IntType(64))

    return types.uint64(data, types.int64, codes, folded, types.int64), generate


@intrinsic
def group(typingctx, codes, folded, groups, j):
    """Write the groups of 64 bytes to groups[j : j + 64], by their codes and those of their neighbours.

    A mark is a group of its own value, a letter or a figure is 1, an apostrophe too if a letter or a figure stands
    before it and a letter behind it, and everything else is 0. Arrays are uint8[n], j int64.
    """
    if not all(map(is_bytes, (codes, folded, groups))):
        return None

    def generate(context, builder, signature, arguments):
        held, lowered, into, place = arguments

        def codes_at(step):
            at = builder.add(place, ir.Constant(ir.IntType(64), step))
            return load(context, builder, signature.args[0], held, at, _VECTOR)

        code = codes_at(0)
        between = builder.and_(_has(builder, codes_at(-1), IN_WORDS), _has(builder, codes_at(1), LETTERS))
        word = builder.or_(_has(builder, code, IN_WORDS), builder.and_(_has(builder, code, QUOTE), between))
        plain = builder.select(word, _every(1), _ZERO)
        marks = load(context, builder, signature.args[1], lowered, place, _VECTOR)
        _store(
            context, builder, signature.args[2], into, place, builder.select(_has(builder, code, MARK), marks, plain)
        )
        return context.get_dummy_value()

    return types.void(codes, folded, groups, types.int64), generate
