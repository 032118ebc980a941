"""Random numbers that depend on names alone.

A seed is a keyed hash of the names of what it is for, such as (data set, image, perturbation), and feeds a
counter-based generator. So the order of work, the number of workers and the presence of other images cannot
change a single draw.
"""

import hashlib

import numpy as np

_KEY = b"medstress seeds v1"


def seed_of(*names: str) -> int:
    """A 63-bit seed from names; every name is length-prefixed, so ("ab", "c") differs from ("a", "bc").

    63 bits, because the seed is stored in a signed 64-bit column.
    """
    digest = hashlib.blake2b(digest_size=8, key=_KEY)
    for name in names:
        encoded = name.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little") >> 1


def generator(seed: int) -> np.random.Generator:
    """A Philox generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) keyed by `seed`."""
    return np.random.Generator(np.random.Philox(key=seed))
