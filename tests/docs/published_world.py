"""The world of the published benchmark: servers, files and five models, small, under the official names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from commands import path_with, started_at_once
from pages import ROOT
from published_files import (
    lacking_programs,
    make_small,
    write_embeddings,
    write_public_files,
    write_registry,
    write_repository,
)
from worlds import world

from borzoi_checkpoints import write_borzoi
from caduceus_checkpoints import write_caduceus
from hub_server import hub
from nt_checkpoints import write_nt
from s2f_checkpoints import write_enformer

WRITERS = {
    "EleutherAI/enformer-official-rough": write_enformer,
    "johahi/borzoi-replicate-0": write_borzoi,
    "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species": partial(write_nt, num_hidden_layers=29),
    "kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16": write_caduceus,
}
EVO2 = "arcinstitute/evo2_7b"
COMMIT = "0123456789" * 4
# what the server of commands does first: see `forking` and `evo2_shims`
SETUP = """\
import sys
from pathlib import Path

sys.path[:0] = [{tests!r}]
import enformer_pytorch, borzoi_pytorch, lightning_fabric, transformers.models.esm, huggingface_hub
import evo2_shims
from glm2x.download import registry

models = evo2_shims.shimmed()
registry.REGISTRY = Path({registry!r})
evo2_shims.write_checkpoint(Path({evo2!r}), models)
"""

MODELS = ("enformer", "borzoi", "nucleotide-transformer-v2", "caduceus-ph", "evo2")
STRATEGIES = ("reference", "personal", "reference-then-personal")
BASELINES = ("training-mean", "top-variant", "elastic-net", "ridge", "gblup")
CELLS = ("seen_gene/new_individual", "unseen_gene/new_individual")


# windows about as small as the models and the Tower allow
EPOCH = "--set training.epochs=1 --set training.batch_size=16"
_SMALL_S2F = rf"--set window=$([ $model = borzoi ] && echo 384 || echo 1280) {EPOCH}"
_SMALL_TOWER = r"--set window=$([ $model = evo2 -o $model = caduceus-ph ] && echo 512 || echo 900)"


@world(
    (r"https://github.com/StatBiomed/gLM2X-Tower", '"$PUBLISHED"'),
    (r"https://ftp.ebi.ac.uk/pub/\S*/", '"$FILES"'),
    (r"(glm2x baseline cohort)", rf"\1 --models {','.join(BASELINES)}"),  # PCs need 20,000 variants
    (r"sample\(unseen, 200\)", "sample(unseen, 2)"),
    (r"window=64000", "window=512"),
    (r"window=11000", "window=900"),
    (r"(train \$model-\$strategy) (--set cohort.*embeddings)", rf"\1 {_SMALL_TOWER} {EPOCH} \2"),
    (r"(train \$model-\$strategy) (--set cohort)", rf"\1 {_SMALL_S2F} \2"),
    (r"(glm2x embed run stores/.model)", r"\1 --workers 1"),  # here, where the stand-ins of Evo2 are
    (r"(glm2x embed plan --backbone caduceus-ph)", r"\1 --window 512"),
    (r"(glm2x train caduceus-ph-personal)", rf"\1 --set window=512 {EPOCH}"),
    (r"(glm2x embed import .*) --window 64000", r"\1 --window 512"),
)
def published(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Servers of the public files, a repository of the published ones, and a Hub with five small models."""
    if find_spec("evo2") is None:
        pytest.skip("needs the extra evo2 (Python 3.11 or 3.12)")
    if lacking := lacking_programs():
        pytest.skip(f"needs {' and '.join(lacking)}")
    own = folder.parent / "published-world"
    files, weights = own / "files", own / "weights"
    files.mkdir(parents=True)
    small = make_small()
    write_public_files(small, files)
    write_repository(small, own / "repository")
    write_embeddings(small, folder / "embeddings", window=512, width=4096)
    repositories = {name: (COMMIT, weights / name) for name in (*WRITERS, EVO2)}
    for name, write in WRITERS.items():
        write(weights / name)
    with _serving(files) as address, hub(repositories) as (endpoint, _):
        write_registry(own / "registry.yml", address)
        environment = {
            "HF_HOME": str(own / "huggingface"),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_OFFLINE": "",
            "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        setup = SETUP.format(
            tests=str(ROOT / "tests"), registry=str(own / "registry.yml"), evo2=str(weights / EVO2)
        )
        with started_at_once(own, setup, environment) as binaries:
            yield {
                **environment,
                "PATH": path_with(binaries),
                "PUBLISHED": (own / "repository").as_uri(),
                "FILES": address,
            }
    evaluation = folder / "evaluation"
    if (evaluation / "report.html").exists():  # otherwise a command of the page failed, and is named
        _require_rows(evaluation)


def _require_rows(evaluation: Path) -> None:
    """Require a row of each model and strategy, and of the baselines where genes are seen, in the report."""
    cells = json.loads((evaluation / "metrics.json").read_text())["cells"]
    models = {f"{model} {strategy}" for model in MODELS for strategy in STRATEGIES}
    assert models | set(BASELINES) <= set(cells[CELLS[0]])
    assert models <= set(cells[CELLS[1]])
    report = (evaluation / "report.html").read_text()
    unnamed = [row for row in models | set(BASELINES) if not re.search(rf">\s*{row}\s*<", report)]
    assert not unnamed


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve a folder's files on this machine."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
