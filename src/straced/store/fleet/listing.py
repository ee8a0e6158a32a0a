"""What is in a directory of exports, or a bucket, day by day: a year of a thousand hosts is never listed as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from straced.errors import InvalidArgument, StracedError
from straced.store.hourly_export import HOURS
from straced.store.tables import TABLES
from straced.text.sanitize import scrub

HINT = "[export] in straced.toml has the service write them"
BUCKETS = ("s3://", "gs://", "gcs://", "r2://", "https://", "http://")


class BucketUnreachable(StracedError):
    """A bucket that is not there, or not ours to read."""

    exit_code = 6
    code = "bucket_unreachable"


class Listing(Protocol):
    """Where exports are."""

    folder: str
    """As it was named."""

    def dates(self, table: str) -> list[str]:
        """The days of a table, as ``2026-11-29``, in order."""
        ...

    def files(self, table: str, date: str) -> list[str]:
        """The files of a day."""
        ...

    def others(self) -> list[str]:
        """What lies beside the tables, and is none."""
        ...


def is_bucket(folder: str) -> bool:
    """Whether it is no directory of this machine."""
    return folder.startswith(BUCKETS)


class DirectoryListing:
    """A directory of this machine.

    Args:
        folder: which.

    Raises:
        InvalidArgument: there is none, or it may not be read.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        shown = scrub(folder)
        try:
            self._names = sorted(each.name for each in Path(folder).iterdir())
        except FileNotFoundError:
            raise InvalidArgument(f"there is no directory {shown}", hint=HINT) from None
        except NotADirectoryError:
            raise InvalidArgument(f"{shown} is no directory", hint="name the directory of [export]") from None
        except OSError as error:
            raise InvalidArgument(f"{shown} cannot be read: {error.strerror}") from error

    def dates(self, table: str) -> list[str]:
        """The days of a table."""
        return sorted(each.name.removeprefix("date=") for each in Path(self.folder, table).glob("date=*"))

    def files(self, table: str, date: str) -> list[str]:
        """The files of a day; not what is being written."""
        found = Path(self.folder, table, f"date={date}").glob("host=*/*")
        return [str(each) for each in found if not each.name.startswith(".")]

    def others(self) -> list[str]:
        """What lies beside the tables."""
        return [name for name in self._names if name not in TABLES and name != HOURS and not name.startswith(".")]


class BucketListing:
    """A bucket, by DuckDB's extension httpfs.

    Args:
        engine: DuckDB.
        folder: ``s3://bucket/prefix``.

    Raises:
        BucketUnreachable: the extension is not installed.
    """

    def __init__(self, engine: Any, folder: str) -> None:
        import duckdb

        self.folder = folder.rstrip("/")
        self._engine = engine
        try:
            engine.execute("load httpfs")
        except duckdb.Error as error:
            raise BucketUnreachable(
                "a bucket is read by DuckDB's extension httpfs, which is not installed here",
                hint="duckdb -c 'install httpfs', or copy the bucket into a directory",
            ) from error

    def dates(self, table: str) -> list[str]:
        """The days of a table."""
        found = self._glob(f"{table}/*/*/*.parquet")
        return sorted({path.split("/date=", 1)[1].split("/", 1)[0] for path in found if "/date=" in path})

    def files(self, table: str, date: str) -> list[str]:
        """The files of a day."""
        return self._glob(f"{table}/date={date}/*/*.parquet")

    def others(self) -> list[str]:
        """Nothing: to list all of a bucket costs money."""
        return []

    def _glob(self, pattern: str) -> list[str]:
        import duckdb

        try:
            return [
                row[0]
                for row in self._engine.execute("select file from glob(?)", [f"{self.folder}/{pattern}"]).fetchall()
            ]
        except duckdb.Error as error:
            raise unreadable(self.folder, error) from error


def unreadable(folder: str, error: Exception) -> StracedError:
    """Why exports cannot be read, in the words of the engine."""
    why = scrub(str(error).splitlines()[0], 200)
    if is_bucket(folder):
        return BucketUnreachable(f"{scrub(folder)} cannot be read: {why}", hint="is it there, and may you read it?")
    return InvalidArgument(f"{scrub(folder)} cannot be read: {why}")
