"""Who decides, where nobody says."""

import getpass


def login() -> str:
    """The login of this person, empty for a service user without a name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
