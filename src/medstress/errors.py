"""The one exception that users are meant to read."""


class MedstressError(Exception):
    """Something the user can fix. The message says what is wrong, where, and what to do.

    Stages print the message alone, without a traceback (see :mod:`medstress.stage`).
    """
