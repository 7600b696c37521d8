"""The search inside the lab: its cache, its batches, and the same translations from the bundle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnxruntime
import pytest
import torch

from labs.week06_transformer.decoding import GREEDY, Search, translate
from labs.week06_transformer.exercises.beam_search import beam_search
from labs_core.bundle.export import to_onnx
from labs_core.data.sentences import SentenceSpec
from labs_core.errors import LabsError
from labs_core.tasks import get_task

PAD, BOS, EOS = 0, 1, 2


def spec(longest=8, vocabulary=30):
    return SentenceSpec("{}", vocabulary, PAD, BOS, EOS, 24, longest, "en", "fr")


def sources(lengths, seed=0):
    """Random ids, each sentence with its eos, padded."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.full((len(lengths), max(lengths)), PAD)
    for row, length in zip(rows, lengths, strict=True):
        row[: length - 1] = torch.randint(4, 30, (length - 1,), generator=random)
        row[length - 1] = EOS
    return rows


@pytest.fixture
def network(make_network):
    """Random weights, larger than usual: its probabilities differ."""
    network = make_network()
    with torch.no_grad():
        for block in network.decoder:
            block.linear_2.weight *= 4
        network.embedding.weight *= 2
    return network


@torch.no_grad()
def log_p_of(network, source, tokens):
    """Σ log p of a translation, all of its tokens at once and without a cache."""
    target = torch.tensor([[BOS, *tokens[:-1]]])
    log_probs = (network(source, target) + network.impossible).log_softmax(-1)
    return sum(float(log_probs[0, i, token].double()) for i, token in enumerate(tokens))


def test_one_hypothesis_is_the_greedy_search(network):
    source = sources([5, 7, 3, 6])
    tokens, scores = translate(network, source, Search(1, 0.6), spec())
    for n in range(4):
        words = source[n : n + 1, : int((source[n] != PAD).sum())]
        said = [BOS]
        with torch.no_grad():
            while len(said) <= 8 and said[-1] != EOS:
                logits = network(words, torch.tensor([said]))[0, -1] + network.impossible
                said.append(int(logits.argmax()))
        assert [t for t in tokens[n].tolist() if t != PAD] == said[1:]
        penalty = ((5 + len(said) - 1) / 6) ** 0.6
        assert float(scores[n]) == pytest.approx(
            log_p_of(network, words, said[1:]) / penalty, rel=1e-4
        )


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
def test_enough_hypotheses_find_the_best_of_all_sentences(make_network, alpha):
    tiny = make_network(vocabulary=6, longest=8)  # pad, bos, eos and three words
    source, longest = torch.tensor([[3, 5, EOS]]), 4
    tokens, scores = translate(tiny, source, Search(200, alpha), spec(longest, 6))

    def every():
        for length in range(longest):
            for words in itertools.product((3, 4, 5), repeat=length):
                said = [*words, EOS]
                yield log_p_of(tiny, source, said) / ((5 + len(said)) / 6) ** alpha, said

    score, best = max(every())
    assert [t for t in tokens[0].tolist() if t != PAD] == best
    assert float(scores[0]) == pytest.approx(score, rel=1e-4)


@pytest.mark.parametrize("search", [GREEDY, Search(4, 0.6)], ids=["greedy", "beam"])
def test_padding_and_batch_size_change_no_translation(network, search):
    lengths = [3, 9, 5, 4, 8, 6, 7]
    source = sources(lengths)
    tokens, scores = translate(network, source, search, spec())
    padded = torch.cat([source, torch.full((7, 6), PAD)], dim=1)
    order = torch.tensor([4, 2, 0, 6, 1, 3, 5])
    for others, rows in ((padded, slice(None)), (source[order], order.argsort())):
        again, same = translate(network, others, search, spec())
        assert torch.equal(again[rows], tokens)
        torch.testing.assert_close(same[rows], scores, atol=1e-5, rtol=1e-5)
    for n, length in enumerate(lengths):
        alone, score = translate(network, source[n : n + 1, :length], search, spec())
        assert torch.equal(alone[0], tokens[n])
        torch.testing.assert_close(score[0], scores[n], atol=1e-5, rtol=1e-5)


