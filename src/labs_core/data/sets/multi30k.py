"""Multi30k, task 1: descriptions of photographs in English and French (Elliott et al. 2016)."""

from __future__ import annotations

import gzip
from pathlib import Path

from labs_core.data.pairs import write_sentences

# In the order of the card's files, English then French. The test split is the one of 2016; those of
# 2017 and 2018 lie beside it under their own names.
SPLITS = ("train", "val", "test", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr")


def produce(files: list[Path], folder: Path) -> None:
    """29,000 / 1,014 / 1,000 pairs; more test sets of 1,000, 461 and 1,071.

    Spaces at the ends of lines, which some sentences have, are left out.
    """
    names = [(split, language) for split in SPLITS for language in ("en", "fr")]
    for (split, language), file in zip(names, files, strict=True):
        text = gzip.decompress(file.read_bytes()).decode()
        sentences = text.removesuffix("\n").split("\n")
        write_sentences(folder, split, language, [sentence.strip() for sentence in sentences])
