"""The published configurations: read, refused where they mean nothing here, and turned into experiments."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from glm2x.cohort.cohort import Cohort
from glm2x.config import TrainConfig, load_config
from glm2x.errors import DataError, UsageError
from glm2x.published.config import KEYS, PublishedConfig, read_published
from glm2x.published.convert import cohort_command, convert, store_commands
from glm2x.published.lists import PRESET, locate, published_split

# what the ten files say: the values of one, and where the others differ
ENFORMER_INDIV = {
    "model_name": "Enformer",
    "partition_data_path": '"../data/all_partition_data.csv"',
    "consensus_root": '"../data/consensus"',
    "ref_genome_path": '"../data/hs37d5.fa"',
    "train_data": '"individuals"',
    "sample_allele": "both",
    "sampler": "random",
    "seq_len": "64000",
    "batch_size": "8",
    "num_epochs": "40",
    "learning_rate": "1e-6",
    "model_save_root": '"./save_models/"',
    "pretrained_model_path": '"./save_models/Enformer_22-03-01/last.pt"',
    "selected_gene": '"../data/random_genes.txt"',
    "train_sample": '"../data/train_50_indivs.txt"',
    "test_sample": '"../data/test_100_indivs.txt"',
    "load_model": "true",
    "target_name": "log_TPM",
    "preCalculatedEmbed_root": '""',
}
OTHERS = '"../data/new_random_train_50_indivs.txt"'
REF = {
    "train_data": '"reference"',
    "sample_allele": "NA",
    "selected_gene": '""',
    "pretrained_model_path": '""',
}
INDIV = {"pretrained_model_path": '""'}
GLM = {"learning_rate": "1e-4"}
NT = {**GLM, "model_name": "NT", "seq_len": "11000"}
CADUCEUS, EVO2 = {**GLM, "model_name": "caduceus"}, {**GLM, "model_name": "evo2"}
TEN = {
    "Enformer_indiv": {},
    "Enformer_ref": {**REF, "consensus_root": '"../consensus"'},
    "Borzoi_indiv": {**INDIV, "model_name": "Borzoi", "consensus_root": '"../data/consensus/"'},
    "Borzoi_ref": {**REF, "model_name": "Borzoi", "train_sample": OTHERS},
    "NT_indiv": {**INDIV, **NT},
    "NT_ref": {**REF, **NT},
    "caduceus_indiv": {**INDIV, **CADUCEUS},
    "caduceus_ref": {**REF, **CADUCEUS},
    "evo2_indiv": {**INDIV, **EVO2, "selected_gene": '"../data/test_genes.txt"'},
    "evo2_ref": {**REF, **EVO2, "train_sample": OTHERS},
}
# backbone, strategy, window, learning rate, head, pairwise term, out
WANTED = {
    "Enformer_indiv": ("enformer", "personal", 64_000, 1e-6, "attention-pool", "published"),
    "Enformer_ref": ("enformer", "reference", 64_000, 1e-6, "attention-pool", "none"),
    "Borzoi_indiv": ("borzoi", "personal", 64_000, 1e-6, "attention-pool", "published"),
    "Borzoi_ref": ("borzoi", "reference", 64_000, 1e-6, "attention-pool", "none"),
    "NT_indiv": ("nucleotide-transformer-v2", "personal", 11_000, 1e-4, "tower", "published"),
    "NT_ref": ("nucleotide-transformer-v2", "reference", 11_000, 1e-4, "tower", "none"),
    "caduceus_indiv": ("caduceus-ph", "personal", 64_000, 1e-4, "tower", "published"),
    "caduceus_ref": ("caduceus-ph", "reference", 64_000, 1e-4, "tower", "none"),
    "evo2_indiv": ("evo2", "personal", 64_000, 1e-4, "tower", "published"),
    "evo2_ref": ("evo2", "reference", 64_000, 1e-4, "tower", "none"),
}


def write(folder: Path, name: str = "Enformer_indiv", **changed: str | None) -> Path:
    """Write one of the ten in the published folders; None leaves a key out."""
    path = folder / f"run_models/configurations/config_{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = ENFORMER_INDIV | TEN[name] | changed
    path.write_text("".join(f"{key}: {value}\n" for key, value in values.items() if value is not None))
    return path


def lists(folder: Path, **names: str) -> None:
    """Write lists into the published data folder."""
    (folder / "data").mkdir(exist_ok=True)
    for name, text in names.items():
        (folder / f"data/{name}.txt").write_text(text)


def converted(folder: Path, config: PublishedConfig, **where: str) -> TrainConfig:
    path = folder / "experiment.yml"
    path.write_text(convert(config, **where).text)
    return load_config(path)


@pytest.mark.parametrize("name", TEN)
def test_each_of_the_ten_is_an_experiment(tmp_path: Path, name: str) -> None:
    assert set(ENFORMER_INDIV) == set(KEYS)
    made = converted(tmp_path, read_published(write(tmp_path, name)), cohort="c", split="s")
    backbone, strategy, window, rate, head, pairwise = WANTED[name]
    assert (made.backbone.name, made.strategy, made.window) == (backbone, strategy, window)
    assert (made.head.name, made.loss.kind, made.loss.pairwise) == (head, "smooth-l1", pairwise)
    assert (made.cohort, made.split, made.target, made.haplotypes) == ("c", "s", "log", "both")
    assert made.embeddings == (f"stores/{backbone}" if head == "tower" else None)
    training = made.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (40, 8, rate)
    assert (training.learning_rate_rule, training.sampler, training.batch) == (
        "times-devices",
        "random",
        "people",
    )
    assert (training.optimizer, training.schedule, training.precision) == ("adam", "published", "32-true")


def test_the_list_of_genes_is_that_of_the_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists(tmp_path, random_genes="ENSG00000167766\n")
    path = tmp_path / "data/random_genes.txt"
    made = converted(tmp_path, read_published(write(tmp_path, "caduceus_indiv")))
    assert (made.genes.personal, made.genes.reference) == (str(path), "all")
    reference = write(tmp_path, "caduceus_ref", selected_gene='"../data/random_genes.txt"')
    made = converted(tmp_path, read_published(reference))
    assert (made.genes.personal, made.genes.reference) == ("all", str(path))
    assert converted(tmp_path, read_published(write(tmp_path, "caduceus_ref"))).genes.reference == "all"
    monkeypatch.chdir(tmp_path)  # a path in the working folder is written from there
    assert converted(tmp_path, read_published(write(tmp_path))).genes.personal == "data/random_genes.txt"


def test_a_published_checkpoint_becomes_that_of_the_reference_run(tmp_path: Path) -> None:
    with_one = read_published(write(tmp_path))
    made, reference = convert(with_one), converted(tmp_path, read_published(write(tmp_path, "Enformer_ref")))
    personal = converted(tmp_path, with_one)
    assert personal.start_from == f"{reference.out}/checkpoint" == "save_models/enformer-reference/checkpoint"
    assert personal.out == "save_models/enformer-reference-then-personal"
    (said,) = [note for note in made.notes if "pretrained_model_path" in note]
    assert "./save_models/Enformer_22-03-01/last.pt is a checkpoint of the published code" in said
    assert "glm2x config show enformer-reference-then-personal" in said
    without = converted(tmp_path, read_published(write(tmp_path, pretrained_model_path='""')))
    assert (without.start_from, without.out) == (None, "save_models/enformer-personal")


def test_one_haplotype_is_trained_without_pairs(tmp_path: Path) -> None:
    config = read_published(write(tmp_path, sample_allele="2"))
    made = converted(tmp_path, config)
    assert (made.haplotypes, made.loss.pairwise) == (2, "none")
    assert any("without the pairwise term" in note for note in convert(config).notes)
    stops = convert(read_published(write(tmp_path, "evo2_indiv", sample_allele="1"))).notes
    assert any("stops at one haplotype" in note for note in stops)


def test_the_gene_sampler_stays_one(tmp_path: Path) -> None:
    assert converted(tmp_path, read_published(write(tmp_path, sampler="gene"))).training.sampler == "gene"


def test_names_that_begin_with_a_language_models(tmp_path: Path) -> None:
    assert read_published(write(tmp_path, "NT_ref", model_name="NT_layer20")).backbone == WANTED["NT_ref"][0]


def test_values_cannot_leave_their_line(tmp_path: Path) -> None:
    """Whatever a file holds, what is made of it has the keys that it should."""
    nasty = """'a: b # "c" {d}, [e]'"""
    path = write(tmp_path, "evo2_indiv", selected_gene=nasty, consensus_root=nasty, model_save_root=nasty)
    made = converted(tmp_path, read_published(path), cohort="co: hort", split="null", embeddings="# store")
    assert made.genes.personal == """a: b # "c" {d}, [e]"""
    assert (made.cohort, made.split, made.embeddings) == ("co: hort", "null", "# store")
    assert made.out == """a: b # "c" {d}, [e]/evo2-personal"""
    for text in ('"a\\nb"', '"a\\u2028b"', "[a]", "{a: b}"):
        with pytest.raises(UsageError, match="the published consensus_root is no plain value"):
            read_published(write(tmp_path, consensus_root=text))


