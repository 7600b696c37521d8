from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labs_core.cli.compare import compare
from labs_core.errors import LabsError
from labs_core.track.tracker import Tracker


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two runs of week5, made once."""
    runs = tmp_path_factory.mktemp("compare") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_RUNS", str(runs))
        for name, rate, accuracy in [("slow", 0.001, 0.6), ("fast", 0.1, 0.8)]:
            folder = runs / name
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text(
                f"optimizer:\n  lr: {rate}\n  betas: [0.9, 0.99]\nnote: '<b>[red]'\n",
                encoding="utf-8",
            )
            tracker = Tracker(folder, None, "week5", f"label <{name}>", {"note": "[x]"})
            tracker.dataset("textures", "ab" * 32, "here", {"train": 1})
            tracker.artifact(folder / "config.yaml")
            for step in range(0, 100, 5):
                tracker.metrics({"train/loss": 1 / (1 + step * rate)}, step)
            tracker.metrics({"test/acc": accuracy, "test/odd": float("nan")}, 100)
            assert tracker.finish("FINISHED", timeout=120).pending == 0
    return runs


@pytest.fixture
def runs(stored: Path, labs_cli: Callable, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABS_RUNS", str(stored))
    return stored


def call(*names: str, **options):
    """The command without a process of its own."""
    given = {"last": 5, "everything": False, "html": None, "show": False, "as_json": False}
    compare("week5", list(names), **{**given, "tracking": "local", **options})


class Page(HTMLParser):
    """What a page holds: cells of its tables, titles, and everything that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append(tag)
        self.loads += [value for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def test_the_table_shows_what_differs_and_marks_the_best(runs: Path, labs_cli: Callable) -> None:
    code, out, _ = labs_cli("compare", "week5")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["optimizer.lr", "0.001", "0.1"] in rows
    assert ["test/acc", "0.6", "0.8", "★"] in rows
    assert not any(row and row[0] in ("optimizer.betas", "note", "name") for row in rows)
    assert "--all shows them" in out


def test_all_shows_equal_rows_as_they_are(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(everything=True)
    out = capsys.readouterr().out
    assert "[0.9, 0.99]" in out, "values are not taken for markup"
    assert "<b>[red]" in out


def test_the_json_is_one_object_without_nan(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("fast", "slow", as_json=True)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert [run["name"] for run in found["runs"]] == ["slow", "fast"]
    assert found["differences"]["Configuration"] == {"optimizer.lr": ["0.001", "0.1"]}
    assert found["best"]["test/acc"] == ["fast"]
    assert found["runs"][0]["metrics"]["test/odd"] is None
    assert len(found["runs"][0]["curves"]["train/loss"]) == 20


def test_the_page_stands_alone_and_holds_tables_and_curves(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    call(html=page)
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.loads == []
    assert "script" not in parsed.tags
    assert "http" not in text.replace("http-equiv", "")
    assert ["optimizer.lr", "0.001", "0.1"] in parsed.rows
    assert ["test/acc", "0.6", "0.8 ★"] in parsed.rows
    assert parsed.tags.count("svg") == 1
    assert parsed.tags.count("polyline") == 2
    assert parsed.tags.count("circle") == 40
    assert "label &lt;fast&gt;" in text
    assert "<fast>" not in text


@pytest.mark.browser
def test_the_page_is_readable_light_and_dark(runs: Path, tmp_path: Path, browser_path: str) -> None:
    from playwright.sync_api import sync_playwright

    page = tmp_path / "page.html"
    call(html=page)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        seen = {}
        for scheme in ("light", "dark"):
            tab = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
            tab.goto(page.as_uri())
            seen[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            overflow = tab.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not overflow, "wide tables scroll in their own box"
            box = tab.locator("svg").bounding_box()
            assert box
            assert box["width"] > 300
        browser.close()
    assert seen["light"] != seen["dark"]


@pytest.mark.parametrize(
    ("names", "options", "message", "remedy"),
    [
        (["fasst", "slow"], {}, "no run 'fasst'", "'fast'"),
        (["fast"], {}, "only one run", "labs run week5"),
        ([], {"tracking": "of"}, "no tracking 'of'", "'off'"),
        ([], {"tracking": "off"}, "has no store", "local"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    runs: Path, names: list[str], options: dict, message: str, remedy: str
) -> None:
    with pytest.raises(LabsError, match=message) as caught:
        call(*names, **options)
    assert remedy in caught.value.remedy


def test_an_unknown_lab_ends_with_exit_code_2_and_the_nearest_name(labs_cli: Callable) -> None:
    code, out, err = labs_cli("compare", "weak5")
    assert (code, out) == (2, "")
    assert "Did you mean 'week5'?" in err


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(
    runs: Path, tmp_path: Path
) -> None:
    with pytest.raises(LabsError, match="cannot be written"):
        call(html=tmp_path)
