"""MinHash signatures over shingles of words, with a bounded workspace.

Broder (1997), "On the resemblance and containment of documents", with permutations of the form a x + b mod 2^32, a
odd, over the upper half of a 64-bit shingle hash. 32 bits were chosen by measurement: 112 permutations of a shingle
take 3.4 ns where 64-bit arithmetic takes 6.1 ns, and a signature costs less than finding the words. What it costs
in collisions: two different shingles are taken for one with probability 2^-32, so two documents of n shingles each
gain about n^2 / 2^32 shared shingles by chance, a Jaccard similarity of n / 2^33: 1e-4 at a million words. A band
needs several minima to agree, each fully (32 bits).
"""

import numpy as np
from numba import njit

from curation.kernels.hashing import mix64, mix64_array
from curation.kernels.tokens import WORD

BLOCK = 512  # shingles whose hashes are held at a time: 2 kB, so they stay in the first-level cache
_LANES = 64  # a last block is filled up to a multiple of this many shingles, so that every step is a vector's
_ROLL = np.uint64(0x9E3779B97F4A7C15)
_HIGH = np.uint64(32)


def permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors (odd) and summands of `count` permutations x -> a x + b mod 2^32: two uint32[count]."""
    start = mix64_array(np.array([seed % 2**64], np.uint64))[0]
    drawn = mix64_array(start + np.arange(1, count + 1, dtype=np.uint64) * _ROLL)
    return (drawn >> _HIGH).astype(np.uint32) | np.uint32(1), drawn.astype(np.uint32)


@njit(nogil=True, cache=True)
def _lower_minima(shingles, factors, summands, minima):
    for p in range(len(factors)):
        a, b, least = factors[p], summands[p], minima[p]
        for s in range(len(shingles)):
            least = min(least, np.uint32(np.uint32(a * shingles[s]) + b))
        minima[p] = least


@njit(nogil=True, cache=True)
def _shingle_hashes(words, ngram, sums, shingles):
    """The upper half of the mixed hash of every run of `ngram` words: shingles uint32[len(words) - ngram + 1]."""
    count = len(words) - ngram + 1
    # a polynomial in the words of the run
    for s in range(count):
        sums[s] = words[s] * _ROLL + words[s + 1] if ngram > 1 else words[s]
    for k in range(2, ngram):
        for s in range(count):
            sums[s] = sums[s] * _ROLL + words[s + k]
    for s in range(count):
        shingles[s] = np.uint32(mix64(sums[s]) >> _HIGH)


@njit(nogil=True, cache=True)
def signature_kernel(hashes, kinds, offsets, ngram, factors, summands, rows, bands_out, low_out, valid):
    """Minima of every document, as band hashes and low halves.

    hashes uint64[t], kinds uint8[t], offsets int64[docs + 1] as the tokeniser makes them; ngram words make a shingle;
    factors, summands uint32[bands * rows]. Filled: bands_out uint64[docs, bands], each a hash of the full minima of
    the band; low_out uint16[docs, bands * rows], low 16 bits of the minima; valid bool[docs], False (and zeros) where
    a document has fewer words than a shingle. Workspace: 20 x BLOCK + 16 x ngram bytes, whatever the document.
    """
    documents, bands = bands_out.shape
    room = BLOCK + ngram - 1
    words = np.empty(room + 1, np.uint64)  # and one more, where tokens that are no words are written
    sums, shingles = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint32)
    minima = np.empty(len(factors), np.uint32)
    for d in range(documents):
        minima[:] = np.uint32(0xFFFFFFFF)
        held = np.int64(0)
        enough = False
        t, stop = offsets[d], offsets[d + 1]
        while t < stop:
            last = min(stop, t + room - held)
            while t < last:
                words[np.uint64(held)] = hashes[np.uint64(t)]
                held += np.int64(kinds[np.uint64(t)] & WORD)
                t += 1
            if held < ngram or (held < room and t < stop):
                continue
            count = held - ngram + 1
            _shingle_hashes(words[:held], ngram, sums, shingles)
            full = min(BLOCK, -(-count // _LANES) * _LANES)
            shingles[count:full] = shingles[count - 1]
            _lower_minima(shingles[:full], factors, summands, minima)
            enough = True
            for k in range(ngram - 1):
                words[k] = words[count + k]
            held = ngram - 1
        valid[d] = enough
        if not enough:
            bands_out[d, :] = 0
            low_out[d, :] = 0
            continue
        for band in range(bands):
            h = np.uint64(band + 1)
            for p in range(band * rows, (band + 1) * rows):
                h = mix64(h * _ROLL + np.uint64(minima[p]))
            bands_out[d, band] = h
        for p in range(len(minima)):
            low_out[d, p] = np.uint16(minima[p] & np.uint32(0xFFFF))


@njit(nogil=True, cache=True)
def equal_minima(signatures, left, right, out):
    """out[i] = equal elements of signatures[left[i]] and signatures[right[i]] (uint16[docs, permutations])."""
    for i in range(len(left)):
        a, b = left[i], right[i]
        equal = np.uint16(0)
        for p in range(signatures.shape[1]):
            equal += np.uint16(signatures[a, p] == signatures[b, p])
        out[i] = equal


@njit(nogil=True, cache=True)
def count_words(kinds, offsets, out):
    """out[d] = word tokens of document d; kinds uint8[t], offsets int64[docs + 1], out int64[docs]."""
    for d in range(len(out)):
        words = 0
        for t in range(offsets[d], offsets[d + 1]):
            words += kinds[t] & WORD
        out[d] = words


@njit(nogil=True, cache=True)
def sequence_kernel(hashes, kinds, offsets, seed_a, seed_b, out, has_words):
    """Two 64-bit hashes of the sequence of words of every document: out uint64[docs, 2], has_words bool[docs]."""
    k1, k2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
    turn, back = np.uint64(31), np.uint64(33)
    for d in range(len(offsets) - 1):
        a, b = seed_a, seed_b
        words = np.uint64(0)
        for t in range(offsets[d], offsets[d + 1]):
            # whether a word comes next cannot be predicted, so there is no branch on it
            word = (kinds[np.uint64(t)] & WORD) != 0
            next_a, next_b = (a ^ hashes[np.uint64(t)]) * k1, (b ^ hashes[np.uint64(t)]) * k2
            a = (next_a << turn) | (next_a >> back) if word else a
            b = (next_b << back) | (next_b >> turn) if word else b
            words += np.uint64(word)
        out[d, 0], out[d, 1] = mix64(a ^ words), mix64(b + words)
        has_words[d] = words > np.uint64(0)
