"""Translation: a text in one language in, its translation and a score out.

Parameters in bundle.json:
    tokenizer         the JSON of the `tokenizers` library as an object; one for both languages
    pad, bos, eos     ids of the special tokens
    max_source        tokens of a source, with eos
    max_target        tokens of a translation that are generated at most, with eos
    source, target    the languages, such as en and fr
    beam              hypotheses that the search keeps; 1 is greedy
    length_penalty    α of the search; see `beam_search`

The graph `model` encodes: `source` int64 (N, S), padded with `pad`, to `keys` and `values` float32
(N, L, H, S, D), what the L layers of the decoder attend to. The graph `step` writes one token more:
it takes `token` (N,) and `position` (N,), `source`, `keys` and `values` of each row, and of the
tokens before `past_keys` and `past_values` (N, L, H, P, D), P ≥ 0; it gives `log_probs` (N, V),
`new_keys` and `new_values` (N, L, H, P + 1, D), and `attention` (N, S). Of pad and bos log p is −∞.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs_core.errors import LabsError
from labs_core.tasks.beam_search import Hypothesis, beam_search
from labs_core.tasks.classes import finite
from labs_core.tasks.task import Answer, Graph, InvalidInput, Needs, Params, Task
from labs_core.tasks.tokens import Tokens, clean, tokens_of

MOST_BEAM = 16
MOST_ALTERNATIVES = 5
PADDED_TO = 8  # tokens: a source is padded to a multiple of it
ROWS = 64  # that are searched at once, hypotheses included; more are no faster
TEXTS = "texts.json"
TIE = 2e-5  # between scores: float32 sums of some dozen log-probabilities differ by as much

ATTENTION, ALTERNATIVES, SCORES = "attention", "alternatives", "alternative_scores"
Arrays = Mapping[str, np.ndarray]


class Translation(Task):
    """The task `translation`; see the module's docstring for its parameters.

    An item is a text, or {"text": …, "beam": …} where one is searched more or less widely.
    """

    name = "translation"
    field = "text"

    def check_params(self, params: Params) -> None:
        """Raises LabsError where a parameter is missing or makes no sense."""
        tokenizer = params.get("tokenizer")
        if not isinstance(tokenizer, Mapping):
            raise self._bad("'tokenizer' is not an object")
        size = tokens_of(params).size
        special = [params.get(name) for name in ("pad", "bos", "eos")]
        if not all(_whole(each, 0, size - 1) for each in special) or len(set(special)) != 3:
            raise self._bad(f"'pad', 'bos' and 'eos' are not three ids below {size}")
        for name in ("max_source", "max_target"):
            if not _whole(params.get(name), 2, 100_000):
                raise self._bad(f"'{name}' is not a number of tokens")
        for name in ("source", "target"):
            if not (isinstance(params.get(name), str) and params[name]):
                raise self._bad(f"'{name}' is not a language")
        if not _whole(params.get("beam"), 1, MOST_BEAM):
            raise self._bad(f"'beam' is not a number from 1 to {MOST_BEAM}")
        alpha: Any = params.get("length_penalty")
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 10:
            raise self._bad("'length_penalty' is not a number from 0 to 10")

    def outputs(self, params: Params) -> tuple[str, ...]:
        """The best translation; where it looked and what else it found are asked for where shown.

        `infer` also gives `attention` float32 (N, max_target, max_source), `alternatives` int64
        (N, MOST_ALTERNATIVES, max_target) and `alternative_scores` float32, NaN where there are
        fewer.
        """
        return ("tokens", "score")

    def graphs(self, params: Params) -> dict[str, Needs]:
        """The encoder and a step of the decoder."""
        memory = ("keys", "values")
        row, past = ("token", "position", "source"), ("past_keys", "past_values")
        return {
            "model": Needs(memory, ("source",)),
            "step": Needs(
                ("log_probs", "new_keys", "new_values", "attention"), (*row, *memory, *past)
            ),
        }

    def preprocess(self, items: Sequence[Any], params: Params) -> dict[str, np.ndarray]:
        """N texts to `source` int64 (N, max_source), `beam` and `characters` int64 (N,)."""
        tokens = tokens_of(params)
        source = np.full((len(items), params["max_source"]), params["pad"])
        beam = np.full(len(items), params["beam"])
        characters = np.zeros(len(items), np.int64)
        for index, item in enumerate(items):
            try:
                text, beam[index] = _read(item, params)
                ids = tokens.encode(text, params["max_source"] - 1)
            except InvalidInput as error:
                raise error.at(index) from None
            source[index, : len(ids) + 1] = [*ids, params["eos"]]
            characters[index] = len(text)
        return {"source": source, "beam": beam, "characters": characters}

    def infer(
        self,
        graphs: Mapping[str, Graph],
        inputs: Arrays,
        params: Params,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Search each row's translation; see `outputs` for what there is.

        How far a source is padded depends on its own length alone, so that a translation does not
        depend on what it is translated with.
        """
        names = outputs or ("tokens", "score", ATTENTION, ALTERNATIVES, SCORES)
        source, n, longest = inputs["source"], len(inputs["source"]), params["max_target"]
        answer: dict[str, np.ndarray] = {
            "tokens": np.full((n, longest), params["pad"]),
            "score": np.full(n, np.nan, np.float32),
        }
        if ATTENTION in names:
            answer[ATTENTION] = np.zeros((n, longest, source.shape[1]), np.float32)
        if ALTERNATIVES in names or SCORES in names:
            shape = (n, MOST_ALTERNATIVES)
            answer[ALTERNATIVES] = np.full((*shape, longest), params["pad"])
            answer[SCORES] = np.full(shape, np.nan, np.float32)
        for rows, width in _alike(source, inputs["beam"], params["pad"]):
            beam = int(inputs["beam"][rows[0]])
            found = _search(graphs, source[rows, :width], beam, params, answer.keys())
            for row, hypotheses in zip(rows, found, strict=True):
                _fill(answer, row, hypotheses)
        return {name: answer[name] for name in names}

    def postprocess(self, outputs: Arrays, params: Params) -> list[Answer]:
        """`{"translation": …, "score": log p / lp(length)}` for each text.

        Where `alternatives` are among the outputs, also `"alternatives"`: the best few, this one
        first, each like this one.
        """
        tokens, scores = outputs["tokens"], finite(outputs["score"], "scores")
        read = tokens_of(params)
        if tokens.ndim != 2 or scores.shape != tokens.shape[:1]:
            what = f"The model gives tokens of shape {tokens.shape} and scores of {scores.shape}"
            raise LabsError(what)
        answers: list[Answer] = [
            _written(read, row, score, params)
            for row, score in zip(tokens, scores.tolist(), strict=True)
        ]
        if ALTERNATIVES in outputs:
            for answer, rows, those in zip(
                answers, outputs[ALTERNATIVES], outputs[SCORES].tolist(), strict=True
            ):
                found = zip(rows, those, strict=True)
                all_of = [_written(read, row, s, params) for row, s in found if not math.isnan(s)]
                # Two ways to write one text are one alternative.
                first = {each["translation"]: each for each in reversed(all_of)}
                answer[ALTERNATIVES] = [e for e in all_of if first[e["translation"]] is e]
        return answers

    def ties(self, one: Answer, other: Answer) -> bool:
        """Whether they are two translations of one score."""
        try:
            return math.isclose(one["score"], other["score"], rel_tol=TIE, abs_tol=TIE)
        except (KeyError, TypeError):  # what somebody has written into a bundle's golden answers
            return False

    def summarise(self, inputs: Arrays, params: Params) -> list[dict[str, float]]:
        """Characters, tokens, and the share of tokens that the vocabulary does not have."""
        source, unknown = inputs["source"], tokens_of(params).unknown
        lengths = (source != params["pad"]).sum(axis=1) - 1  # without eos
        unknowns = (source == unknown).sum(axis=1)
        return [
            {"characters": float(c), "tokens": float(n), "unknown": round(float(u / n), 4)}
            for c, n, u in zip(inputs["characters"], lengths, unknowns, strict=True)
        ]

    def to_json(self, item: Any, params: Params) -> Any:
        """The text; with its `beam` where it has one of its own."""
        text, beam = _read(item, params)
        return {"text": text, "beam": beam} if isinstance(item, Mapping) else text

    def dump_inputs(self, items: Sequence[Any], params: Params) -> dict[str, bytes]:
        """One JSON file with all texts."""
        texts = [self.to_json(item, params) for item in items]
        return {TEXTS: (json.dumps(texts, indent=1, ensure_ascii=False) + "\n").encode()}

    def load_inputs(self, files: Mapping[str, bytes], params: Params) -> list[Any]:
        """The texts of the JSON file."""
        texts: list[Any] = json.loads(files[TEXTS])
        return texts

    def _bad(self, why: str) -> LabsError:
        return LabsError(f"Task {self.name}", why)


