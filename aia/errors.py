"""The one error class of the project."""


class AIAError(Exception):
    """An error that a user can act on. Its message is one sentence: what happened and what to do.

    Raised for bad input (a video, a checkpoint, a name, a configuration), never for a bug. The page, the command line
    and the endpoints show the message as it is, so it holds no trace and no path that the user did not give.

    Example:
        >>> import aia
        >>> aia.read_clip("nowhere.mp4")
        Traceback (most recent call last):
        aia.errors.AIAError: “nowhere.mp4” was not found: check the name.
    """
