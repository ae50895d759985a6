"""Models of transformers and modules of one's own as encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import audiobag
from audiobag.cli.assemble import build
from audiobag.export import write_export
from audiobag.sound import OwnModule, Transformers, embed, restore_encoder
from tests.composing import composed, trained
from tests.sound.making import noise, write


@pytest.fixture(scope="module")
def wav2vec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random wav2vec 2.0 in a folder."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("wav2vec")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(80, 4),
        conv_kernel=(80, 4),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(folder)
    return folder


def whisper(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        vocab_size=50,
        num_mel_bins=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return folder


def test_tokens_are_pooled_as_transformers_gives_them(wav2vec: Path) -> None:
    import transformers

    windows = torch.from_numpy(np.stack([noise(1.0), noise(1.0, seed=1)]))
    model = transformers.Wav2Vec2Model.from_pretrained(wav2vec).eval()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(wav2vec)
    inputs = extractor(list(windows.numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs, output_hidden_states=True)
        for layer, tokens in ((None, output.last_hidden_state), (1, output.hidden_states[1])):
            for pooling, expected in (("mean", tokens.mean(1)), ("max", tokens.amax(1)), ("first", tokens[:, 0])):
                encoder = Transformers(wav2vec, layer, pooling)
                assert encoder.dim == 16
                torch.testing.assert_close(encoder(windows), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_is_read_in_fp32(wav2vec: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    import transformers

    model = transformers.Wav2Vec2Model.from_pretrained(wav2vec).to(dtype)
    model.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor.from_pretrained(wav2vec).save_pretrained(tmp_path)
    encoder, windows = Transformers(tmp_path), torch.from_numpy(noise(1.0))[None]
    expected = Transformers(wav2vec)
    expected.model.load_state_dict(model.state_dict())
    torch.testing.assert_close(encoder(windows), expected(windows))
    assert encoder.record()["weights_sha256"] == expected.record()["weights_sha256"]


def test_whispers_tokens_of_padding_are_left_out(tmp_path: Path) -> None:
    encoder = Transformers(whisper(tmp_path), window_seconds=3.0)
    window = torch.from_numpy(noise(3.0))[None]
    with torch.inference_mode():
        inputs = encoder.extractor([window[0].numpy()], sampling_rate=16_000, return_tensors="pt")
        tokens = encoder.model(**inputs).last_hidden_state
        assert tokens.shape[1] == 1500
        torch.testing.assert_close(encoder(window), tokens[:, :150].mean(1))


def test_windows_that_a_model_would_cut_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"window_seconds must be at most 30, all that .* takes, got 40"):
        Transformers(whisper(tmp_path / "whisper"), window_seconds=40.0)
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "num_mel_bins": 32,
    }
    transformers.ASTModel(transformers.ASTConfig(**sizes)).save_pretrained(tmp_path / "ast")
    transformers.ASTFeatureExtractor(num_mel_bins=32).save_pretrained(tmp_path / "ast")
    with pytest.raises(ValueError, match=r"window_seconds must be at most 10\.24, all that .* takes, got 12"):
        Transformers(tmp_path / "ast", window_seconds=12.0)


def test_a_run_and_its_export_know_the_model(wav2vec: Path, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "in" / str(number % 2) / f"{number}.wav", noise(2.0, seed=number))
    for split in ("bal_train", "eval"):
        embed(tmp_path / "in", tmp_path / "data", encoder=Transformers(wav2vec), labels="folders", split=split)
    run = trained(tmp_path / "data", tmp_path / "run", "data=own").path
    mine = audiobag.load(run).listen(tmp_path / "in" / "0" / "0.wav")
    write_export(run, tmp_path / "whole", replicates=0, with_encoder=True)
    moved = wav2vec.rename(tmp_path / "moved")
    try:
        theirs = audiobag.load(tmp_path / "whole").listen(tmp_path / "in" / "0" / "0.wav")
    finally:
        moved.rename(wav2vec)
    np.testing.assert_allclose(mine.frame, theirs.frame, atol=1e-6)
    assert (mine.encoder, len(mine.frame)) == ("transformers", 2)


def test_models_that_cannot_be_had_give_a_sentence(
    wav2vec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for model in ("nobody/nothing-of-that-name", str(tmp_path)):
        with pytest.raises(ValueError, match="model must be an audio model on the Hugging Face hub, or a folder"):
            Transformers(model)
    with pytest.raises(ValueError, match="layer must be a hidden state of the model, from 0 to 2"):
        Transformers(wav2vec, layer=7)
    with pytest.raises(ValueError, match="pooling must be one of mean, max, first"):
        Transformers(wav2vec, pooling="last")
    with pytest.raises(ValueError, match="window_seconds must be long enough"):
        Transformers(wav2vec, window_seconds=0.001)


OWN = {"_target_": "torch.nn.Linear", "in_features": 8000, "out_features": 4}


def test_a_module_of_your_own_is_made_again_from_its_record(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(8000, 4)
    save_file(linear.state_dict(), tmp_path / "linear.safetensors")
    options = ["encoder=torch", "encoder.module._target_=torch.nn.Linear", "+encoder.module.in_features=8000"]
    options += ["+encoder.module.out_features=4", "encoder.sample_rate=8000", "encoder.dim=4"]
    options += [f"encoder.weights={tmp_path}/linear.safetensors"]
    encoder = build("encoder", composed("embed", "source=x", "out=y", *options)["encoder"])
    windows = torch.from_numpy(noise(1.0, 8000))[None]
    torch.testing.assert_close(encoder(windows), linear(windows))
    again = restore_encoder(encoder.record())
    torch.testing.assert_close(again(windows), encoder(windows))
    (tmp_path / "bundle").mkdir()
    moved = {**encoder.record(), "config": encoder.bundle(tmp_path / "bundle")}
    (tmp_path / "linear.safetensors").unlink()
    torch.testing.assert_close(restore_encoder(moved, tmp_path / "bundle")(windows), linear(windows))


def test_records_from_strangers_run_no_code(tmp_path: Path) -> None:
    record = OwnModule(OWN, 8000, 4).record()
    for target in ("os.system", "subprocess.Popen", "tests.sound.making.small", "torch.nn.ReLU"):
        evil = {**record, "config": {**record["config"], "_target_": target, "module": OWN}}
        with pytest.raises(ValueError, match=r"cannot be made again|must be one of audiobag.sound"):
            restore_encoder(evil)
    with pytest.raises(ValueError, match=r"names 'os.system'"):
        restore_encoder({**record, "config": {**record["config"], "module": {"_target_": "os.system"}}})
    nested = {"_target_": "audiobag.sound.OwnModule", "_partial_": True}
    with pytest.raises(ValueError, match=r"cannot be made again"):
        restore_encoder({**record, "config": {**record["config"], "module": nested}})
    weights = "http://127.0.0.1:9/vggish.pth"
    with pytest.raises(ValueError, match=r"weights at http://127\.0\.0\.1:9/vggish\.pth, and addresses in files"):
        restore_encoder({"name": "vggish", "config": {"_target_": "audiobag.sound.VGGish", "weights": weights}})
    with pytest.raises(ValueError, match=r"is not the one that made .* their weights differ"):
        restore_encoder(record)  # without its weights, which were random


def test_weights_of_a_module_are_checked(tmp_path: Path) -> None:
    module = torch.nn.Linear(8000, 4)
    torch.save(module, tmp_path / "whole.pth")
    torch.save({**module.state_dict(), "more": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.pth").write_text("hello")
    for name, message in (
        ("whole.pth", r"weights must be a file of tensors alone, got .*whole\.pth \(UnpicklingError\)"),
        ("empty.pth", r"weights must be a .* file of tensors, got .*empty\.pth, which cannot be read"),
        ("text.pth", r"weights must be a .* file of tensors, got .*text\.pth, which cannot be read"),
        ("none.pth", r"weights must be a .* file of tensors, got .*none\.pth, which cannot be read"),
        ("other.pth", r"weights must be a state_dict of the module, got .*other\.pth"),
    ):
        with pytest.raises(ValueError, match=message):
            OwnModule(module, 8000, 4, weights=tmp_path / name)


def test_a_module_in_bf16_has_a_checksum() -> None:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2).bfloat16()
    found = OwnModule(module, 8000, 2).record()["weights_sha256"]
    assert found == OwnModule(module, 8000, 2).record()["weights_sha256"]
    module.weight.data[0, 0] += 1
    assert found != OwnModule(module, 8000, 2).record()["weights_sha256"]


def test_modules_of_other_shapes_are_refused() -> None:
    for module, message in (
        (torch.nn.Linear(8000, 5), r"module must return \[1, 4\] .* got \[1, 5\]"),
        (torch.nn.Flatten(0), "module must return .* got"),
    ):
        with pytest.raises(ValueError, match=message):
            OwnModule(module, 8000, 4)(torch.zeros(1, 8000))
    parts = OwnModule(torch.nn.Unflatten(1, (2000, 4)), 8000, 4)
    wave = torch.from_numpy(noise(1.0, 8000))[None]
    torch.testing.assert_close(parts(wave), wave.reshape(1, 2000, 4).mean(1))
    assert OwnModule(torch.nn.Identity(), 8000, 8000).record()["config"] is None
    with pytest.raises(ValueError, match="encoder must be given, since a Python object made"):
        restore_encoder(OwnModule(torch.nn.Identity(), 8000, 8000).record())
