"""Standard error while htslib reads: htslib is heard in our message alone, and everybody else as before."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from glm2x.genome.vcf.htslib import complaint, standard_error_aside

PROGRAM = """
import logging, os, sys
from glm2x.genome.vcf.htslib import complaint, standard_error_aside
print("before", file=sys.stderr)
with standard_error_aside():
    os.write(2, b"[W::hts] a warning\\n[E::vcf_parse] no such thing\\n")
    print("meanwhile", file=sys.stderr)
    caught = logging.StreamHandler()
    with standard_error_aside():
        os.write(2, b"noise of a reader inside a reader\\n")
    said = complaint()
os.write(2, b"afterwards\\n")
print("said:", said, file=sys.stderr)
caught.stream.write("caught\\n")
print(sys.stderr is sys.__stderr__, complaint() == "", file=sys.stderr)
"""


def run(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", program], text=True, capture_output=True, check=False, **options
    )


def test_only_what_htslib_says_is_kept_back() -> None:
    done = run(PROGRAM)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "before",
        "meanwhile",
        "afterwards",
        "said: no such thing",
        "caught",
        "True True",
    ]


@pytest.mark.parametrize(
    "without", ["os.close(2)", "sys.stderr = None", "sys.stderr = io.StringIO()", "sys.stderr = object()"]
)
def test_without_a_standard_error(without: str) -> None:
    program = f"""
import io, os, sys
{without}
from glm2x.genome.vcf.htslib import standard_error_aside
stream = sys.stderr
with standard_error_aside():
    pass
print(sys.stderr is stream)
"""
    assert run(program).stdout == "True\n"


def test_a_stream_put_in_its_place_meanwhile_stays() -> None:
    program = """
import io, sys
from glm2x.genome.vcf.htslib import standard_error_aside
with standard_error_aside():
    sys.stderr = mine = io.StringIO()
print(sys.stderr is mine)
"""
    assert run(program).stdout == "True\n"


def test_many_threads_leave_it_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def read() -> None:
        for _ in range(50):
            with standard_error_aside():
                logging.getLogger("x").debug("nothing")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    import os

    os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"
    assert complaint() == ""


def test_the_command_line_without_standard_error(tmp_path: Path) -> None:
    done = subprocess.run(f"{sys.executable} -m glm2x cohort check {tmp_path} 2>&-", shell=True, check=False)
    assert done.returncode == 1
