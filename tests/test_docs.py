"""What the documents print is executed here."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)


def commands(page: Path) -> list[list[str]]:
    lines = re.findall(r"^    (embodied-gen .*)$", page.read_text(), flags=re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.name)
def test_the_pages_python_runs(page):
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), {"__name__": "example"})


def test_the_training_pages_commands_run_as_they_stand(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    ran = 0
    for words in commands(ROOT / "docs" / "training.md"):
        result = subprocess.run(
            [sys.executable, "-m", "embodied_gen", *words[1:]], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        ran += 1
    assert ran == 4
    assert (tmp_path / "runs/reach/eval.json").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_that_a_page_names_exists(page):
    for name in re.findall(r"\b((?:configs|benchmarks|docs)/[\w/.-]+\.\w+)", page.read_text()):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_tables_are_those_of_the_results():
    check = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr or "run: python benchmarks/tables.py"


SCRIPTS = [p for p in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in p.read_text()]
BENCHMARKS = [p for p in SCRIPTS if p.name != "tables.py"]


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda p: p.name)
def test_benchmarks_explain_themselves(script):
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "benchmarks/results" in shown.stdout
