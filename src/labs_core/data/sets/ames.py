"""Ames housing: 2,930 sales of houses in Ames, Iowa, 2006 to 2010, with 79 columns each.

De Cock (2011), "Ames, Iowa: Alternative to the Boston Housing Data", J. Statistics Education 19(3).
"""

from __future__ import annotations

import csv
from pathlib import Path

from labs_core.data.columns import Field, Schema, write_columns
from labs_core.data.split import shuffled

NUMBERS = frozenset(
    """Lot Frontage|Lot Area|Overall Qual|Overall Cond|Year Built|Year RemodAdd|Mas Vnr Area
    |BsmtFin SF 1|BsmtFin SF 2|Bsmt Unf SF|Total Bsmt SF|first Flr SF|second Flr SF
    |Low Qual Fin SF|Gr Liv Area|Bsmt Full Bath|Bsmt Half Bath|Full Bath|Half Bath|Bedroom AbvGr
    |Kitchen AbvGr|TotRms AbvGrd|Fireplaces|Garage Yr Blt|Garage Cars|Garage Area|Wood Deck SF
    |Open Porch SF|Enclosed Porch|threeSsn Porch|Screen Porch|Pool Area|Misc Val|Mo Sold
    |Yr Sold""".replace("\n    ", "").split("|")
)

QUALITY = ("NA", "Po", "Fa", "TA", "Gd", "Ex")  # none, poor, fair, typical, good, excellent
FINISH = (
    "NA",
    "Unf",
    "LwQ",
    "Rec",
    "BLQ",
    "ALQ",
    "GLQ",
)  # none, unfinished, … good living quarters
GRADED = (
    *("Exter Qual", "Exter Cond", "Bsmt Qual", "Bsmt Cond", "Heating QC", "Kitchen Qual"),
    *("Fireplace Qu", "Garage Qual", "Garage Cond", "Pool QC"),
)
ORDERS = {
    **dict.fromkeys(GRADED, QUALITY),
    "Bsmt Exposure": ("NA", "No", "Mn", "Av", "Gd"),
    "BsmtFin Type 1": FINISH,
    "BsmtFin Type 2": FINISH,
    "Functional": ("Sal", "Sev", "Maj2", "Maj1", "Mod", "Min2", "Min1", "Typ"),
    "Garage Finish": ("NA", "Unf", "RFn", "Fin"),
    "Land Slope": ("Sev", "Mod", "Gtl"),
    "Lot Shape": ("IR3", "IR2", "IR1", "Reg"),
    "Paved Drive": ("N", "P", "Y"),
    "Street": ("Grvl", "Pave"),
    "Utilities": ("NoSeWa", "NoSewr", "AllPub"),
}
HELD_OUT = 440  # sales each in val and test
LEFT_OUT = ("PID",)  # the assessor's number of the parcel


def produce(files: list[Path], folder: Path) -> None:
    """All sales, the five that De Cock would rather leave out among them.

    A field `NA` is a level of its own, "there is none" (no alley, no basement, no pool), and stays
    as it is; what is really missing is empty in the file. The price is judged by its logarithm, as
    in Kaggle's House Prices. `Order` names a row.
    """
    with files[0].open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        # One level has a blank behind it: "WD ".
        rows = [{name: cell.strip() for name, cell in row.items()} for row in table]
    names = [name for name in rows[0] if name not in ("Order", *LEFT_OUT, "SalePrice")]
    fields = tuple(
        Field(
            name,
            "number" if name in NUMBERS else "category",
            any(not row[name] for row in rows),
            ORDERS.get(name, ()),
        )
        for name in names
    )
    schema = Schema(fields, target="SalePrice", row="Order", log=True)
    mixed = [rows[n] for n in shuffled(len(rows), seed=0)]
    write_columns(
        folder,
        schema,
        {
            "train": mixed[: -2 * HELD_OUT],
            "val": mixed[-2 * HELD_OUT : -HELD_OUT],
            "test": mixed[-HELD_OUT:],
        },
    )
