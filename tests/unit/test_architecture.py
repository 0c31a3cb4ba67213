"""The shape of the project: imports go one way, light modules stay light, files stay short."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/glm2x"

FOUNDATION = {
    "errors",
    "bgzf",
    "claims",
    "files",
    "leases",
    "place",
    "parquet",
    "text",
    "config",
    "console",
    "prediction_metadata",
    "prediction_pieces",
    "predictions",
    "progress",
    "provenance",
    "reml",
    "seal",
    "sidecar",
    "storage",
    "url",
}
# each room, and the rooms it may know; the foundation may be known by all but has an order of its own
MAY_IMPORT = {
    "genome": set(),
    "cohort": {"genome"},
    "backbones": set(),
    "heads": set(),
    "embeddings": {"cohort", "genome", "backbones"},
    "published": {"cohort", "genome", "embeddings"},
    "simulate": {"cohort", "genome"},
    "training": {"cohort", "genome", "backbones", "heads", "embeddings"},
    "baselines": {"cohort", "genome"},
    "evaluation": {"cohort", "genome"},
    "work": {"cohort", "genome", "backbones", "embeddings", "training", "baselines"},
    "report": set(),
    "study": {"cohort", "genome"},
    "download": set(),
    "demo": {"cli"},
    "commands": {
        *(
            "genome",
            "cohort",
            "backbones",
            "embeddings",
            "published",
            "simulate",
            "training",
            "baselines",
            "evaluation",
            "report",
            "study",
            "download",
            "work",
            "commands",
        ),
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}
FOUNDATION_MAY_IMPORT = {
    "storage": {"errors"},
    "url": {"storage"},
    "place": {"errors", "storage", "url"},
    "leases": {"errors", "storage", "url"},
    "claims": {"leases", "place", "url"},
    "errors": set(),
    "files": {"errors", "place", "seal", "url"},
    "seal": {"errors", "place"},
    "bgzf": {"errors"},
    "text": {"errors", "files"},
    "config": {"errors", "files"},
    "console": {"errors"},
    "progress": set(),
    "provenance": {"console", "errors", "files", "place", "sidecar", "url"},
    "reml": set(),
    "parquet": {"errors"},
    "sidecar": {"errors", "place", "seal", "url"},
    "prediction_metadata": {"errors", "config"},
    "prediction_pieces": {"files", "parquet", "place", "prediction_metadata", "predictions"},
    "predictions": {"errors", "files", "config", "parquet", "place", "prediction_metadata"},
}
TORCH_ROOMS = {"backbones", "heads", "embeddings", "training"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        assert imported(path) == set()
        return
    own = {name.split(".")[1] for name in imported(path) if name.startswith("glm2x.")} - {here, "__version__"}
    if here in FOUNDATION:
        assert own <= FOUNDATION_MAY_IMPORT[here]
    else:
        assert own <= MAY_IMPORT[here] | FOUNDATION
    if here not in TORCH_ROOMS:
        assert not {
            n for n in imported(path) if n.split(".")[0] in ("torch", "lightning_fabric", "safetensors")
        }


def test_only_one_file_knows_lightning() -> None:
    knowing = {p.name for p in modules() for n in imported(p) if n.startswith("lightning")}
    typing_only = {"run.py", "loop.py"}  # name its type, and import it nowhere
    assert knowing - typing_only == {"fabric.py"}


def test_files_are_short() -> None:
    lengths = {
        str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in ROOT.rglob("*.py") if _ours(p)
    }
    assert lengths
    assert {name: n for name, n in lengths.items() if n > 500} == {}
    package = sorted(n for name, n in lengths.items() if name.startswith("src"))
    assert package[len(package) // 2] <= 200


def _ours(path: Path) -> bool:
    return path.relative_to(ROOT).parts[0] in ("src", "tests", "benchmarks")


def test_only_one_file_knows_obstore() -> None:
    assert {p.name for p in modules() for n in imported(p) if n.startswith("obstore")} == {"storage.py"}


HEAVY = (
    *("torch", "sklearn", "scipy", "matplotlib", "polars", "numpy", "pysam", "cyvcf2"),
    *("transformers", "enformer_pytorch", "borzoi_pytorch", "alphagenome_pt", "huggingface_hub", "obstore"),
)


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["train", "--help"], set()),
        (["simulate", "--help"], set()),
        (["embed", "plan", "--help"], set()),
        (["demo", "--help"], set()),
        (["plan", "--help"], set()),
        (["evaluate", "--help"], set()),
        (["backbones"], set()),
        (["backbones", "enformer"], set()),
        (["config", "show"], set()),
    ],
)
def test_asking_for_help_imports_nothing_heavy(words: list[str], allowed: set[str]) -> None:
    program = (
        "import sys, json; from glm2x.cli import run\n"
        f"code = run({words!r})\n"
        f"print('LOADED ' + json.dumps([code, [n for n in {HEAVY!r} if n in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    code, loaded = json.loads(done.stdout.splitlines()[-1].removeprefix("LOADED "))
    assert code == 0
    assert set(loaded) <= allowed


def test_what_reads_files_runs_no_code_from_them() -> None:
    """No pickle, and nothing that unpickles, anywhere in the package."""
    for path in modules():
        names = {name.split(".")[0] for name in imported(path)}
        assert not names & {"pickle", "dill", "shelve", "marshal"}, path
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        loads = [call for call in ast.walk(ast.parse(text)) if _is_torch_load(call)]
        assert len(loads) == text.count("torch.load"), path
        if path.parts[-2:] == ("backbones", "weights.py"):
            assert len(loads) == 1
            assert ast.unparse(next(k.value for k in loads[0].keywords if k.arg == "weights_only")) == "True"
        else:
            assert not loads, path
        assert "yaml.load(" not in text, path


def _is_torch_load(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
