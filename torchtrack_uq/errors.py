"""The one exception that means "the input is wrong": raised before work starts, with what to do about it."""


class InputError(ValueError):
    """Input that cannot be used. The message says what was given, what was expected and what to do.

    The command line prints the message as one sentence; everything else that is raised is a bug.
    """
