"""Files of folders and archives: one view of both, nothing unpacked, nothing from outside."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from kshot.data.problems import Problems
from kshot.data.trees import Tree
from kshot.errors import UserError
from photo_support import tar_bytes, write_folder, zip_bytes

FILES = {"a/1.txt": b"one", "a/b/2.txt": b"two"}


def contents(*roots: Path, skip: bool = False) -> dict[str, bytes]:
    with Tree(roots, Problems(skip)) as tree:
        return {name: entry.read() for name, entry in sorted(tree.files.items())}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("set.zip", zip_bytes(FILES)),
        ("set.tar", tar_bytes(FILES)),
        ("set.tgz", tar_bytes(FILES, "w:gz")),
        ("set.tar.xz", tar_bytes(FILES, "w:xz")),
        ("set.ZIP", zip_bytes({"./" + n: d for n, d in FILES.items()})),
    ],
)
def test_an_archive_reads_like_the_folder_it_was_made_of(tmp_path: Path, name: str, data: bytes) -> None:
    folder = write_folder(tmp_path / "folder" / "set", FILES)
    (tmp_path / name).write_bytes(data)
    assert contents(tmp_path / name) == contents(folder) == {f"set/{n}": d for n, d in FILES.items()}


def test_archives_within_are_folders_and_those_already_unpacked_count_once(tmp_path: Path) -> None:
    inner = tar_bytes({"x/3.txt": b"three"}, "w:gz")
    root = write_folder(
        tmp_path / "set",
        {
            "deep.zip": zip_bytes({"part.tar.gz": inner, "4.txt": b"four"}),
            "twice.zip": zip_bytes({"5.txt": b"five"}),
            "twice/5.txt": b"five",
        },
    )
    assert list(contents(root)) == ["set/deep/4.txt", "set/deep/part/x/3.txt", "set/twice/5.txt"]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../out.txt", "C:/out.txt", "a\\..\\out.txt"])
@pytest.mark.parametrize("pack", [zip_bytes, tar_bytes])
def test_a_name_that_leads_out_of_an_archive_is_refused(tmp_path: Path, pack, name: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / ("set.zip" if pack is zip_bytes else "set.tar")
    path.write_bytes(pack({name: b"bad", "good.txt": b"good"}))
    with pytest.raises(UserError, match=r"a name that leads out of the archive: get another archive, or .*--skip-bad"):
        contents(path)
    assert contents(path, skip=True) == {"set/good.txt": b"good"}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing was unpacked


def test_links_and_hidden_files_are_no_files(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"link{kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    (tmp_path / "set.tar").write_bytes(out.getvalue())
    assert contents(tmp_path / "set.tar") == {}
    (tmp_path / "other.zip").write_bytes(zip_bytes({"__MACOSX/a/1.jpg": b"", "a/._1.jpg": b"", "a/1.jpg": b"x"}))
    assert contents(tmp_path / "other.zip") == {"other/a/1.jpg": b"x"}


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tgz"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str, damage: str) -> None:
    whole = zip_bytes(FILES) if name.endswith("zip") else tar_bytes(FILES, "w:gz" if name.endswith("gz") else "w")
    data = {"empty": b"", "text": b"<html>not found</html>" * 40, "cut": whole[: len(whole) // 8]}[damage]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        contents(tmp_path / name)


def test_archives_within_an_archive_are_read_into_memory_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kshot.data.trees.MOST", 20_000)
    classes = {f"n{i:08d}.tar": tar_bytes({f"{i}.JPEG": b"x"}) for i in range(3)}
    (tmp_path / "train.tar").write_bytes(tar_bytes(classes))  # as ImageNet's
    with pytest.raises(UserError, match=r"train.tar holds archives of more than 20,000 bytes, .*unpack it"):
        contents(tmp_path / "train.tar")


def test_a_damaged_file_in_an_archive_is_named(tmp_path: Path) -> None:
    data = zip_bytes({"a.txt": b"something long enough to be found"})
    (tmp_path / "set.zip").write_bytes(data.replace(b"long enough", b"other words"))
    with pytest.raises(UserError, match=r"set.zip/a.txt cannot be read \(Bad CRC-32"):
        contents(tmp_path / "set.zip")
