"""What a network and its gates do over a whole data set, one row per clip, as Parquet files."""

from aia.errors import AIAError

try:
    import fsspec  # noqa: F401
    import pyarrow  # noqa: F401
except ImportError:
    raise AIAError(
        'A survey needs two more packages; install them: python -m pip install pyarrow "fsspec[http]"'
    ) from None
