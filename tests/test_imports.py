"""Imports run one way, and what is promised by name exists."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("embodied_gen", "planners", "envs")

# A part of embodied_gen imports itself and parts of earlier lines.
LAYERS = (
    "rounding",
    "softmax",
    "yaml_file",
    "draws context config well_known_text outlines assignment",
    "nets graphs boxes",
    "events",
    "crf",
    "heads",
    "encoder reduce",
    "image_encoder place_encoder",
    "predictor slots",
    "statistics pictures provenance demos",
    "slots_process control training report imitation forecasting",
    "rollouts images",
    "evaluate video",
    "blocks",
    "experiment detection",
    "grounds",
    "commands",
    "__main__",
)
LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer.split()}

# Imported inside a function, to start without what only some callers need.
LATE = {("embodied_gen.slots", "embodied_gen.slots_process")}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(tree):
    """Full names of all that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def module_of(name):
    """The module of ours that a name lies in, or None for a stranger's."""
    while name not in FILES and "." in name:
        name = name.rpartition(".")[0]
    return name if name in FILES else None


def at_the_top(tree):
    """The code that runs when a module is imported: without the bodies of functions."""
    keep = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return ast.Module(body=keep, type_ignores=[])


TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
OURS = {name: {m for i in imported(tree) if (m := module_of(i)) and m != name} for name, tree in TREES.items()}
STRANGERS = {
    name: {i.partition(".")[0] for i in imported(tree) if module_of(i) is None} - set(sys.stdlib_module_names)
    for name, tree in TREES.items()
}


def part_of(name):
    """The part of embodied_gen that a module belongs to; the package itself, which holds its version, is none."""
    names = name.split(".")
    return names[1] if len(names) > 1 else None


def modules(package):
    return [name for name in FILES if name == package or name.startswith(package + ".")]


def test_every_part_has_a_place():
    parts = {part_of(name) for name in modules("embodied_gen")} - {None}
    assert parts == set(LAYER), "say in LAYERS where a new part belongs"


@pytest.mark.parametrize("name", [name for name in modules("embodied_gen") if part_of(name)])
def test_a_part_imports_itself_and_earlier_parts_only(name):
    part = part_of(name)
    for other in OURS[name]:
        if other.split(".")[0] != "embodied_gen" or part_of(other) in (part, None) or (name, other) in LATE:
            continue
        assert LAYER[part_of(other)] < LAYER[part], f"{name} imports {other}"


def test_no_module_imports_itself_by_a_detour():
    graph = {name: {m for i in imported(at_the_top(tree)) if (m := module_of(i))} for name, tree in TREES.items()}
    graph = {name: {other for other in found if other != name} for name, found in graph.items()}
    done = set()
    while ready := {name for name in graph if name not in done and graph[name] <= done}:
        done |= ready
    assert set(graph) - done == set(), "these import each other"


@pytest.mark.parametrize("name", [name for name in modules("embodied_gen") if part_of(name) != "commands"])
def test_the_library_imports_neither_planners_nor_environments(name):
    assert not {other for other in OURS[name] if other.split(".")[0] in ("planners", "envs")}


@pytest.mark.parametrize("name", modules("planners"))
def test_planners_import_neither_commands_nor_environments(name):
    for other in OURS[name]:
        assert other.split(".")[0] != "envs" and not other.startswith("embodied_gen.commands")


@pytest.mark.parametrize("name", modules("envs"))
def test_environments_import_nothing_else_of_ours_and_no_learning(name):
    assert {other.split(".")[0] for other in OURS[name]} <= {"envs"}
    known = {"gymnasium", "mujoco", "numpy", "scipy", "networkx", "shapely", "PIL", "metaworld", "gymnasium_robotics"}
    assert STRANGERS[name] <= known


@pytest.mark.parametrize("name", modules("embodied_gen.nets"))
def test_networks_import_torch_and_what_is_common_to_products_alone(name):
    assert STRANGERS[name] <= {"torch"}
    common = ("embodied_gen.nets", "embodied_gen.softmax", "embodied_gen.rounding")
    assert all(other.startswith(common) for other in OURS[name])


@pytest.mark.parametrize("name", ["embodied_gen.slots", "embodied_gen.slots_process"])
def test_workers_import_numpy_and_gymnasium_alone(name):
    assert STRANGERS[name] <= {"numpy", "gymnasium"}


@pytest.mark.parametrize(
    "name", [*modules("embodied_gen.events"), *modules("embodied_gen.crf"), *modules("embodied_gen.heads")]
)
def test_events_and_heads_import_torch_alone_and_no_network(name):
    assert STRANGERS[name] <= {"torch", "numpy"}
    assert not any(other.startswith("embodied_gen.nets") for other in OURS[name])


@pytest.mark.parametrize(
    "extra",
    [
        "minari",
        "h5py",
        "matplotlib",
        "PIL",
        "tensorboard",
        "metaworld",
        "gymnasium_robotics",
        "ompl",
        "stable_baselines3",
    ],
)
def test_packages_of_extras_are_imported_late(extra):
    for name, tree in TREES.items():
        top = {i.partition(".")[0] for i in imported(at_the_top(tree))}
        assert extra not in top, name


@pytest.mark.parametrize("name", FILES)
def test_every_name_in_all_exists(name):
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    for entry in listed:
        assert hasattr(module, entry), f"{name}.{entry}"


@pytest.mark.parametrize(
    "name", ["embodied_gen", "embodied_gen.slots", "embodied_gen.slots_process", "embodied_gen.commands.main", "envs"]
)
def test_what_workers_and_the_command_line_start_with_does_not_import_torch(name):
    code = f"import sys, {name}; assert 'torch' not in sys.modules and 'mujoco' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_environments_run_without_torch():
    code = (
        "import sys, envs, gymnasium; env = gymnasium.make('embodied/Avoid-v0'); env.reset(seed=0);"
        "env.step(env.action_space.sample()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_module_says_what_it_is():
    for name, tree in TREES.items():
        assert ast.get_docstring(tree), name