class _Decoder:
    """The graph `step` with the memory of a search's rows."""

    def __init__(self, step: Graph, source: np.ndarray, memory: Arrays, attention: bool) -> None:
        self._step, self._all = step, {"source": source, **memory}
        self._outputs = ("log_probs", "new_keys", "new_values") + (ATTENTION,) * attention
        self._sentences = np.arange(len(source))
        self._rows: dict[str, np.ndarray] = self._all
        n, layers, heads, _, depth = memory["keys"].shape
        nothing = np.zeros((n, layers, heads, 0, depth), np.float32)
        self._past = {"past_keys": nothing, "past_values": nothing}

    def __call__(
        self, tokens: NDArray[np.int64], parents: NDArray[np.int64], sentences: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `beam_search.Step`."""
        position = self._past["past_keys"].shape[3]
        if not np.array_equal(parents, np.arange(len(self._sentences))):
            self._past = {name: values[parents] for name, values in self._past.items()}
        if not np.array_equal(sentences, self._sentences):
            self._rows = {name: values[sentences] for name, values in self._all.items()}
            self._sentences = sentences
        given = {"token": tokens, "position": np.full(len(tokens), position)}
        found = self._step.run({**given, **self._rows, **self._past}, self._outputs)
        self._past = {"past_keys": found["new_keys"], "past_values": found["new_values"]}
        return found["log_probs"], found.get(ATTENTION)


def _search(
    graphs: Mapping[str, Graph],
    source: np.ndarray,
    beam: int,
    params: Params,
    names: Collection[str],
) -> list[list[Hypothesis]]:
    """The translations of sources (B, S)."""
    memory = graphs["model"].run({"source": source}, ("keys", "values"))
    return beam_search(
        _Decoder(graphs["step"], source, memory, ATTENTION in names),
        len(source),
        beam,
        params["max_target"],
        params["length_penalty"],
        params["bos"],
        params["eos"],
        min(beam, MOST_ALTERNATIVES) if ALTERNATIVES in names else 1,
    )


def _alike(
    source: np.ndarray, beam: np.ndarray, pad: int
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows that are searched together, and how many tokens of them: of one beam, padded alike."""
    lengths = (source != pad).sum(axis=1)
    widths = np.minimum(-(-lengths // PADDED_TO) * PADDED_TO, source.shape[1])
    for width, k in sorted(set(zip(widths.tolist(), beam.tolist(), strict=True))):
        rows = np.flatnonzero((widths == width) & (beam == k))
        count = max(1, ROWS // k)
        for start in range(0, len(rows), count):
            yield rows[start : start + count], width


def _fill(answer: dict[str, np.ndarray], row: int, found: Sequence[Hypothesis]) -> None:
    """Write one source's translations into the arrays that there are."""
    for n, hypothesis in enumerate(found):
        t = len(hypothesis.tokens)
        if n == 0:
            answer["tokens"][row, :t] = hypothesis.tokens
            answer["score"][row] = hypothesis.score
            if ATTENTION in answer:
                width = hypothesis.attention.shape[1]
                answer[ATTENTION][row, :t, :width] = hypothesis.attention
        if ALTERNATIVES in answer:
            answer[ALTERNATIVES][row, n, :t] = hypothesis.tokens
            answer[SCORES][row, n] = hypothesis.score


def written(row: np.ndarray, params: Params) -> list[int]:
    """The ids of a row before its eos, or its padding."""
    ends = np.flatnonzero((row == params["eos"]) | (row == params["pad"]))
    ids: list[int] = row[: ends[0] if len(ends) else None].tolist()
    return ids


def _written(read: Tokens, row: np.ndarray, score: float, params: Params) -> Answer:
    return {"translation": read.decode(written(row, params)), "score": score}


def _read(item: Any, params: Params) -> tuple[str, int]:
    """An item's text, and how widely it is searched."""
    beam = params["beam"]
    if isinstance(item, Mapping):
        if not _whole(item.get("beam", beam), 1, MOST_BEAM):
            raise InvalidInput(f"it must be a whole number from 1 to {MOST_BEAM}", "beam")
        beam, item = item.get("beam", beam), item.get("text")
    return clean(item, params["max_source"] - 1), beam


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
