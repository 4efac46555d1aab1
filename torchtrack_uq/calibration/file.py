"""The file that holds a calibration: what was fitted, for which method and tracker, on which data."""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.calibration.calibration_warning import CalibrationWarning
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees import ReviewStatistic
from torchtrack_uq.layers import (
    EventModel,
    EventOffsets,
    FeaturePerturbation,
    TemperatureScaler,
    UncertaintyLayer,
)
from torchtrack_uq.layers.event_model import COEFFICIENTS
from torchtrack_uq.layers.make import make_method
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.links.names import EVENT_SCORES
from torchtrack_uq.utils.files import write_atomically
from torchtrack_uq.utils.json_text import parse_json
from torchtrack_uq.utils.registry import with_options

if TYPE_CHECKING:
    from torchtrack_uq.calibration.scored import ScoredMovie

FORMAT = "torchtrack-uq calibration 2"
WITH_MODEL = "torchtrack-uq calibration 3"
"""Of files with an event model, which older versions would read as one of constants."""
_READABLE = (
    "torchtrack-uq calibration 1",
    FORMAT,
    WITH_MODEL,
)  # the first had no options: they are the default ones


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature and what it holds for.

    Attributes:
        temperature: T.
        method: Method that it was fitted for, such as "AS".
        tracker: Name of the tracker, such as "distance" or "trackastra:small_2d".
        stride: Temporal stride of the annotated movies.
        offsets: Offsets of appear, disappear and divide, and where links skip frames of miss; None where only T was
            fitted.
        event_model: Coefficients of an `EventModel` beside the offsets, or None where these are all there is.
        n_daughters: Annotated daughters that it was fitted on.
        nll_before: Mean negative log-likelihood of their true mothers at T = 1, nats.
        nll_after: The same as fitted.
        ece_before: Their expected calibration error at T = 1.
        ece_after: The same as fitted.
        prior_width: Width of the prior on log T, or None.
        movies: Names of the movies.
        fingerprint: SHA-256 of the scores and true mothers that it was fitted on.
        date: When, ISO 8601 in UTC.
        review: Counts of right and wrong decisions by their probability, for `--accept-error`, or None.
        method_options: Options of the method that are not the default ones, such as {"k": 10}.
        max_gap: How many frames the links that it was fitted on may span.
        prior: What other movies said beforehand, such as "distance 2026-11"; None for a fit without.
        standard_errors: How sure temperature (as a share of T) and offsets are, by name; None where only T was fitted.

    Raises:
        InputError: A value that cannot be.
    """

    temperature: float
    method: str
    tracker: str
    stride: int = 1
    offsets: dict[str, float] | None = None
    n_daughters: int = 0
    nll_before: float = math.nan
    nll_after: float = math.nan
    ece_before: float = math.nan
    ece_after: float = math.nan
    prior_width: float | None = None
    movies: list[str] = field(default_factory=list)
    fingerprint: str = ""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    review: ReviewStatistic | None = None
    method_options: dict[str, Any] = field(default_factory=dict)
    max_gap: int = 1
    event_model: dict[str, float] | None = None
    prior: str | None = None
    standard_errors: dict[str, float | None] | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature must be a positive number, got {self.temperature!r}")
        if self.method not in METHODS:
            raise InputError(
                f"method {self.method!r} is unknown; expected one of {', '.join(METHODS)}, or one of your own that "
                "METHODS.add has registered"
            )
        if not isinstance(self.method_options, dict):
            raise InputError(f"method_options must be options by name, got {self.method_options!r}")
        if self.method_options:  # without those that say the default
            made = make_method(self.method, **self.method_options).options
            object.__setattr__(self, "method_options", made)
        if not isinstance(self.tracker, str):
            raise InputError(f"tracker must be a name, got {self.tracker!r}")
        for name in ("stride", "max_gap"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise InputError(f"{name} must be a whole number from 1 on, got {number!r}")
        check_max_gap(self.max_gap)
        if self.offsets is not None and not (
            isinstance(self.offsets, dict)
            and {*self.offsets} - {"miss"} == {*EVENT_SCORES}
            and all(_is_number(value) and math.isfinite(value) for value in self.offsets.values())
        ):
            raise InputError(
                "offsets must be finite numbers for appear, disappear and divide, and for miss where there is one, "
                f"got {self.offsets!r}"
            )
        if self.prior is not None and not isinstance(self.prior, str):
            raise InputError(f"prior must be a name, got {self.prior!r}")
        if self.prior_width is not None and not (_is_number(self.prior_width) and self.prior_width > 0):
            raise InputError(f"prior_width must be a positive number, got {self.prior_width!r}")
        if self.standard_errors is not None and not (
            isinstance(self.standard_errors, dict)
            and all(x is None or (_is_number(x) and x >= 0) for x in self.standard_errors.values())
        ):
            raise InputError(
                f"standard_errors must be numbers from 0 on by name, or null, got {self.standard_errors!r}"
            )
        if self.event_model is not None and not (
            isinstance(self.event_model, dict)
            and {*self.event_model} == {*COEFFICIENTS}
            and all(_is_number(value) and math.isfinite(value) for value in self.event_model.values())
            and self.event_model["border_width"] > 0
            and self.offsets is not None
        ):
            raise InputError(
                f"event_model must be finite numbers for {', '.join(COEFFICIENTS)} beside offsets, got "
                f"{self.event_model!r}"
            )

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Write it as JSON, all at once or not at all."""
        path = Path(file)
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        review = None if self.review is None else self.review.to_json()
        if self.event_model is None:
            del values["event_model"]
        content = {"format": FORMAT if self.event_model is None else WITH_MODEL, **values, "review": review}
        # JSON has no NaN
        plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in content.items()}
        write_atomically(path, (json.dumps(plain, indent=2) + "\n").encode())
        return path

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> "Calibration":
        """Read a file that `save` wrote.

        Raises:
            InputError: The file is missing, or is no calibration.
        """
        path = Path(file)
        try:
            content = parse_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read as a calibration: {error}; make one with `torchtrack-uq fit`"
            ) from error
        if not isinstance(content, dict) or content.get("format") not in _READABLE:
            raise InputError(
                f"{path} is not a calibration file of this version; make one with `torchtrack-uq fit`"
            )
        return cls.from_json(content, str(path))

    @classmethod
    def from_json(cls, content: dict[str, Any], source: str = "calibration") -> "Calibration":
        """From the dictionary in the file."""
        names = {item.name for item in fields(cls)}
        known = {name: value for name, value in content.items() if name in names}
        lacking = [name for name in ("temperature", "method", "tracker") if name not in known]
        if "max_gap" not in known and "miss" in (known.get("offsets") or {}):
            lacking.append("max_gap (its event scores know of misses)")
        if lacking:
            raise InputError(f"{source} lacks an entry: {', '.join(lacking)}")
        try:
            for name in ("nll_before", "nll_after", "ece_before", "ece_after"):
                known[name] = math.nan if known.get(name) is None else float(known[name])
            if known.get("review") is not None:
                known["review"] = ReviewStatistic.from_json(known["review"])
            return cls(**known)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{source} cannot be used: {error}") from error

    def check(
        self,
        method: str,
        tracker: str,
        stride: int | None = None,
        options: Mapping[str, Any] | None = None,
        max_gap: int | None = None,
    ) -> None:
        """Refuse another method, other options or another tracker; warn of another stride or gap.

        Args:
            method: Name of the method that it is to be used with.
            tracker: Name of the tracker.
            stride: Temporal stride, if it is known.
            options: Options of the method that are not the default ones; None for whatever it was fitted with.
            max_gap: How many frames links may span, if it is known.

        Raises:
            InputError: The temperature was fitted for something else, and means nothing here.

        Warns:
            CalibrationWarning: The movies it was fitted on had another stride, or links that span other numbers of
                frames.
        """
        for what, fitted, used in (("method", self.method, method), ("tracker", self.tracker, tracker)):
            if fitted != used:
                name, this = fitted.partition(":")[0], used.partition(":")[0]
                remedy = f"--{what} {name}" if name != this else "the --model that it was fitted for"
                raise InputError(
                    f"this calibration was fitted for {what} {fitted}, but is used with {what} {used}: a temperature "
                    f"holds for one {what} only; pass {remedy}, or fit one with `torchtrack-uq fit ... --{what} {this}`"
                )
        if options is not None and options != self.method_options:
            raise InputError(
                f"this calibration was fitted for method {with_options(self.method, self.method_options)}, but is used "
                f"with {with_options(method, options)}: a temperature holds for one set of options only; fit one with "
                "these, or name the method without options to use those of the calibration"
            )
        if stride is not None and stride != self.stride:
            warnings.warn(
                f"this calibration was fitted at stride {self.stride} and is used at stride {stride}: probabilities "
                "may be off",
                CalibrationWarning,
                stacklevel=2,
            )
        if max_gap is not None and max_gap != self.max_gap:
            warnings.warn(
                f"this calibration was fitted with links over up to {self.max_gap} frames (max_gap) and is used with "
                f"{max_gap}: probabilities may be off, and event scores may know nothing of misses; pass --max-gap "
                f"{self.max_gap}, or fit one with --max-gap {max_gap}",
                CalibrationWarning,
                stacklevel=2,
            )

    def layer(self, perturbation: FeaturePerturbation | None = None) -> UncertaintyLayer:
        """The calibrated layer, with the method and the options that it was fitted for.

        Args:
            perturbation: Noise for methods that need it; the default one if None.
        """
        scaler = TemperatureScaler(self.temperature)
        scaler.fitted.fill_(True)
        events = None
        if self.offsets is not None:
            model = self.event_model
            events = EventOffsets(**self.offsets) if model is None else EventModel(**self.offsets, **model)
        method = make_method(self.method, **self.method_options)
        return UncertaintyLayer(method, scaler, events=events, perturbation=perturbation)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fingerprint(movies: "Sequence[ScoredMovie]") -> str:
    """SHA-256 of what a calibration was fitted on: links, scores and true mothers of all movies, in order."""
    digest = hashlib.sha256()
    for movie in movies:
        graph, targets = movie.graph, movie.targets
        for tensor in (graph.mother, graph.daughter, graph.score.float(), targets.mother, targets.known):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
