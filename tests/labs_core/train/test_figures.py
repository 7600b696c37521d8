"""What a lab draws or writes is saved under its name."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from labs_core.train.figures import save


def test_figures_become_pictures_and_texts_stay_texts(tmp_path: Path) -> None:
    save([("line", Figure(figsize=(2, 1))), ("table", "a  b\n1  ½\n")], tmp_path / "figures")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"line.png", "table.txt"}
    assert Image.open(tmp_path / "figures" / "line.png").format == "PNG"
    assert (tmp_path / "figures" / "table.txt").read_text(encoding="utf-8") == "a  b\n1  ½\n"
