"""Small language models of random weights, written as transformers writes its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

SPECIAL = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<cls>", "mask_token": "<mask>"}


def kmers(k: int) -> list[str]:
    return ["".join(letters) for letters in product("ATCG", repeat=k)]


def random_dna(length: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def save(folder: Path, model: Any, tokenizer: Any, *, safe: bool = True) -> None:
    """Write a model and its tokenizer; biases and norms, which start at 0 and 1, are made random."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "A_log" not in name and "dt_proj" not in name:
                parameter += torch.randn(parameter.shape) * 0.1
    model.save_pretrained(folder, safe_serialization=safe)
    tokenizer.save_pretrained(folder)


def esm_tokenizer(folder: Path, words: list[str]) -> Any:
    """The tokenizer of Nucleotide Transformer v1, with these words."""
    from transformers import EsmTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "words.txt"
    path.write_text("\n".join([*SPECIAL.values(), *words]))
    tokenizer = EsmTokenizer(str(path), **SPECIAL, eos_token=None)
    path.unlink()
    return tokenizer


def write_esm(folder: Path, words: list[str], *, safe: bool = True, **sizes: Any) -> None:
    from transformers import EsmConfig, EsmForMaskedLM

    tokenizer = esm_tokenizer(folder, words)
    config = EsmConfig(
        **{"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2},
        **{"intermediate_size": 24, "max_position_embeddings": 202, "pad_token_id": 1, "mask_token_id": 3},
        **{"position_embedding_type": "absolute", "token_dropout": False, **sizes},
    )
    save(folder, EsmForMaskedLM(config), tokenizer, safe=safe)


def write_bert(folder: Path, k: int, *, lower: bool = False) -> None:
    """As DNABERT: each k-mer is a word of its own."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = [word.lower() if lower else word for word in kmers(k)]
    path = folder / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    tokenizer = BertTokenizerFast(str(path), do_lower_case=False)
    config = BertConfig(
        **{"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 24, "max_position_embeddings": 128},
    )
    save(folder, BertForMaskedLM(config), tokenizer)


def bpe_tokenizer(*, metaspace: bool, unknown: bool = True) -> Any:
    """A tokenizer of pieces of variable length, trained on random DNA."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if unknown else None))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=120, special_tokens=["<unk>", "</s>"] if unknown else ["</s>"], show_progress=False
    )
    tokenizer.train_from_iterator([random_dna(400, seed) for seed in range(20)], trainer)
    special = {"unk_token": "<unk>"} if unknown else {}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", **special)


def letters_tokenizer() -> Any:
    """A tokenizer of single letters, N among them, that ends a text with a special token."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate(["<unk>", "</s>", *"ACGTN"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


def small_model(kind: str, words: int) -> Any:
    """Return a model of a kind, with an output head where it usually has one."""
    import transformers as t

    both = {"vocab_size": words, "hidden_size": 16, "num_hidden_layers": 2}
    usual = {**both, "num_attention_heads": 2, "intermediate_size": 24}
    special = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": 1}
    makers: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(vocab_size=words, n_embd=16, n_layer=2, n_head=2, n_positions=256)
        ),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**usual, **special)),
        "mistral": lambda: t.MistralForCausalLM(
            t.MistralConfig(**usual, **special, num_key_value_heads=1, sliding_window=32)
        ),
        "olmo": lambda: t.OlmoForCausalLM(t.OlmoConfig(**usual, **special)),
        "mamba": lambda: t.MambaForCausalLM(t.MambaConfig(**both, **special, state_size=4)),
        "modernbert": lambda: t.ModernBertForMaskedLM(
            t.ModernBertConfig(
                **usual,
                **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id"), 1),
                sep_token_id=1,
                local_attention=16,
                global_attn_every_n_layers=2,
            )
        ),
        "roformer": lambda: t.RoFormerForMaskedLM(t.RoFormerConfig(**usual, max_position_embeddings=256)),
    }
    return makers[kind]()


def write_small(folder: Path, kind: str, tokenizer: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save(folder, small_model(kind, len(tokenizer)), tokenizer)
