"""A random Llama, tokens for it, and what eager attention says of them."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def small_model(seed=0, dtype=torch.float32, **options):
    """A random Llama of 2 layers, 4 heads on 2 key/value heads, with logits large enough to matter."""
    torch.manual_seed(seed)
    sizes = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**sizes, **options})).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight *= 8
            layer.self_attn.k_proj.weight *= 8
    return model.to(dtype)


def eager_attention(model, **inputs):
    """(L, B, H, T, T) float64, from a full forward that forms every matrix."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = model(**inputs, output_attentions=True, use_cache=False).attentions
    model.set_attn_implementation(before)
    return torch.stack(attentions).double()


def tokens(*shape, seed=0):
    return torch.randint(3, 97, shape, generator=torch.Generator().manual_seed(seed))
