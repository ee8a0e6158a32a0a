"""A check inside a booted kernel: records of a command, and whether none is missing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from tests.kernels.checks import check, straced
from tests.support.records import check_sums

SCRIPT = """
for i in 1 2 3; do
    ls /usr /there/is/none >/dev/null 2>&1 &
    (exit $i)
done
kill -9 $$
"""


@check
def records(refused: str) -> str:
    """Each call of a command has its record, with its path, name by name."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.strc"
        done = straced("trace", "-o", str(path), "--", "sh", "-c", SCRIPT, expect=None)
        if refused:
            assert done.returncode == 5, done.stderr
            assert not path.exists()
            return done.stderr.strip().splitlines()[0]
        assert done.returncode == 128 + 9, (done.returncode, done.stderr)
        file = RecordFile(path)
        counted = check_sums(file)
        paths = {blob.data for each in file for blob in each.blobs.values() if each.kind is RecordKind.CALL}
    assert file.end is not None
    assert not any(fate.lost for fate in file.end.calls.values()), file.end
    assert {b"/usr", b"/there/is/none"} <= paths, paths
    assert any(data.startswith(b"ls\0/usr\0") for data in paths), paths
    return f"{counted.total()} calls of {len(counted)} names, each with its record"
