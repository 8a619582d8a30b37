import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsc.core.errors import InputError
from simsc.core.stacking import (
    bracketed,
    canonical,
    layer_kinds,
    lettered,
    same_stacking,
    stacking_faults,
)


@st.composite
def sequences(draw):
    """Return a periodic close-packed sequence."""
    steps = draw(st.lists(st.sampled_from([1, -1]), min_size=2, max_size=14).filter(lambda steps: sum(steps) % 3 == 0))
    return lettered(steps[:-1])


def test_the_papers_sequences():
    assert bracketed("ABCABCACBACB") == "(A)BCABC(A)CBACB"
    assert layer_kinds("ABCABCABABAB").count("h") == 6
    assert [(fault.kind, fault.layers) for fault in stacking_faults("ABCABCABABAB")] == [("hcp", (7, 8, 9, 10, 11, 0))]


# Hirth and Lothe, Theory of Dislocations, 2nd edition, chapter 10: fcc with a layer taken out, a layer put in, turned.
@pytest.mark.parametrize(
    ("sequence", "kinds"),
    [
        ("ABCABCABC", []),
        ("ABABAB", ["hcp"]),
        ("ABCABABCABC", ["intrinsic"]),  # ABCAB|ABC: C is missing
        ("ABCABACABC", ["extrinsic"]),  # an A between B and C
        ("ABCABCBACB", ["twin", "twin"]),
        ("ABCABCABABABC", ["hcp"]),
    ],
)
def test_faults_by_the_book(sequence, kinds):
    faults = stacking_faults(sequence, periodic=False)
    if sequence == "ABCABCBACB":
        kinds = kinds[:1]  # the second boundary is where the crystal would repeat
    if sequence == "ABABAB":
        assert faults[0].layers == (1, 2, 3, 4)
    assert [fault.kind for fault in faults] == kinds


@given(sequences())
def test_each_hcp_like_layer_is_in_one_fault(sequence):
    kinds = layer_kinds(sequence)
    layers = [layer for fault in stacking_faults(sequence) for layer in fault.layers]
    assert len(layers) == len(set(layers))
    assert {k for k, kind in enumerate(kinds) if kind == "h"} <= set(layers)
    extra = [kinds[layer] for layer in layers].count("c")
    assert extra == sum(fault.kind == "extrinsic" for fault in stacking_faults(sequence))


@given(sequences(), st.integers(0, 13), st.permutations("ABC"), st.booleans())
def test_faults_and_names_do_not_see_start_letters_or_direction(sequence, start, letters, turned):
    other = sequence[start % len(sequence) :] + sequence[: start % len(sequence)]
    other = other.translate(str.maketrans("ABC", "".join(letters)))[:: -1 if turned else 1]
    assert canonical(other) == canonical(sequence)
    assert same_stacking(other, sequence)
    kinds = [sorted(fault.kind for fault in stacking_faults(s)) for s in (sequence, other)]
    chain = (
        "hchch" in layer_kinds(sequence) * 3
    )  # which of overlapping pairs is the extrinsic fault is a matter of order
    assert chain or kinds[0] == kinds[1]


@given(sequences(), sequences())
def test_one_name_means_one_crystal(one, other):
    """Names differ for crystals that differ; a shift from A to B within a period makes longer names of one crystal."""
    assert (canonical(one) == canonical(other)) <= same_stacking(one, other)
    assert same_stacking(canonical(one), one)


def test_names_of_all_short_stackings():
    """There are 1, 1, 1, 1, 2 and 3 close-packed polytypes of 2 … 7 layers (Iglesias, Z. Krist. 221 (2006) 237)."""
    names: dict[int, set[str]] = {}
    for n in range(2, 8):
        for letters in itertools.product("ABC", repeat=n):
            if all(letters[k - 1] != letters[k] for k in range(n)):
                name = canonical("".join(letters))
                names.setdefault(len(name), set()).add(name)
    assert {n: len(found) for n, found in names.items()} == {2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 3}


def test_finite_sequences():
    assert layer_kinds("ABA", periodic=False) == "-h-"
    assert layer_kinds("AB", periodic=False) == "--"
    assert layer_kinds("A", periodic=False) == "-"
    assert bracketed("ABCBA", periodic=False) == "AB(C)BA"
    assert canonical("ABCBA", periodic=False) == canonical("CBABC", periodic=False)
    assert canonical("ABCA", periodic=False) != canonical("ABCB", periodic=False)
    assert stacking_faults("AB", periodic=False) == []


@pytest.mark.parametrize("sequence", ["AAB", "ABCD", "A", ""])
def test_what_is_not_close_packed_is_refused(sequence):
    for function in (canonical, stacking_faults):
        with pytest.raises(InputError):
            function(sequence)
