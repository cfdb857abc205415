"""Source packages and JSON lines as rows; attacks by archives."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.errors import DataError
from data_recipes.sources import archives
from data_recipes.sources.archives import SourcePackage
from data_recipes.sources.row import Reject, Row
from data_recipes.sources.write_rows import write_rows


def _tar(files, **more):
    """The bytes of a tar archive with these files and entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content.encode()))
        for name, kind in more.items():
            entry = tarfile.TarInfo(f"{name}.py")
            entry.type, entry.linkname = kind, "../../etc/passwd"
            opened.addfile(entry)
    return out.getvalue()


def _rows(items):
    return {
        item.path: (item.content, item.repo, item.revision, item.licenses) for item in items if isinstance(item, Row)
    }


def _reasons(items):
    return {item.path: item.reason for item in items if isinstance(item, Reject)}


INFO = (
    "Metadata-Version: 2.4\nName: tool\nVersion: 1.2\nLicense-Expression: MIT\n"
    "Project-URL: Repository, https://github.com/Acme/Tool\n\nIts text.\n"
)


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("tar", bytes), ("tar.gz", gzip.compress), ("tar.bz2", bz2.compress), ("tar.xz", lzma.compress)],
)
def test_a_source_distribution_says_where_its_files_come_from(tmp_path, ending, pack):
    """Repository, version and licence come from PKG-INFO, in every packing."""
    path = tmp_path / f"tool-1.2.{ending}"
    path.write_bytes(pack(_tar({"tool-1.2/PKG-INFO": INFO, "tool-1.2/a.py": "a = 1\n", "tool-1.2/_vendor.bin": "x"})))
    items = list(SourcePackage(path).rows())
    assert _rows(items) == {f"{path.name}/tool-1.2/a.py": ("a = 1\n", "Acme/Tool", "1.2", ["MIT"])}
    assert set(_reasons(items).values()) == {"unknown_language"}


def test_wheels_and_npm_packages_are_read(tmp_path):
    """A wheel's METADATA and npm's package.json are understood; a licence file in the package counts before them."""
    with zipfile.ZipFile(tmp_path / "tool-1.2-py3-none-any.whl", "w") as opened:
        opened.writestr("tool/a.py", "a = 1\n")
        opened.writestr("tool-1.2.dist-info/METADATA", INFO)
    about = {
        "name": "left",
        "version": "3.0.0",
        "license": "ISC",
        "repository": {"url": "git+https://github.com/x/left.git"},
    }
    files = {
        "package/package.json": json.dumps(about),
        "package/i.js": "i();\n",
        "package/lib/LICENSE": "SPDX-License-Identifier: 0BSD",
        "package/lib/j.js": "j();\n",
    }
    (tmp_path / "left-3.0.0.tgz").write_bytes(gzip.compress(_tar(files)))
    found = {path.name: _rows(SourcePackage(path).rows()) for path in tmp_path.iterdir()}
    assert found["tool-1.2-py3-none-any.whl"] == {
        "tool-1.2-py3-none-any.whl/tool/a.py": ("a = 1\n", "Acme/Tool", "1.2", ["MIT"])
    }
    assert found["left-3.0.0.tgz"] == {
        "left-3.0.0.tgz/package/i.js": ("i();\n", "x/left", "3.0.0", ["ISC"]),
        "left-3.0.0.tgz/package/lib/LICENSE": ("SPDX-License-Identifier: 0BSD", "x/left", "3.0.0", ["0BSD"]),
        "left-3.0.0.tgz/package/package.json": (json.dumps(about), "x/left", "3.0.0", ["ISC"]),
        "left-3.0.0.tgz/package/lib/j.js": ("j();\n", "x/left", "3.0.0", ["0BSD"]),
    }