@pytest.mark.parametrize(
    ("changed", "message", "detail"),
    [
        ({"sample_alele": "both"}, "unknown key 'sample_alele'", "did you mean sample_allele?"),
        ({"seq_len": None, "sampler": None}, "2 keys of a published configuration", "no sampler, seq_len"),
        ({"model_name": "Enfromer"}, "the published model_name has no", "did you mean Enformer?"),
        ({"train_data": "both"}, "the published train_data has no", "individuals or reference"),
        ({"sample_allele": "NA"}, "the published sample_allele has no", "both or 1 or 2"),
        ({"train_data": "reference"}, "the published sample_allele has no", "NA or 1 or 2"),
        ({"sampler": "weighted"}, "the published sampler has no", "random or gene"),
        ({"target_name": "TPM"}, "the published target_name has no", "log_TPM"),
        ({"seq_len": "64k"}, "the published seq_len has no", "a whole number above 0"),
        ({"seq_len": "-2"}, "the published seq_len has no", "a whole number above 0"),
        ({"seq_len": "64001"}, "the published seq_len has no", "an even number"),
        ({"batch_size": "0"}, "the published batch_size has no", "a whole number above 0"),
        ({"num_epochs": '""'}, "the published num_epochs has no", "a whole number above 0"),
        ({"learning_rate": "fast"}, "the published learning_rate has no", "a number above 0"),
        ({"learning_rate": "0"}, "the published learning_rate has no", "a number above 0"),
        ({"learning_rate": "inf"}, "the published learning_rate has no", "a number above 0"),
        ({"learning_rate": "nan"}, "the published learning_rate has no", "a number above 0"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    tmp_path: Path, changed: dict[str, str | None], message: str, detail: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_published(write(tmp_path, **changed))
    assert detail in str(caught.value)
    assert "config_Enformer_indiv.yml" in str(caught.value)


def test_what_is_no_published_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    for text in ("a: [", "&a [" * 5_000, "!!python/object/apply:os.system ['exit 1']\n- a: ["):
        path.write_text(text)
        with pytest.raises(UsageError, match="is not YAML"):
            read_published(path)
    for text in ("- model_name", "", "!!python/object/apply:os.system ['exit 1']"):
        path.write_text(text)
        with pytest.raises(UsageError, match="holds no keys"):
            read_published(path)
    path.write_text(write(tmp_path).read_text() + "seq_len: 11000\n")
    with pytest.raises(UsageError, match="the key seq_len stands twice"):
        read_published(path)
    with pytest.raises(DataError, match="does not exist"):
        read_published(tmp_path / "none.yml")


def test_keys_that_have_no_say_may_be_missing_and_are_named(tmp_path: Path) -> None:
    config = read_published(write(tmp_path, load_model=None, preCalculatedEmbed_root="null"))
    assert config.notes == ("the key load_model is missing: taken as empty",)
    assert config.embeddings == ""


def test_paths_are_looked_for_where_the_published_scripts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_published(write(tmp_path))
    lists(tmp_path, train_50_indivs="a\n")
    place = locate(config, "../data/train_50_indivs.txt")
    assert str(place) == str(tmp_path / "data/train_50_indivs.txt")
    (tmp_path / "here/run").mkdir(parents=True)
    lists(tmp_path / "here", train_50_indivs="b\n")
    monkeypatch.chdir(tmp_path / "here/run")  # the working folder is looked at first
    assert str(locate(config, config.train)) == str(tmp_path / "here/data/train_50_indivs.txt")
    nowhere = locate(config, "../data/none.txt")
    assert (nowhere.found, str(nowhere)) == (None, "../data/none.txt")
    wanted = (tmp_path / "here/data", tmp_path / "data", tmp_path / "run_models/data")
    assert nowhere.looked_at == ", ".join(f"{folder}/none.txt" for folder in wanted)
    assert convert(config).notes[0] == (
        "selected_gene ../data/random_genes.txt does not exist; looked at "
        + ", ".join(f"{folder}/random_genes.txt" for folder in wanted)
    )


def test_the_commands_that_make_what_it_needs(tmp_path: Path) -> None:
    config = read_published(write(tmp_path, "evo2_indiv", preCalculatedEmbed_root='"embeddings of evo2"'))
    words = shlex.split(cohort_command(config, "co hort"))
    assert words[:5] == ["glm2x", "cohort", "build", "--expression", "../data/all_partition_data.csv"]
    assert words[5:7] == ["--reference", "../data/hs37d5.fa"]
    assert words[8].startswith("../data/vcf_files/GEUVADIS.chr{chrom}.PH1PH2_465.")
    assert words[9:] == ["--out", "co hort"]
    empty = cohort_command(replace(config, partition="", reference=""))
    assert "--expression PARTITION.csv --reference REFERENCE.fa " in empty
    assert [shlex.split(command) for command in store_commands(config, "c", "s")] == [
        [
            *("glm2x", "embed", "import", "embeddings of evo2", "--cohort", "c", "--backbone", "evo2"),
            *("--window", "64000", "--out", "s"),
        ]
    ]
    assert '"embeddings of evo2": the store: glm2x embed import\n' in convert(config).text
    computed = replace(config, embeddings="")
    plan, run = store_commands(computed, "c", "s t")
    assert plan == "glm2x embed plan --cohort c --backbone evo2 --window 64000 --out 's t'"
    assert run == "glm2x embed run 's t'"
    assert 'preCalculatedEmbed_root "": the store: glm2x embed plan, embed run\n' in convert(computed).text
    padded = read_published(write(tmp_path, "NT_ref", preCalculatedEmbed_root="embeddings"))
    assert store_commands(padded, "c", "s")[0].startswith("glm2x embed plan --cohort c")
    assert '"embeddings": the store: glm2x embed plan, embed run\n' in convert(padded).text
    assert any("which embed import refuses" in note for note in convert(padded).notes)


def test_what_the_published_tower_reads_of_no_base_is_said(tmp_path: Path) -> None:
    for name in TEN:
        notes = convert(read_published(write(tmp_path, name))).notes
        assert sum("padding to 2,000 rows" in note for note in notes) == name.startswith("NT")


# the split of the lists


def lists_of(folder: Path, cohort: Cohort) -> PublishedConfig:
    lists(
        folder,
        train_50_indivs="\n".join([*cohort.individuals[:3], "NA00001"]),
        test_100_indivs="\n".join(cohort.individuals[3:5]),
        random_genes="\n".join([*cohort.gene_ids[:2], "ENSG00000000001"]),
    )
    return read_published(write(folder))


def test_the_split_that_the_lists_imply(tmp_path: Path, demo_cohort: Cohort) -> None:
    made, notes = published_split(lists_of(tmp_path, demo_cohort), demo_cohort)
    people = demo_cohort.individuals
    assert (made.train, made.validation, made.test) == (people[:3], (), people[3:5])
    assert (made.seen, made.unseen, made.reference_validation) == (demo_cohort.gene_ids[:2], (), ())
    assert (made.preset, made.window) == (PRESET, 64_000)
    assert "1 of the 4 people of train_sample are not in the cohort: NA00001" in notes
    assert "2 of the 3 genes of selected_gene are in the cohort" in notes


def test_genes_of_a_partition_table_keep_their_sides(tmp_path: Path, demo_cohort: Cohort) -> None:
    config = lists_of(tmp_path, demo_cohort)
    opened = Cohort.open(demo_cohort.folder)
    opened.gene_sides = ("unseen", None, *["seen"] * (len(opened.genes) - 2))
    made, notes = published_split(config, opened)
    assert (made.unseen, made.seen) == (opened.gene_ids[:1], opened.gene_ids[2:])
    assert list(made.excluded_genes) == [opened.gene_ids[1]]
    assert any(note.startswith("genes are on the sides of the cohort's own table") for note in notes)
    assert any(note.startswith("1 of 1 unseen genes have a 64,000 bp window that overlaps") for note in notes)


def test_empty_lists(tmp_path: Path, demo_cohort: Cohort) -> None:
    config = lists_of(tmp_path, demo_cohort)
    made, notes = published_split(replace(config, train="", genes=""), demo_cohort)
    measured = np.isfinite(demo_cohort.expression).any(axis=0).sum()
    assert len(made.train) == measured - 2
    assert made.seen == demo_cohort.gene_ids
    assert (
        f"train_sample is empty: all {measured - 2} people who are not in test_sample are trained on" in notes
    )
    made, notes = published_split(replace(config, test=""), demo_cohort)
    assert made.test == ()
    assert "test_sample is empty: nobody is tested" in notes


def test_lists_of_others(tmp_path: Path, demo_cohort: Cohort) -> None:
    config = lists_of(tmp_path, demo_cohort)
    lists(tmp_path, random_genes="ENSG00000000001\n")
    made, notes = published_split(config, demo_cohort)
    assert made.seen == demo_cohort.gene_ids
    assert "none of the 1 genes of selected_gene is in the cohort: all its genes are taken" in notes
    lists(tmp_path, test_100_indivs="NA00001\nNA00002\n")
    with pytest.raises(UsageError, match="nobody of test_sample is in the cohort with expression") as caught:
        published_split(config, demo_cohort)
    assert "2 people such as NA00001" in str(caught.value)
    lists(tmp_path, test_100_indivs=f"{demo_cohort.individuals[0]}\n")
    with pytest.raises(UsageError, match="an individual stands twice in the split"):
        published_split(config, demo_cohort)
    (tmp_path / "data/train_50_indivs.txt").unlink()
    with pytest.raises(DataError, match="the list of train_sample does not exist") as missing:
        published_split(config, demo_cohort)
    assert f"{tmp_path}/data/train_50_indivs.txt" in str(missing.value)


def test_people_without_expression_are_counted(tmp_path: Path, demo_cohort: Cohort) -> None:
    config = lists_of(tmp_path, demo_cohort)
    opened = Cohort.open(demo_cohort.folder)
    opened.expression = opened.expression.copy()
    opened.expression[:, 1] = np.nan
    made, notes = published_split(config, opened)
    assert made.train == (opened.individuals[0], opened.individuals[2])
    assert f"1 of the 4 people of train_sample have no expression: {opened.individuals[1]}" in notes


def test_the_yaml_says_what_takes_the_place_of_what(tmp_path: Path) -> None:
    text = convert(read_published(write(tmp_path, "evo2_ref"))).text
    comments = [line for line in text.splitlines() if line.startswith("#")]
    for key in ("partition_data_path", "ref_genome_path", "consensus_root", "load_model", "train_sample"):
        assert sum(key in line for line in comments) == 1, key
    assert '"../data/hs37d5.fa"' in text
    assert yaml.safe_load(text)["genes"] == {"reference": "all"}
