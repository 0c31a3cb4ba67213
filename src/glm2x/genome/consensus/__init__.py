"""The published FASTA files of whole genomes, byte-equal to bcftools."""