def test_a_debian_source_package_is_read_through_its_description(tmp_path):
    """The archives that the .dsc names are read, where their checksums are right."""
    data = lzma.compress(_tar({"tool-1/a.py": "a = 1\n"}))
    (tmp_path / "tool_1.orig.tar.xz").write_bytes(data)
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} tool_1.orig.tar.xz\n"
    description = tmp_path / "tool_1-1.dsc"
    text = (
        f"Source: tool\nVersion: 1-1\nVcs-Git: https://salsa.debian.org/x/tool.git -b main\nChecksums-Sha256:\n{line}"
    )
    description.write_text(
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n"
    )
    rows = {"tool_1.orig.tar.xz/tool-1/a.py": ("a = 1\n", "x/tool", "1-1", None)}
    assert _rows(SourcePackage(description).rows()) == rows
    description.write_text(text.replace(line[1:9], "0" * 8))
    with pytest.raises(DataError, match="its checksum differs"):
        list(SourcePackage(description).rows())
    (tmp_path / "tool_1.orig.tar.xz").unlink()
    with pytest.raises(DataError, match="which is not beside it"):
        list(SourcePackage(description).rows())


def test_members_that_lead_elsewhere_are_rejects(tmp_path):
    """Paths out of the archive, links and devices are named and never followed; nothing is written anywhere."""
    path = tmp_path / "evil.tar"
    path.write_bytes(
        _tar(
            {"../up.py": "u = 1\n", "/abs.py": "b = 1\n", "ok.py": "o = 1\n"},
            link=tarfile.SYMTYPE,
            hard=tarfile.LNKTYPE,
            pipe=tarfile.FIFOTYPE,
        )
    )
    items = list(SourcePackage(path).rows())
    assert list(_rows(items)) == ["evil.tar/ok.py"]
    assert sorted(_reasons(items).values()) == ["symbolic_link"] * 3 + ["unsafe_path"] * 2
    assert [child.name for child in tmp_path.iterdir()] == ["evil.tar"]


@pytest.mark.parametrize("name", ["a.py", "skipped.bin"])
def test_a_bomb_is_refused(tmp_path, monkeypatch, name):
    """An archive that unpacks to far more than its size is an error, also where the member is not read."""
    monkeypatch.setattr(archives, "LEAST_BUDGET_BYTES", 1 << 20)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(_tar({name: "0" * (8 << 20)})))
    with pytest.raises(DataError, match=r"unpacks to more than 1,048,576 bytes"):
        list(SourcePackage(path).rows())


def test_damaged_archives_are_named(tmp_path):
    """A truncated archive and one that is none are errors with the file's name."""
    whole = gzip.compress(_tar({"a.py": "a = 1\n" * 1000}))
    for name, data in {"cut.tar.gz": whole[:-200], "none.tgz": b"no archive", "none.whl": b"no archive"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            list(SourcePackage(tmp_path / name).rows())


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_json_lines_have_the_columns_of_a_table(tmp_path, ending):
    """Records of any layout are rows, packed or not, with their provenance; broken contents are rejects."""
    records = [
        {
            "content": "a = 1\n",
            "max_stars_repo_path": "a.py",
            "max_stars_repo_name": "x/y",
            "max_stars_count": 3,
            "lang": "Python",
        },
        {"content": None, "max_stars_repo_path": "b.py"},
    ]
    data = "\n\n".join(map(json.dumps, records)).encode()
    packed = {"": bytes, ".gz": gzip.compress, ".zst": pa.Codec("zstd").compress}[ending](data)
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed if isinstance(packed, bytes) else packed.to_pybytes())
    summary = write_rows(path, tmp_path / "rows")
    assert summary["files"] == {"Python": {"files": 1, "bytes": 6}}
    assert [reject["reason"] for reject in summary["rejects"]] == ["empty"]
    (row,) = pq.read_table(tmp_path / "rows" / "rows-00000.parquet").to_pylist()
    assert (row["repo"], row["stars"], row["path"]) == ("x/y", 3, "a.py")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"content": "a"}\n{"content": ', "line 2 is no JSON"),
        ("[1]\n", "line 1 holds a list"),
        ('{"text": "a"}\n', "no 'content' column. Columns found: text"),
    ],
)
def test_bad_json_lines_are_named(tmp_path, text, error):
    """The error says in which line what was found."""
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=error):
        write_rows(path, tmp_path / "rows")
