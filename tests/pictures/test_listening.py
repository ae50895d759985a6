from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from audiobag.labels import audioset_classes
from audiobag.pictures.listening import Listening, listening, listening_of
from tests.conftest import make_store


def test_clips_of_audioset_are_places_in_videos(tmp_path: Path) -> None:
    own = make_store(tmp_path / "own.h5").description
    audioset = replace(own, class_names=audioset_classes().names, class_mids=audioset_classes().mids)
    heard = listening(audioset)
    assert heard.address(b"-0RWZT-miFs", 420.0, 430.0) == "https://www.youtube.com/watch?v=-0RWZT-miFs&t=420s"
    assert heard.address(b"-0RWZT-miFs", math.nan) == "https://www.youtube.com/watch?v=-0RWZT-miFs&t=0s"
    assert heard.address(b"not an id", 0.0) is None
    assert listening(own).address(b"-0RWZT-miFs", 0.0) is None
    assert listening(audioset, synthetic=True).address(b"-0RWZT-miFs", 0.0) is None
    assert listening_of(make_store(tmp_path / "other.h5")).address(b"clip000001", 0.0) is None


def test_a_pattern_is_filled_and_quoted() -> None:
    heard = Listening("file:///data/{video_id}_{start}_{end}.wav")
    assert heard.address(b"a b/c?", 1.5, 3.0) == "file:///data/a%20b/c%3F_1.5_3.wav"
    assert heard.address(b"x", math.nan) == "file:///data/x_0_0.wav"


def test_an_id_that_leads_out_of_the_folder_of_sounds_has_no_address() -> None:
    heard = Listening("file:///data/{video_id}")
    for name in (b"../secret", b"a/../../secret", b"..", b"../secret@10s"):
        assert heard.address(name, 10.0) is None
    assert heard.address(b"/etc/..hidden", 0.0) == "file:///data//etc/..hidden"


def test_a_clip_of_a_recording_is_heard_in_the_recording() -> None:
    heard = Listening("file:///data/{video_id}")
    assert heard.address(b"june/street.wav@10s", 10.0, 20.0) == "file:///data/june/street.wav"
    assert heard.address(b"june/street.wav@10s", 20.0, 30.0) == "file:///data/june/street.wav%4010s", "it is a name"


@pytest.mark.parametrize("pattern", ["", "/data/{video_id}.wav", "javascript:alert('{video_id}')", "https://here/x"])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="audio_url must be an http, https or file address"):
        Listening(pattern)
