"""`torchtrack-uq train`."""

from typing import Any


def add_commands(commands: Any, *, with_arguments: bool) -> None:
    """Add `train` to a parser's commands.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
        with_arguments: Whether to add its arguments too, for which Lightning is imported: seconds that the
            other commands do without.
    """
    train = commands.add_parser("train", help="train a Trackastra model on annotated movies")
    if with_arguments:
        from torchtrack_uq.training import add_train_arguments, run_train

        add_train_arguments(train)
        train.set_defaults(run=run_train)
