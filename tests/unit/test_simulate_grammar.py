"""The shared grammar: places of motifs by hand, and what variants do against scanning whole haplotypes."""

from __future__ import annotations

import numpy as np
import pytest

from glm2x.genome.genes import Gene
from glm2x.genome.sequence import encode, reverse_complement
from glm2x.simulate.genotypes import Contig
from glm2x.simulate.grammar import DECAY, MOTIF_LENGTH, MOTIFS, Grammar, apply_grammar, no_grammar, score

GENE = Gene("g", "1", 100, "+")
WINDOW = 200
GRAMMAR = Grammar(("AACCGT", "GATTAC"), np.array([2.0, -3.0]))


def contig(text: str, variants: list[tuple[int, str, str]], haplotypes: list[list[int]]) -> Contig:
    position = np.array([v[0] for v in variants], dtype=np.int64)
    carried = np.array(haplotypes, dtype=np.bool_) if variants else np.zeros((0, 2), dtype=np.bool_)
    refs, alts = tuple(v[1] for v in variants), tuple(v[2] for v in variants)
    return Contig("1", encode(text), (GENE,), position, refs, alts, carried)


def put(motif: str, at: int) -> str:
    """Return 300 bases of nothing with a motif in it."""
    return "T" * at + motif + "T" * (300 - at - len(motif))


def at(distance: int) -> float:
    return float(np.exp(-distance / DECAY))


def test_a_motif_counts_on_either_strand_the_more_the_nearer() -> None:
    forward = apply_grammar(GRAMMAR, contig(put("AACCGT", 130), [], []), GENE, WINDOW)
    assert forward.reference == pytest.approx(2 * at(30))
    backward = apply_grammar(GRAMMAR, contig(put("ACGGTT", 90), [], []), GENE, WINDOW)
    assert backward.reference == pytest.approx(2 * at(10))
    other = apply_grammar(GRAMMAR, contig(put("GATTAC", 100), [], []), GENE, WINDOW)
    assert other.reference == pytest.approx(-3)


@pytest.mark.parametrize(("place", "counts"), [(194, True), (195, False), (0, True)])
def test_a_motif_counts_where_it_is_wholly_in_the_window(place: int, counts: bool) -> None:
    found = apply_grammar(GRAMMAR, contig(put("AACCGT", place), [], []), GENE, WINDOW)
    assert (found.reference != 0) == counts


def test_variants_make_and_break_motifs() -> None:
    # 50: breaks the first; 102: makes the second; 150: nothing
    text = list(put("AACCGT", 48))
    text[100:106] = "GAATAC"
    variants = [(50, "C", "T"), (102, "A", "T"), (150, "T", "C")]
    found = apply_grammar(
        GRAMMAR, contig("".join(text), variants, [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0]]), GENE, WINDOW
    )
    broken, made = -2 * at(52), -3.0
    assert found.effects == pytest.approx([broken, made, 0])
    assert found.haplotypes == pytest.approx([broken, made, broken + made, 0])


def test_two_variants_in_one_motif_do_not_add_up() -> None:
    text = put("AATTGT", 98)  # both T have to become C
    variants = [(100, "T", "C"), (101, "T", "C")]
    found = apply_grammar(GRAMMAR, contig(text, variants, [[1, 0, 1, 0], [0, 1, 1, 0]]), GENE, WINDOW)
    assert found.effects == pytest.approx([0, 0])
    assert found.haplotypes == pytest.approx([0, 0, 2 * at(2), 0])


def test_the_outermost_letters_of_one_motif() -> None:
    text = put("CACCGG", 98)  # the first and the last have to change
    variants = [(98, "C", "A"), (103, "G", "T")]
    found = apply_grammar(GRAMMAR, contig(text, variants, [[1, 0, 1, 0], [0, 1, 1, 0]]), GENE, WINDOW)
    assert found.haplotypes == pytest.approx([0, 0, 2 * at(2), 0])


