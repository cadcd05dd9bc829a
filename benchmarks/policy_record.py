"""Records of policies, each trained with several seeds and scored on the same fresh seeds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import records
import scored

from embodied_gen import evaluate as evaluation
from embodied_gen import experiment
from embodied_gen.training import files

Values = dict[str, Any]


@final
class PolicyRecord:
    """A record, written after every run, that goes on where the file holds runs of the same config and versions.

    Args:
        target: File.
        what: What the numbers are.
        episodes: Test episodes of each run.
        kept: Of a run's eval.json, what its entry holds.
        pooled: Of all entries of a row, what the row holds beside them.
    """

    def __init__(
        self,
        target: Path,
        what: str,
        *,
        episodes: int,
        kept: Callable[[Values], Values],
        pooled: Callable[[list[Values]], Values],
    ):
        self._target, self._episodes, self._kept, self._pooled = target, episodes, kept, pooled
        seeds = {"first": evaluation.FIRST_SEED, "count": episodes}
        self.content = records.begun(target, what, same={"seeds": seeds}, kept={"rows": []})

    def add(self, cell: Mapping[str, Any], config: Path, folder: Path, seeds: Sequence[int]) -> Values:
        """The row of a cell with a run of a config for each training seed; what is missing is collected and trained.

        Args:
            cell: What tells the row from others.
            config: Experiment.
            folder: Of the runs, one folder a seed.
            seeds: Of training.
        """
        row = self._row({**cell, "course": experiment.read(config).fingerprint("", 1)})
        due = sorted(set(seeds) - {run["training_seed"] for run in row["runs"]})
        if due:
            scored.run(["collect", str(config), "--if-missing"])
        for seed in due:
            found = scored.train_and_score(config, folder / str(seed), seed=seed, episodes=self._episodes)
            entry = {"training_seed": seed, "training_seconds": found["training_seconds"], **self._kept(found)}
            row["runs"] = sorted([*row["runs"], entry], key=lambda run: run["training_seed"])
            row |= self._pooled(row["runs"])
            files.write_json(self._target, self.content)
        return row

    def _row(self, cell: Values) -> Values:
        """The row of a cell where the record has it, else a new one in place of that of another course."""
        rows = self.content["rows"]
        same = [row for row in rows if all(row[key] == cell[key] for key in cell if key != "course")]
        if not same:
            rows.append({**cell, "runs": []})
            return rows[-1]
        if same[0]["course"] != cell["course"]:
            same[0].clear()
            same[0].update(cell, runs=[])
        return same[0]
