"""The lab's LightningModule: how the Transformer is trained, tested, and what comes of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from tokenizers import Tokenizer
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from labs.week06_transformer.decoding import GREEDY, Search, translate
from labs.week06_transformer.graphs import graphs
from labs.week06_transformer.losses import token_loss
from labs.week06_transformer.scores import Scores, score
from labs.week06_transformer.transformer import Transformer
from labs_core.bundle.export import Export
from labs_core.data.sentences import SentenceSpec, bleu

Batch = tuple[Tensor, Tensor]  # source int64 (B, S), target int64 (B, T + 1) beginning with bos


class Translator(pl.LightningModule):
    """A Transformer that learns to translate.

    Args:
        spec: vocabulary and special ids of the sentences.
        network: makes the Transformer from `vocabulary`, `pad`, `never` and `longest`.
        search: how translations are looked for in the test and in use.
        label_smoothing: ε of the training loss; validation and test have none.
        val_sentences: of the validation split, this many are translated after each epoch, greedily.
        optimizer: makes the optimizer from the parameters.
        scheduler: learning-rate factor by progress through the training.
        beams: numbers of hypotheses that a figure compares; none leaves it out.
    """

    def __init__(
        self,
        spec: SentenceSpec,
        network: Callable[..., Transformer],
        search: Search,
        label_smoothing: float,
        val_sentences: int,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[[float], float],
        beams: Sequence[int],
    ) -> None:
        super().__init__()
        self.spec, self.search, self.label_smoothing = spec, search, label_smoothing
        self.val_sentences, self.beams = val_sentences, tuple(beams)
        self.make_optimizer, self.schedule = optimizer, scheduler
        self.tokenizer = Tokenizer.from_str(spec.tokenizer)
        self.network = network(
            vocabulary=spec.vocabulary,
            pad=spec.pad,
            never=(spec.pad, spec.bos),
            longest=max(spec.max_source, spec.max_target),
        )
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self.tested: dict[str, tuple[list[str], Scores]] = {}  # by search: translations, scores
        self._sums: dict[str, Tensor] = {}  # by split: loss and tokens so far
        self._written: dict[str, list[str]] = {}  # by search: translations so far

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """source (B, S), target (B, T) -> the logits of each next token (B, T, V)."""
        return self.network(source, target)

    # -- training --------------------------------------------------------------------------------

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer, and its learning rate's course over all steps of the run."""
        optimizer = self.make_optimizer(self.parameters())
        steps = self.trainer.estimated_stepping_batches
        schedule = LambdaLR(optimizer, lambda step: self.schedule(min(step / steps, 1.0)))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_epoch_start(self) -> None:
        """Begin a new entry of the history, and note the rate that it begins with."""
        self._sums.clear()
        [rate] = self.lr_schedulers().get_last_lr()
        self.log("train/lr", rate)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The smoothed loss of a token, the mean over all tokens of the step."""
        total, count = self._measure(batch, "train", self.label_smoothing)
        # With several processes each has other tokens: their gradients are averaged, so the sums
        # are divided by the mean number, and every token counts the same.
        return total / self.trainer.strategy.reduce(count.float(), reduce_op="mean")

    def on_validation_epoch_start(self) -> None:
        """Nothing is translated yet."""
        self._written["val"] = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The loss without smoothing, and translations of the first sentences."""
        self._measure(batch, "val")
        missing = self.val_sentences - len(self._written["val"])
        if missing > 0:
            self._written["val"] += self.texts(self.translate(batch[0][:missing], GREEDY))

    def on_validation_epoch_end(self) -> None:
        """Perplexity and BLEU; validation comes after the epoch's last step: the entry is done."""
        references = self.trainer.val_dataloaders.references
        written = self._written["val"]
        measured = {"val/ppl": math.exp(self._mean("val"))}
        if written:
            measured["val/bleu"] = bleu(written, references[: len(written)])
        self.log_dict(measured, sync_dist=True)
        losses = {f"{split}/loss": self._mean(split) for split in self._sums}
        self.history.append({**losses, **measured})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The course of the run so far, for the figures of a resumed one."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        self.history = list(checkpoint["history"])

    # -- test ------------------------------------------------------------------------------------

    def on_test_epoch_start(self) -> None:
        """Nothing is translated yet."""
        self._sums.clear()
        self._written = {"search": [], "greedy": []}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The loss as in validation, and translations by the search and greedily."""
        self._measure(batch, "test")
        searched = self.texts(self.translate(batch[0]))
        one = self.search.beam == 1  # then it is greedy
        greedy = searched if one else self.texts(self.translate(batch[0], GREEDY))
        self._written["search"] += searched
        self._written["greedy"] += greedy

    def on_test_epoch_end(self) -> None:
        """Hold both against the references."""
        references = self.trainer.test_dataloaders.references
        self.tested = {
            name: (written, score(written, references)) for name, written in self._written.items()
        }
        [_, searched], [_, greedy] = self.tested["search"], self.tested["greedy"]
        self.log_dict(
            {
                "test/ppl": math.exp(self._mean("test")),
                "test/bleu": searched.bleu,
                "test/chrf": searched.chrf,
                "test/exact": searched.exact,
                "test/bleu_greedy": greedy.bleu,
            }
        )

    def _measure(self, batch: Batch, split: str, epsilon: float = 0.0) -> tuple[Tensor, Tensor]:
        """The summed loss of the tokens, and their number; the mean is logged."""
        source, target = batch
        total, count = token_loss(self(source, target[:, :-1]), target, self.spec.pad, epsilon)
        self.log(
            f"{split}/loss",
            total / count,
            on_step=False,
            on_epoch=True,
            batch_size=int(count),  # a batch counts by its tokens
            sync_dist=True,
        )
        seen = torch.stack([total.detach(), count.float()]).cpu().double()
        self._sums[split] = self._sums.get(split, torch.zeros_like(seen)) + seen
        return total, count

    def _mean(self, split: str) -> float:
        total, count = self._sums[split].tolist()
        return total / count

    # -- what comes of it ------------------------------------------------------------------------

    def translate(self, source: Tensor, search: Search | None = None) -> tuple[Tensor, Tensor]:
        """source (B, S) -> tokens (B, max_target), scores (B,); see `decoding.py`."""
        return translate(self.network, source, search or self.search, self.spec)

    def texts(self, translated: tuple[Tensor, Tensor]) -> list[str]:
        """The tokens of `translate` as text, up to eos."""
        rows: Sequence[Sequence[int]] = translated[0].tolist()
        spec = self.spec
        ended = [row[: row.index(spec.eos)] if spec.eos in row else row for row in rows]
        return self.tokenizer.decode_batch([[t for t in row if t != spec.pad] for row in ended])

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """source (B, S) -> tokens (B, max_target) ending in eos, then pad, and scores (B,)."""
        tokens, scores = self.translate(batch[0])
        return {"tokens": tokens, "score": scores}

    def export(self) -> Export:
        """The bundle: a graph that reads, one that writes a word; the search is the task's."""
        spec = self.spec
        return Export(
            task="translation",
            graphs=graphs(self.network),
            params={
                "tokenizer": json.loads(spec.tokenizer),
                "pad": spec.pad,
                "bos": spec.bos,
                "eos": spec.eos,
                "max_source": spec.max_source,
                "max_target": spec.max_target,
                "source": spec.source,
                "target": spec.target,
                "beam": self.search.beam,
                "length_penalty": self.search.length_penalty,
            },
        )

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure | str]]:
        """The figures of the guide, for this run."""
        from labs.week06_transformer import figures

        yield from figures.draw(self, datamodule)
