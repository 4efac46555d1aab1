"""What calibration warns of."""


class CalibrationWarning(UserWarning):
    """A fit ended, but its result needs a look; or it was made for something else than it is used for."""
