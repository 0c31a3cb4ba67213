"""Consensus FASTA: two whole genomes a person, byte for byte what ``bcftools consensus`` writes.

For each contig the published way runs ``samtools faidx REF CONTIG | bcftools consensus -s SAMPLE
-H {1,2}pIu -i 'type="snp"' VCF`` once for every haplotype, and so reads the variants twice for every person.
Here they are read once for all. Who carries what goes, one bit each, to a scratch file without a name; then,
for every haplotype, its letters are put into the contig's text, the text is written, and the letters are
taken out again.

Memory holds one contig's text (1.02 bytes a base), 9 bytes a variant of all contigs, and 64 MB of bits.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.genome.consensus.file import append
from glm2x.genome.consensus.plan import FILES_AT_ONCE, ConsensusPlan, allele_file
from glm2x.genome.consensus.records import Carriers, CarrierWriter, ContigRecords, NarrowRecordError
from glm2x.genome.consensus.text import ContigText, text_size
from glm2x.genome.counts import Counts
from glm2x.genome.reference.indexed import Reference
from glm2x.genome.vcf.file import open_variants, read_records, row_order, unsorted
from glm2x.genome.vcf.lines import refuse_uneven_lines
from glm2x.progress import Progress, silent


def write_consensus(
    reference: Reference, plan: ConsensusPlan, out: Path, *, progress: Progress = silent
) -> Counts:
    """Write the missing files of a plan; an interrupted run leaves whole files only.

    Parameters
    ----------
    reference
        The genome of the plan.
    plan
        From `plan_consensus`.
    out
        The folder to write to.
    progress
        As `glm2x.console.progress`.

    Returns
    -------
    What became of records and genotypes, of the people written.

    Raises
    ------
    DataError
        A variant file is damaged or unsorted, a carried record's REF differs from the reference, a
        SNP has a carried allele without letters, or the disk is full.
    """
    counts = Counts()
    if not plan.missing:
        return counts
    out.mkdir(parents=True, exist_ok=True)
    texts = _Texts(reference, plan)
    with tempfile.TemporaryFile(dir=out) as spill:
        carriers = _read(plan, texts, spill, counts, progress)
        with progress("writing", len(plan.missing) * len(plan.contigs), "contigs") as bar:
            for first in range(0, len(plan.missing), FILES_AT_ONCE):
                batch = plan.missing[first : first + FILES_AT_ONCE]
                _write_batch(plan, batch, carriers, texts, out, bar)
    return counts


class _Texts:
    """The text of one contig at a time; the one last used is kept."""

    def __init__(self, reference: Reference, plan: ConsensusPlan) -> None:
        self._reference = reference
        self._kept: ContigText | None = None
        sizes = [text_size(contig, reference.lengths[contig]) for contig in plan.contigs]
        self._place = dict(zip(plan.contigs, accumulate(sizes, initial=0), strict=False))

    def of(self, contig: str) -> ContigText:
        if self._kept is None or self._kept.contig != contig:
            self._kept = None  # two long contigs need not be in memory together
            self._kept = ContigText(self._reference, contig, self._place[contig])
        return self._kept


def _people(plan: ConsensusPlan) -> list[str]:
    """Return whose files are missing, each once: the people read."""
    return list(dict.fromkeys(individual for individual, _ in plan.missing))


def _read(
    plan: ConsensusPlan, texts: _Texts, spill: IO[bytes], counts: Counts, progress: Progress
) -> dict[str, Carriers]:
    """Read every variant file once; return who carries what of each contig."""
    by_file: dict[tuple[Path, bool], dict[str, str]] = {}
    for contig, source in plan.sources.items():
        by_file.setdefault((source.path, source.among_others), {})[source.contig] = contig
    people = _people(plan)
    carriers: dict[str, Carriers] = {}
    with progress("reading variants", len(plan.sources), "contigs") as bar:
        for (path, among_others), names in by_file.items():
            refuse_uneven_lines(path)
            here = Counts()
            try:
                found = _read_file(path, names, among_others, people, False, texts, spill, here)
            except NarrowRecordError:
                here = Counts()
                found = _read_file(path, names, among_others, people, True, texts, spill, here)
            carriers |= found
            for fate, count in here.counts.items():
                counts.add(fate, here.first[fate], count)
            bar.advance(len(names), path.name)
    return carriers


def _read_file(
    path: Path,
    names: dict[str, str],
    among_others: bool,
    individuals: Sequence[str],
    everybody: bool,
    texts: _Texts,
    spill: IO[bytes],
    counts: Counts,
) -> dict[str, Carriers]:
    """Read the contigs `names` (by the file's name, the reference's) of one file, in one pass."""
    reader = open_variants(path, None if everybody else individuals)
    order = row_order(reader.samples, individuals, path)
    all_read = len(reader.samples) == len(open_variants(path, None).samples)
    found: dict[str, Carriers] = {}
    contig, last = "", -1
    records: ContigRecords | None = None
    for record in _regions(reader, path, names) if among_others else read_records(reader, path):
        if contig != record.CHROM:
            if records is not None:
                found[names[contig]] = records.finish()
                records = None
            contig, last = record.CHROM, -1
            if names.get(contig) in found:
                raise unsorted(path, record, "the contig came before")
            if contig in names:
                records = ContigRecords(
                    texts.of(names[contig]),
                    order=order,
                    individuals=individuals,
                    everybody=all_read,
                    out=CarrierWriter(spill, 2 * len(individuals)),
                    counts=counts,
                    path=path,
                )
        if record.start < last:
            raise unsorted(path, record, f"after position {last + 1:,}")
        last = record.start
        if records is not None:
            records.add(record)
    if records is not None:
        found[names[contig]] = records.finish()
    absent = [theirs for theirs, ours in names.items() if ours not in found]
    if absent:
        raise DataError(
            "the index of a variant file names a contig of which the file has no record",
            where=str(path),
            got=", ".join(absent),
            do=f"the index is another file's: bcftools index --force {path.name}",
        )
    return found


def _regions(reader: Any, path: Path, names: Iterable[str]) -> Iterator[Any]:
    """Yield the records of some contigs: by the index where there is one, else with all the others."""
    indexed = any(Path(f"{path}.{kind}").is_file() for kind in ("tbi", "csi"))
    if not indexed or any(":" in name for name in names):  # which a region would be read as an interval
        yield from read_records(reader, path)
        return
    for name in names:
        yield from read_records(reader(name), path)


def _write_batch(
    plan: ConsensusPlan,
    batch: Sequence[tuple[str, int]],
    carriers: dict[str, Carriers],
    texts: _Texts,
    out: Path,
    bar: Any,
) -> None:
    """Write some of the missing files, contig after contig; none is there before all are whole."""
    with ExitStack() as stack:
        files: list[IO[bytes]] = []
        for individual, haplotype in batch:
            # what is there is among the missing only where it is to be replaced
            aside = stack.enter_context(write_aside(allele_file(out, individual, haplotype), force=True))
            files.append(stack.enter_context(aside.open("wb", buffering=0)))
        # the disk takes what the page cache has of a file while the next is made; write_aside then finds
        # nothing left to flush
        flusher = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        flushed: list[Future[None]] = []
        place = {individual: i for i, individual in enumerate(_people(plan))}
        rows = [2 * place[individual] + haplotype - 1 for individual, haplotype in batch]
        for contig in plan.contigs:
            text = texts.of(contig)
            for file, _ in zip(files, _haplotypes(text, carriers.get(contig), rows), strict=True):
                _write_all(file, text)
                flushed.append(flusher.submit(os.fsync, file.fileno()))
                bar.advance(1, contig)
        for done in flushed:
            done.result()


def _haplotypes(text: ContigText, carriers: Carriers | None, rows: Sequence[int]) -> Iterator[None]:
    """Make `text` each row's haplotype in turn; it is the reference again in the end."""
    if carriers is None:
        for _ in rows:
            yield
        return
    before = text.bytes[carriers.offset]
    for columns in carriers.of(rows):
        places = carriers.offset[columns]
        text.bytes[places] = carriers.letter[columns]
        try:
            yield
        finally:
            text.bytes[places] = before[columns]


def _write_all(file: IO[bytes], text: ContigText) -> None:
    append(file, text.bytes)
