"""Labels: what each layout says, and which recordings lie on which side."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from audiobag.labels import audioset_classes
from audiobag.prepare.labels import NO_LABELS, Event, Labels, read_labels
from audiobag.prepare.splits import assign


def files(*names: str) -> dict[str, Path]:
    return {name: Path("in") / name for name in names}


def read(tmp_path: Path, text: str, *names: str, file: str = "labels.csv") -> Labels:
    (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    return read_labels([tmp_path / file], files(*names), tmp_path)


def plain(labels: Labels) -> dict[str, list[str]]:
    return {name: [event.label for event in one.events] for name, one in labels.of.items()}


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.wav,dog\nb.wav,cat\na.wav,cat\n",
        "filename,labels\na.wav,dog;cat\nb.wav,cat\n",
        'fname,labels\na,"dog,cat"\nb,cat\n',
        "path\tlabel\nin/a.wav\tdog\n./b.wav\tcat\nin/a.wav\tcat\n",
        "file,cat,dog\na.wav,1,1\nb.wav,1,0\n",
        "\ufefffile;label\na.wav;dog\nb.wav;cat\na.wav;cat\n",
    ],
    ids=["a row a label", "semicolons", "commas", "tabs and paths", "multi-hot", "a spreadsheet's"],
)
def test_layouts_of_a_csv_say_the_same(text: str, tmp_path: Path) -> None:
    labels = read(tmp_path, text, "a.wav", "b.wav")
    assert labels.class_names == ("cat", "dog")
    assert {name: sorted(found) for name, found in plain(labels).items()} == {"a.wav": ["cat", "dog"], "b.wav": ["cat"]}


def test_events_have_times(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,onset,offset,event_label\na.wav,0.5,1.25,dog\na.wav,,,\n", "a.wav")
    assert labels.of["a.wav"].events == (Event("dog", 0.5, 1.25),)


def test_folders_are_classes(tmp_path: Path) -> None:
    labels = read_labels(["folders"], files("dog/a.wav", "x/cat/b.wav"), tmp_path)
    assert plain(labels) == {"dog/a.wav": ["dog"], "x/cat/b.wav": ["cat"]}


def test_esc50_is_known_by_its_layout(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    text = "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"
    text += "2-2-A-36.wav,2,36,rain,False,2,A\n"
    (tmp_path / "meta" / "esc50.csv").write_text(text)
    names = ["audio/1-1-A-0.wav", "audio/2-2-A-36.wav"]
    labels = read_labels(["esc50"], files(*names), tmp_path)
    assert plain(labels) == {names[0]: ["dog"], names[1]: ["rain"]}
    assert assign(names, labels) == {names[0]: "bal_train", names[1]: "eval"}
    assert assign(names, labels, eval_fold=1) == {names[0]: "eval", names[1]: "bal_train"}
    with pytest.raises(ValueError, match="eval_fold must be one of 1, 2"):
        assign(names, labels, eval_fold=7)
    with pytest.raises(ValueError, match=r"needs .*dev\.csv, which is not there"):
        read_labels(["fsd50k"], files(*names), tmp_path)


def test_fsd50k_is_known_by_its_layout(tmp_path: Path) -> None:
    truth = tmp_path / "FSD50K.ground_truth"
    truth.mkdir()
    (truth / "dev.csv").write_text('fname,labels,mids,split\n64760,"Bark,Dog","/m/1,/m/2",train\n16399,Rain,/m/3,val\n')
    (truth / "eval.csv").write_text("fname,labels,mids\n37199,Rain,/m/3\n")
    names = ["FSD50K.dev_audio/64760.wav", "FSD50K.dev_audio/16399.wav", "FSD50K.eval_audio/37199.wav"]
    labels = read_labels(["fsd50k"], files(*names), tmp_path)
    assert labels.class_names == ("Bark", "Dog", "Rain")
    assert list(assign(names, labels).values()) == ["bal_train", "val", "eval"]


def test_segments_of_audioset_find_their_clips(tmp_path: Path) -> None:
    text = (
        "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=22160\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"\n'
        'gonefromYTu, 0.000, 10.000, "/m/09x0r"\n'
    )
    names = ["Y--PJHxphWEs.wav", "-0RWZT-miFs_420.000_430.000.flac"]
    labels = read(tmp_path, text, *names, file="balanced_train_segments.csv")
    assert plain(labels) == {names[0]: ["/m/09x0r", "/t/dd00088"], names[1]: ["/m/03v3yw", "/m/0k4j"]}
    assert labels.class_names == audioset_classes().names
    assert labels.without_file == ("gonefromYTu",)
    assert set(assign(names, labels).values()) == {"bal_train"}


def test_rows_without_files_and_files_without_rows_are_told(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,label\na.wav,x\nzz.wav,y\n", "a.wav", "b.wav")
    assert (labels.without_file, labels.without_labels) == (("zz.wav",), ("b.wav",))
    assert labels.class_names == ("x",)


def test_a_path_means_the_file_that_has_it_even_if_another_folder_has_one_of_that_name(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,label\na.wav,dog\nsub/a.wav,cat\n", "a.wav", "sub/a.wav")
    assert plain(labels) == {"a.wav": ["dog"], "sub/a.wav": ["cat"]}


def test_recordings_without_a_fold_are_named(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,label,fold\na.wav,x,1\nb.wav,y,2\nc.wav,y,\n", "a.wav", "b.wav", "c.wav")
    with pytest.raises(ValueError, match=r"^labels has a fold for some recordings and none for c.wav: give each one"):
        assign(["a.wav", "b.wav", "c.wav"], labels)
    with pytest.raises(ValueError, match=r"^eval_fold must be one of 1, 2, got 3"):
        assign(["a.wav", "b.wav"], labels, eval_fold=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels must have rows|labels must be a CSV"),
        ("file,label\n", "labels must have rows"),
        ("name,label\na.wav,dog\n", "labels must have a column of files"),
        ("file,start,label\na.wav,0,dog\n", "both a start and an end"),
        ("file,start,end,label\na.wav,3,1,dog\n", "an event from '3' to '1' s"),
        ("file,start,end,label\na.wav,x,1,dog\n", "an event from 'x'"),
        ("file\na.wav\n", "labels must have a column label"),
        ("file,dog,cat\na.wav,1,2\n", "whose column cat has '2' in line 2"),
        ("file,label\na.wav\n", "line 2 has another number of cells"),
        ("file,label\na.wav,dog,cat\n", "line 2 has another number of cells"),
        ("file,label\nzz.wav,dog\n", "the source has none of its 1 files; the first is zz.wav, the source has a.wav"),
        ("file,label,split\na.wav,dog,train\na.wav,cat,test\n", "a.wav in split bal_train and in split eval"),
        ("file,label\n,dog\n", "a row without a file"),
        ('file,label\n"a.wav,dog\n', "labels must be a CSV"),
    ],
)
def test_bad_labels_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, "a.wav")


def test_missing_and_binary_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels must be CSV files, folders, esc50 or fsd50k"):
        read_labels([tmp_path / "no.csv"], files("a.wav"), tmp_path)
    (tmp_path / "x.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="labels must be"):
        read_labels([tmp_path / "x.csv"], files("a.wav"), tmp_path)


def test_the_hash_of_a_name_decides_alone() -> None:
    names = [f"{i}.wav" for i in range(2000)]
    splits = assign(names, NO_LABELS, eval_fraction=0.3)
    assert assign(reversed(names), NO_LABELS, eval_fraction=0.3) == splits
    share = sum(split == "eval" for split in splits.values()) / len(names)
    assert math.isclose(share, 0.3, abs_tol=0.05)
    more = assign(names, NO_LABELS, eval_fraction=0.4)
    assert all(more[name] == "eval" for name, split in splits.items() if split == "eval")
    assert set(assign(names, NO_LABELS, split="eval").values()) == {"eval"}
    for fraction in (1e-9, 0.2, 1 - 1e-9):
        assert set(assign(names[:6], NO_LABELS, eval_fraction=fraction).values()) == {"bal_train", "eval"}
    assert set(assign(names[:6], NO_LABELS, eval_fraction=0).values()) == {"bal_train"}
    with pytest.raises(ValueError, match="split must be a name"):
        assign(names, NO_LABELS, split="../x")
    with pytest.raises(ValueError, match="eval_fold needs a column fold"):
        assign(names, NO_LABELS, eval_fold=3)