def test_the_score_is_that_of_the_tokens_counted_with_eos(network):
    source = sources([5, 5, 5, 5])
    for alpha in (0.0, 1.0):
        tokens, scores = translate(network, source, Search(4, alpha), spec())
        for n in range(4):
            said = [t for t in tokens[n].tolist() if t != PAD]
            penalty = ((5 + len(said)) / 6) ** alpha
            expected = log_p_of(network, source[n : n + 1], said) / penalty
            assert float(scores[n]) == pytest.approx(expected, rel=1e-4)
            assert BOS not in said
            assert EOS not in said[:-1]


def test_a_translation_ends_at_the_longest(make_network):
    network = make_network()
    never = network.impossible.clone()
    never[EOS] = -torch.inf
    network.impossible = never
    tokens, scores = translate(network, sources([4, 6]), Search(3, 0.6), spec(5))
    assert tokens.shape == (2, 5)
    assert (tokens > EOS).all()
    assert torch.isfinite(scores).all()


def test_the_search_does_not_end_with_the_first_finished_hypothesis():
    """The trap of neulab/xnmt#572: stopping there returns the shortest."""

    def step(tokens, parents):
        table = torch.full((2, 5), -math.inf)
        first = tokens == BOS
        table[:, EOS] = torch.where(first, math.log(0.55), math.log(0.99))
        table[:, 3] = torch.where(first, math.log(0.45), math.log(0.01))
        return table

    def best(alpha):
        tokens, _ = beam_search(step, 1, 2, 6, alpha, BOS, EOS, PAD)
        return [t for t in tokens[0].tolist() if t != PAD]

    assert best(0.0) == [EOS]
    assert best(3.0) == [3, EOS], "ln 0.45 / lp(2) is more than ln 0.55 / lp(1)"


@pytest.mark.parametrize(("beam", "alpha"), [(0, 0.6), (-1, 0.6), (4, -0.1), (4, math.nan)])
def test_a_search_that_makes_no_sense_is_refused(beam, alpha):
    with pytest.raises(LabsError, match="decoding") as caught:
        Search(beam, alpha)
    assert caught.value.remedy


class OnnxGraph:
    """A graph of the bundle, as a task runs it."""

    def __init__(self, graph):
        self.session = onnxruntime.InferenceSession(to_onnx(graph))

    def run(self, inputs, outputs=None):
        names = list(outputs or [out.name for out in self.session.get_outputs()])
        found = self.session.run(names, {name: np.asarray(x) for name, x in inputs.items()})
        return dict(zip(names, found, strict=True))


@pytest.fixture(scope="module")
def exported(fitted):
    """The task, its parameters and the two graphs of the trained module."""
    export = fitted.module.export()
    task = get_task(export.task)
    task.check_params(export.params)
    return task, export.params, {name: OnnxGraph(g) for name, g in export.graphs.items()}


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("batch", [1, 7])
def test_the_bundle_writes_token_by_token_what_the_module_writes(fitted, exported, beam, batch):
    task, params, graphs = exported
    module, data = fitted.module, fitted.data
    params = {**params, "beam": beam}
    source = data.source.splits["test"][0]
    tokens, scores = module.translate(source[:21], Search(beam, params["length_penalty"]))
    found = []
    for start in range(0, 21, batch):
        inputs = task.preprocess(data.raw("test", range(start, start + batch)), params)
        found.append(task.infer(graphs, inputs, params, ("tokens", "score")))
    np.testing.assert_array_equal(np.concatenate([f["tokens"] for f in found]), tokens.numpy())
    np.testing.assert_allclose(np.concatenate([f["score"] for f in found]), scores, atol=1e-5)
    answers = task.postprocess({"tokens": tokens.numpy(), "score": scores.numpy()}, params)
    assert [answer["translation"] for answer in answers] == module.texts((tokens, scores))


def test_the_steps_attention_is_that_of_the_last_layer(fitted, exported):
    _, _, graphs = exported
    source = fitted.data.source.splits["test"][0][:3]
    memory = graphs["model"].run({"source": source})
    n, layers, heads, _, size = memory["keys"].shape
    nothing = np.zeros((n, layers, heads, 0, size), np.float32)
    start = {"token": np.full(3, BOS), "position": np.zeros(3, np.int64), "source": source}
    step = graphs["step"].run({**start, **memory, "past_keys": nothing, "past_values": nothing})
    with torch.no_grad():
        looked = fitted.module.network.look(torch.full((3, 1), BOS), source)
    np.testing.assert_allclose(step["attention"], looked[:, :, 0].mean(1), atol=1e-5)
    assert np.isneginf(step["log_probs"][:, [PAD, BOS]]).all()
    assert step["new_keys"].shape == (n, layers, heads, 1, size)
