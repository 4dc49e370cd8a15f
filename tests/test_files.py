"""Text files of any editor are read as their author meant them, or refused by name."""

import os
from pathlib import Path

import pytest

from chroma._files import read_lines

PROMPTS = ["a flat drawing of an owl", "ein großer Löwe", "一只猫"]


def written(tmp_path, content):
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", " \t\n"])
def test_the_prompts_of_a_file_do_not_depend_on_its_encoding_and_line_ends(tmp_path, encoding, end):
    text = "".join(prompt + end for prompt in PROMPTS)
    assert read_lines(written(tmp_path, text.encode(encoding))) == PROMPTS
    assert read_lines(written(tmp_path, text.rstrip().encode(encoding))) == PROMPTS


def test_both_byte_orders_are_read(tmp_path):
    for mark, encoding in [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\0\0\xfe\xff", "utf-32-be")]:
        assert read_lines(written(tmp_path, mark + "\r\n".join(PROMPTS).encode(encoding))) == PROMPTS


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\f", "\v", "\x1c", "\x1e"])
def test_a_prompt_ends_only_where_its_line_ends(tmp_path, character):
    file = written(tmp_path, f"a flat{character}drawing\nof an ox\n".encode())
    assert read_lines(file) == [f"a flat{character}drawing", "of an ox"]


def test_the_marks_of_joined_files_are_not_part_of_a_prompt(tmp_path):
    assert read_lines(written(tmp_path, "an owl\n".encode("utf-8-sig") * 2)) == ["an owl"] * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("an owl\nein Löwe\n".encode("latin-1"), r"in UTF-8 \(byte 0xf6 in line 2\)"),
        ("it’s an owl".encode("cp1252"), r"in UTF-8 \(byte 0x92 in line 1\)"),
        ("猫\n".encode("shift-jis"), r"in UTF-8 \(byte 0x94 in line 1\)"),
        ("an owl".encode("utf-16-le"), r"known encoding: line 1 has the control character U\+0000"),
        (b"\xff\xfea\0\n\0b", r"in UTF-16-LE \(byte 0x62 in line 2\)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"in UTF-8 \(byte 0x89 in line 1\)"),
        ("an owl\nit\x92s".encode(), r"line 2 has the control character U\+0092"),
    ],
    ids=["Latin-1", "Windows-1252", "Shift-JIS", "UTF-16 without mark", "half of UTF-16", "PNG", "wrongly converted"],
)
def test_what_is_no_text_of_a_known_encoding_is_refused_by_name(tmp_path, content, reason):
    with pytest.raises(ValueError, match=rf"prompts\.txt is not a text file .*{reason}.*; save it as UTF-8$"):
        read_lines(written(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf", b"\xff\xfe\n\0"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"prompts\.txt is empty; write one path per line"):
        read_lines(written(tmp_path, content), "path")


def test_what_is_no_file_is_refused_and_never_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [("nowhere.txt", "does not exist"), ("", "is not a file"), ("pipe", "is not a file")]:
        with pytest.raises(ValueError, match=f"{name} {reason}; use a text file with one prompt per line"):
            read_lines(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def forbidden(path):  # permissions do not bind root, who may run the tests
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(ValueError, match=r"prompts\.txt cannot be read \(Permission denied\)"):
        read_lines(written(tmp_path, b"an owl\n"))
