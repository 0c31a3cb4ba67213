"""Published configurations and embeddings, by the commands that a user types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.config import load_config

CONFIG = """\
model_name: caduceus # a comment
partition_data_path: "../data/all partitions.csv"
consensus_root: "../data/consensus"
ref_genome_path: "../data/hs37d5.fa"
train_data: "individuals"
sample_allele: both
sampler: random
seq_len: 2000
batch_size: 8
num_epochs: 40
learning_rate: 1e-4
model_save_root: "./save_models/"
pretrained_model_path: ""
selected_gene: "../data/genes.txt"
train_sample: "../data/train.txt"
test_sample: "../data/test.txt"
load_model: true
target_name: log_TPM
preCalculatedEmbed_root: "../data/embeddings"
"""
WINDOW, WIDTH = 2_000, 256
Says = Callable[..., tuple[int, str, str]]


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Says:
    """Run a command, and return its exit code and what it printed on either stream."""

    def typed(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


@pytest.fixture
def there(tmp_path: Path, demo_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published folders, with lists of the demo's people and genes; one is unknown in each."""
    (tmp_path / "run/configurations").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "run/configurations/config.yml").write_text(CONFIG)
    lists = {
        "genes": (*demo_cohort.gene_ids[:2], "ENSG00000000001"),
        "train": (*demo_cohort.individuals[:3], "NA00001"),
        "test": demo_cohort.individuals[3:5],
    }
    for name, names in lists.items():
        (tmp_path / f"data/{name}.txt").write_text("\n".join(names) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_converting_prints_the_experiment_and_what_it_needs(there: Path, says: Says) -> None:
    code, out, err = says("config", "convert", "run/configurations/config.yml")
    assert code == 0
    (there / "printed.yml").write_text(out)
    config = load_config(there / "printed.yml")
    assert (config.backbone.name, config.strategy, config.window) == ("caduceus-ph", "personal", WINDOW)
    assert config.genes.personal == "data/genes.txt"
    assert "glm2x cohort build --expression '../data/all partitions.csv'" in err
    assert "glm2x embed import ../data/embeddings --cohort cohorts/published --backbone caduceus-ph" in err
    assert not (there / "split.json").exists()


def test_converting_with_a_cohort_writes_the_split(there: Path, says: Says, demo_cohort: Cohort) -> None:
    words = ["config", "convert", "run/configurations/config.yml", "--cohort", demo_cohort.folder]
    words += ["--out", "here/experiment.yml", "--embeddings", "stores/mine"]
    code, out, err = says(*words)
    assert (code, out) == (0, "")
    config = load_config("here/experiment.yml")
    assert (config.cohort, config.split) == (str(demo_cohort.folder), "here/split.json")
    assert config.embeddings == "stores/mine"
    made = Split.load(config.split)
    made.require_cohort(demo_cohort)
    assert (made.train, made.test) == (demo_cohort.individuals[:3], demo_cohort.individuals[3:5])
    assert "note: 1 of the 4 people of train_sample are not in the cohort: NA00001" in err
    assert "split: 3 training, 2 test people; 2 seen genes, 0 unseen; written to here/split.json" in err
    assert "written to here/experiment.yml" in err
    assert "cohort build" not in err
    before = (there / "here/experiment.yml").read_bytes()
    code, _, err = says(*words)
    assert code == 2
    assert "experiment.yml is there already" in err
    assert says(*words, "--force", "--split", "here/other.json")[0] == 0
    assert Split.load("here/other.json") == made
    assert (there / "here/experiment.yml").read_bytes() != before


def test_what_converting_refuses(there: Path, says: Says, demo_cohort: Cohort) -> None:
    path = there / "run/configurations/config.yml"
    code, _, err = says("config", "convert", path, "--split", "s.json")
    assert (code, "add --cohort COHORT" in err) == (2, True)
    (there / "data/test.txt").unlink()
    code, _, err = says("config", "convert", path, "--cohort", demo_cohort.folder, "--out", "e.yml")
    assert (code, f"{there}/data/test.txt" in err) == (1, True)
    assert not (there / "e.yml").exists()
    path.write_text(CONFIG.replace("caduceus", "Enformer"))
    code, _, err = says("config", "convert", path, "--embeddings", "store")
    assert (code, "reads no embeddings" in err) == (2, True)


def test_embeddings_go_in_and_come_out(there: Path, says: Says, demo_cohort: Cohort) -> None:
    genes, people = demo_cohort.gene_ids[:2], demo_cohort.individuals[:2]
    for name, names in (("genes", genes), ("people", people)):
        (there / f"{name}.txt").write_text("\n".join(names))
    for gene in genes:
        for person in people:
            for number in (1, 2):
                path = there / f"data/embeddings/{person}/{gene}_allele_{number}.pt"
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save(torch.full((1, WINDOW, WIDTH), 1.0, dtype=torch.bfloat16), path)
    (there / f"data/embeddings/{people[0]}/{genes[0]}_allele_1.pt").unlink()
    options = [
        "--cohort",
        demo_cohort.folder,
        "--backbone",
        "caduceus-ph",
        "--window",
        WINDOW,
        "--out",
        "store",
    ]
    code, _, err = says("embed", "import", "data/embeddings", *options)
    assert code == 0
    assert f"files missing: 3 (first: haplotype 1 of {people[0]} of {genes[0]})" in err
    assert "haplotypes that the store lacks: " in err
    assert "compared (largest difference: 0)" in err
    assert "2 genes and 2 individuals; 0 were stored already; written to store" in err
    code, _, err = says("embed", "import", "data/embeddings", *options)
    assert (code, "imported 0 haplotypes" in err) == (0, True)
    lists = ["--genes", "genes.txt", "--individuals", "people.txt"]
    wanted = ["--cohort", demo_cohort.folder, *lists]
    code, _, err = says("embed", "export", "store", "out", *wanted, "--reference")
    assert (code, "haplotypes; nothing was written" in err) == (1, True)
    (there / "genes.txt").write_text(genes[1])
    (there / "people.txt").write_text(people[1])
    code, _, err = says("embed", "export", "store", "out", *wanted)
    assert (code, "exported 2 files to out" in err) == (0, True)
    code, _, err = says("embed", "export", "store", "out", *wanted)
    assert "kept: 2 files that are there" in err
    assert "exported 0 files" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backbone", "enformer"], "the enformer backbone is trained whole"),
        (["--backbone", "evo3"], "did you mean evo2?"),
        (["--backbone", "evo2", "--window", "7"], "a window is an even, positive number"),
        (["--backbone", "evo2", "--token-bp", "1"], "--token-bp is not to be chosen for evo2"),
        (["--backbone", "huggingface"], "how long a token of huggingface is depends on the model"),
        (["--backbone", "huggingface", "--token-bp", "0"], "how long a token of huggingface is"),
    ],
)
def test_what_importing_refuses(
    there: Path, says: Says, demo_cohort: Cohort, words: list[str], message: str
) -> None:
    code, _, err = says("embed", "import", "data", "--cohort", demo_cohort.folder, "--out", "store", *words)
    assert (code, message in err) == (2, True), err
    assert not (there / "store").exists()
