"""In the course of training: accuracy on held-out frames, the best model so far, and checkpoints."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.view import ModelView
from torchtrack_uq.training.accuracy import held_out_accuracy
from torchtrack_uq.training.module import LinkScorer
from torchtrack_uq.utils.files import write_atomically

CHECKPOINT = "last.ckpt"
QUICK_STRIDES = (1, 2, 4, 8)
DECISIVE_STRIDES = (1, 2, 4)


class HeldOutValidation(pl.Callback):
    """Every so many steps and at the end: accuracy of the averaged weights, and a checkpoint.

    The weights with the highest mean accuracy over movies at strides 1, 2 and 4, one phase of each stride,
    are saved as a Trackastra folder. Without held-out frames the latest are saved.

    Attributes:
        rows: One dictionary a validation, also written to `validation.csv`.
        best: Highest mean accuracy so far, None before the first validation.
    """

    def __init__(
        self,
        movies: Sequence[AnnotatedMovie],
        first_held_out: Sequence[int],
        folder: Path,
        description: dict[str, Any],
        report: Callable[[str], None] = print,
        view: ModelView | None = None,
    ) -> None:
        self.movies, self.first_held_out = movies, first_held_out
        self.view = view or ModelView()
        self.folder, self.report = folder, report
        self.description = {**description, **self.view.described()}
        self.rows: list[dict[str, float]] = []
        self.best: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: the table so far and the best accuracy."""
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the table and the best accuracy."""
        self.rows, self.best = list(state_dict["rows"]), state_dict["best"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate every `validate_every` steps."""
        assert isinstance(pl_module, LinkScorer)
        if trainer.global_step % pl_module.settings.validate_every == 0:
            self._validate(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the last weights, unless that was just done."""
        assert isinstance(pl_module, LinkScorer)
        if not self.rows or self.rows[-1]["step"] != trainer.global_step:
            self._validate(trainer, pl_module)

    def _validate(self, trainer: pl.Trainer, scorer: LinkScorer) -> None:
        """Add a row to the table, keep the best weights, write everything."""
        row = {
            "step": float(trainer.global_step),
            "minutes": round(scorer.seconds / 60, 2),
            "learning_rate": scorer.learning_rate_now(),
            "train_nll": scorer.mean_loss,
            **self._accuracies(scorer.averaged_model),
        }
        self.rows.append(row)
        score = row["mean"]
        if np.isnan(score) or self.best is None or score >= self.best:
            self.best = None if np.isnan(score) else score
            training = {**self.description, "steps_done": trainer.global_step, "held_out_accuracy": self.best}
            training |= scorer.learnt()
            save_trackastra_folder(scorer.averaged_model, self.folder, training, scorer.events_to_save())
        table = io.StringIO()
        writer = csv.DictWriter(table, fieldnames=list(row))
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.folder / "validation.csv", table.getvalue().encode())
        trainer.save_checkpoint(self.folder / CHECKPOINT, weights_only=False)
        by_stride = ", ".join(f"{row[f'mean_stride_{stride}']:.4f}" for stride in QUICK_STRIDES)
        self.report(
            f"step {trainer.global_step}, {row['minutes']:.1f} min: training NLL {row['train_nll']:.4f}, "
            f"held-out accuracy {score:.4f} (best {self.best or float('nan'):.4f}); "
            f"at strides {', '.join(map(str, QUICK_STRIDES))}: {by_stride}"
        )

    def _accuracies(self, model: Any) -> dict[str, float]:
        results = held_out_accuracy(
            model, self.movies, self.first_held_out, QUICK_STRIDES, max_phases=1, view=self.view
        )
        shares = {key: accuracy.share for key, accuracy in results.items()}

        def mean(strides: tuple[int, ...]) -> float:
            judged = [share for (_, stride), share in shares.items() if stride in strides and share == share]
            return float(np.mean(judged)) if judged else float("nan")

        means = {f"mean_stride_{stride}": mean((stride,)) for stride in QUICK_STRIDES}
        columns = {f"{name}@{stride}": share for (name, stride), share in shares.items()}
        return {"mean": mean(DECISIVE_STRIDES), **means, **columns}