@pytest.mark.parametrize(("place", "counts"), [(194, True), (195, False)])
def test_a_motif_that_is_made_counts_wholly_in_the_window(place: int, counts: bool) -> None:
    made = contig(put("AATCGT", place), [(place + 2, "T", "C")], [[1, 0]])
    found = apply_grammar(GRAMMAR, made, GENE, WINDOW)
    assert found.effects == pytest.approx([2 * at(place - 100) if counts else 0])


def test_an_insertion_and_a_deletion() -> None:
    # AAC + CGT with two letters too many, and AACC + T with one too few
    text = list(put("AACAACGT", 110))
    text[140:145] = "AACCT"
    variants = [(112, "CAA", "C"), (143, "C", "CG")]
    found = apply_grammar(GRAMMAR, contig("".join(text), variants, [[1, 0], [0, 1]]), GENE, WINDOW)
    assert found.haplotypes == pytest.approx([2 * at(10), 2 * at(40)])


def test_neighbours_of_all_kinds_are_scanned_as_each_haplotype_has_them() -> None:
    rng = np.random.default_rng(0)
    grammar = Grammar.draw(rng)
    table = grammar.table()
    tried = 0
    for _ in range(40):
        codes = rng.integers(0, 4, 300, dtype=np.uint8)
        letters = "".join("ACGT"[c] for c in codes)
        places = np.flatnonzero(rng.random(180) < 0.2) + 10
        variants: list[tuple[int, str, str]] = []
        for place in places.tolist():
            if variants and place < variants[-1][0] + len(variants[-1][1]) + 1:
                continue
            kind = rng.integers(3)
            if kind == 0:
                variants.append((place, letters[place], "ACGT"[(codes[place] + 1) % 4]))
            elif kind == 1:
                variants.append((place, letters[place], letters[place] + "AC"))
            else:
                variants.append((place, letters[place : place + 3], letters[place]))
        made = contig(letters, variants, (rng.random((len(variants), 10)) < 0.5).tolist())
        found = apply_grammar(grammar, made, GENE, WINDOW)
        for h in range(10):
            bases, coordinates = [], []
            here = 0
            for (place, ref, alt), has in zip(variants, made.haplotypes[:, h], strict=True):
                allele = alt if has else ref
                bases.append(letters[here:place] + allele)
                coordinates += list(range(here, place))
                coordinates += [place + min(i, len(ref) - 1) for i in range(len(allele))]
                here = place + len(ref)
            bases.append(letters[here:])
            coordinates += list(range(here, 300))
            whole = np.array(coordinates)
            weight = np.where((whole >= 0) & (whole <= 200 - 6), np.exp(-np.abs(whole - 100) / DECAY), 0.0)
            expected = score(table, encode("".join(bases)), weight) - found.reference
            assert found.haplotypes[h] == pytest.approx(expected, abs=1e-9)
            tried += abs(expected) > 0
    assert tried > 100


def test_motifs_that_are_drawn_are_different_words() -> None:
    for seed in range(20):
        grammar = Grammar.draw(np.random.default_rng(seed))
        words = set(grammar.motifs) | {
            "".join("ACGT"[c] for c in reverse_complement(encode(m))) for m in grammar.motifs
        }
        palindromes = sum(
            encode(m).tolist() == reverse_complement(encode(m)).tolist() for m in grammar.motifs
        )
        assert len(words) == 2 * MOTIFS - palindromes
        assert {len(m) for m in grammar.motifs} == {MOTIF_LENGTH}
        assert (np.abs(grammar.weights) >= 0.5).all()
        assert (grammar.table() != 0).sum() == len(words)


def test_no_grammar_is_nothing() -> None:
    made = contig(put("AACCGT", 48), [(50, "C", "T")], [[1, 0]])
    found = no_grammar(made, GENE, WINDOW)
    assert found.reference == 0
    assert found.effects.tolist() == [0]
    assert found.haplotypes.tolist() == [0, 0]
    nothing = apply_grammar(GRAMMAR.times(0.0), made, GENE, WINDOW)
    assert nothing.haplotypes.tolist() == [0, 0]
