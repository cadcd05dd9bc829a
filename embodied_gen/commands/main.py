"""The command line: `embodied-gen VERB ...`, one verb a file."""

import importlib
import os
import sys

from embodied_gen import __version__
from embodied_gen.commands.memory import keep_freed
from embodied_gen.commands.offscreen import prefer_egl

VERBS = {
    "collect": "a scripted expert fills a data set of demonstrations, or scenes are rendered",
    "train": "demonstrations become a policy, recordings a forecaster, images a detector",
    "evaluate": "a policy or a planner is scored in closed loop, a detector on images, a forecaster on tracks",
    "compare": "scores of several runs on the same seeds are compared",
    "plan": "plans are drawn, with constraints that training never saw",
    "report": "runs become one HTML file",
    "bench": "families are compared on proving grounds, cell by cell",
    "data": "recordings of pedestrians are checked and counted, or made",
    "info": "says what a run or a config is",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb; returns the exit status: 0, 2 for wrong input, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    verb = arguments[0] if arguments else "--help"
    if verb in ("-h", "--help"):
        print(_help())
        return 0
    if verb == "--version":
        print(__version__)
        return 0
    if verb not in VERBS:
        return _refuse("embodied-gen", f"unknown verb {verb!r}; expected one of {', '.join(VERBS)}.")
    return _run(verb, arguments[1:])


def _run(verb: str, arguments: list[str]) -> int:
    # The exceptions by which the library refuses input. A bug of ours raises others, or is seen with the variable.
    from pydantic import ValidationError

    from embodied_gen.config import explain
    from embodied_gen.experiment import Experiment
    from embodied_gen.training.fit import Interrupted

    name = f"embodied-gen {verb}"
    prefer_egl()
    keep_freed()
    try:
        importlib.import_module(f"embodied_gen.commands.{verb}").main(arguments)
    except ValidationError as error:
        return _refuse(name, explain(error, Experiment, "command line"))
    except Interrupted as interrupted:
        print(f"{name}: {interrupted}; continue with --resume.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print(f"{name}: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("EMBODIED_GEN_TRACEBACK"):
            raise
        return _refuse(name, str(error))
    return 0


def _refuse(name: str, message: str) -> int:
    print(f"{name}: {message}", file=sys.stderr)
    return 2


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items())
    return (
        "usage: embodied-gen VERB [arguments]\n\n"
        f"{verbs}\n\n"
        "embodied-gen VERB --help explains a verb. A first round:\n\n"
        "  embodied-gen collect configs/avoid_flow.yaml\n"
        "  embodied-gen train configs/avoid_flow.yaml --out runs/avoid\n"
        "  embodied-gen evaluate runs/avoid\n"
        "  embodied-gen report runs/avoid\n\n"
        "EMBODIED_GEN_TRACEBACK=1 shows where an error comes from."
    )
