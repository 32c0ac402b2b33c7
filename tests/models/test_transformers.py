"""Hugging Face transformers: an encoder, a decoder with a cache, a decoder with rotary embeddings."""

import pytest
import torch

from tests.harness import Arguments, check, fresh

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

VOCABULARY = 99
SMALL = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
)


def bert():
    config = transformers.BertConfig(**SMALL)
    return transformers.BertForMaskedLM(config).eval()


def gpt2():
    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    return transformers.GPT2LMHeadModel(config).eval()


def llama():
    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, head_dim=8)
    return transformers.LlamaForCausalLM(config).eval()


def tokens(k: int, batch: int = 2, length: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(k)
    return torch.randint(3, VOCABULARY, (batch, length), generator=generator)


def masked(k: int) -> Arguments:
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[0, 9:] = 0
    return Arguments(keywords={"input_ids": tokens(k), "attention_mask": mask})


def plain(k: int) -> Arguments:
    return Arguments(keywords={"input_ids": tokens(k), "use_cache": False})


def cached(k: int) -> Arguments:
    return Arguments(keywords={"input_ids": tokens(k), "use_cache": True})


def labelled(k: int) -> Arguments:
    return Arguments(keywords={"input_ids": tokens(k), "labels": tokens(k + 100)})


@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        pytest.param(bert, masked, id="bert"),
        pytest.param(gpt2, plain, id="gpt2"),
        pytest.param(gpt2, cached, id="gpt2-cached"),
        pytest.param(llama, plain, id="llama"),
        pytest.param(llama, cached, id="llama-cached"),
    ],
)
def test_evaluation(build, inputs):
    check(fresh(build), inputs=inputs, context=torch.no_grad, fullgraph=True)


def test_hidden_states_and_tuples():
    def inputs(k):
        return Arguments(
            keywords={"input_ids": tokens(k), "output_hidden_states": True, "return_dict": False}
        )

    # The library takes a lock while it installs its hooks: breaks, and the same answer.
    check(
        fresh(bert),
        inputs=inputs,
        context=torch.no_grad,
        graphs=None,
        breaks=None,
        recompiles=None,
        fullgraph=False,
    )


@pytest.mark.parametrize("build", [bert, llama])
def test_loss_and_gradients(build):
    check(fresh(build), inputs=labelled, fullgraph=True, backward=True, calls=2)


def test_other_lengths_are_one_more_graph_for_all():
    def inputs(k):
        return Arguments(keywords={"input_ids": tokens(k, batch=2, length=8 + k), "use_cache": False})

    check(fresh(gpt2), inputs=inputs, graphs=2, recompiles=1, calls=4, context=torch.no_grad)
