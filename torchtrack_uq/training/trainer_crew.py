"""One movie's links scored on all devices of a Lightning Trainer."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.utils.data import DataLoader

from torchtrack_uq.errors import InputError
from torchtrack_uq.training.quiet import plain_interruptions, quiet_lightning
from torchtrack_uq.utils.crew import Answer, Common, Result, Task
from torchtrack_uq.utils.crew_member import answered
from torchtrack_uq.utils.device import refuse_without_float64

_KEEP_WEIGHTS = ("32-true", "16-mixed", "bf16-mixed")


class TrainerCrew:
    """The devices of a Trainer as a `Crew`: each scores some of a movie's windows, by `Trainer.predict`.

    All processes of the Trainer call what it is given to, with the same movie, and all get the whole result; write it
    where `trainer.is_global_zero`. Only work with a model is shared out: measuring cells and writing masks are done by
    each process that asks for it, so that none waits for others that do not.

    On devices of one kind the scores are the same to the last bit, however many there are; on a GPU they differ from a
    CPU's in the last digits, and with a `precision` below 32 bits in more.

    Args:
        trainer: With any number of devices and nodes, and "ddp" or another strategy that runs the script once a device
            and keeps the whole model on each.

    Raises:
        InputError: It is no Trainer, its strategy spawns or forks processes, which hand back no predictions, its
            precision would convert the model, or its devices have no float64.

    >>> trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    >>> TrainerCrew(trainer).n
    1
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        if not isinstance(trainer, pl.Trainer):
            raise InputError(
                f"expected a pytorch_lightning.Trainer, got a {type(trainer).__module__}.{type(trainer).__name__}"
            )
        try:
            trainer.predict_loop.return_predictions = True
        except MisconfigurationException as error:
            raise InputError(
                "the Trainer's strategy spawns or forks processes, which hand back no predictions; expected "
                "strategy='ddp' in a script, or one device"
            ) from error
        if trainer.precision not in _KEEP_WEIGHTS:
            raise InputError(
                f"the Trainer has precision {trainer.precision!r}, which converts the model for good; expected "
                f"{', '.join(_KEEP_WEIGHTS)}"
            )
        refuse_without_float64(trainer.strategy.root_device)
        self.trainer = trainer

    @property
    def n(self) -> int:
        """Devices, of all machines together."""
        return int(self.trainer.world_size)

    def map(
        self, work: Callable[[Common, Task], Result], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        """See `Crew`; a process that is lost ends the run, as Lightning does it.

        Raises:
            InputError: The Trainer leaves tasks out (`limit_predict_batches`, `fast_dev_run`).
        """
        models = nn.ModuleList(part for part in _parts(common) if isinstance(part, nn.Module))
        if not len(models) or not len(tasks):
            return (work(common, task) for task in tasks)
        return self._predicted(_Tasks(work, common, tasks, models, self.n))

    def _predicted(self, tasks: "_Tasks") -> Iterator[Any]:
        modes = [(module, module.training) for module in tasks.models.modules()]
        home = next((weights.device for weights in tasks.parameters()), torch.device("cpu"))
        try:
            with quiet_lightning(), plain_interruptions():
                told: Any = self.trainer.predict(tasks)
        finally:
            tasks.to(home)
            for module, training in modes:
                module.training = training
        found: dict[int, Answer] = pickle.loads(told[-1]) if told else {}
        missing = len(tasks.tasks) - len(found)
        if missing:
            raise InputError(
                f"the Trainer did {len(found)} of {len(tasks.tasks)} shares of the movie; make one without "
                "limit_predict_batches and fast_dev_run"
            )
        return (found[k].open() for k in range(len(tasks.tasks)))


def _parts(common: Any) -> tuple[Any, ...]:
    return common if isinstance(common, tuple) else (common,)


class _Tasks(pl.LightningModule):
    """Tasks as the batches of a prediction; the last step of each process tells what all of them found.

    Lightning moves what it sees as a module to the device, and hands predictions of the own process only to its caller.
    """

    def __init__(
        self,
        work: Callable[[Any, Any], Any],
        common: Any,
        tasks: Sequence[Any],
        models: nn.ModuleList,
        n_processes: int,
    ) -> None:
        super().__init__()
        self.work, self.common, self.tasks, self.models = work, common, tasks, models
        self.n_steps = max(len(tasks), n_processes)  # each process has a last step, with a task or without
        self.found: dict[int, Answer] = {}

    def predict_dataloader(self) -> DataLoader[int]:
        """Numbers of the tasks, of which Lightning deals each process its own."""
        return DataLoader(range(self.n_steps), batch_size=None)  # type: ignore[arg-type]

    def predict_step(self, number: int, batch_idx: int) -> bytes:
        """Do a task."""
        if number < len(self.tasks):
            self.found[number] = answered(self.work, self.common, self.tasks[number])
        if batch_idx + 1 < self.trainer.num_predict_batches[0]:
            return b""
        everything = [self.found]
        if self.trainer.world_size > 1:
            everything = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(everything, self.found)
        self.found = {}
        return pickle.dumps({number: answer for one in everything for number, answer in one.items()})
