"""English–French phrases from the Unicode CLDR, the data by which software speaks to its users.

Dates, times, durations, amounts, lists of languages and countries …: all text comes from Babel's
own formatting functions for `en` and `fr`, and phrases are joined only by CLDR's patterns. What is
hard about it is what is hard in translation: word order (August 1 → 1 août), agreement (1.5 hours →
1,5 heure), elision, false friends (billion → milliard), numbers and their separators.

The parts of a phrase are its numbers, units, names, days, months, years, hours and minutes: no two
of them meet both in training and in the test (see `labs_core.data.composition`). Not held out are
the forms (and/or, past/future, how long a date is written) and the weekday that a date falls on.
`python -m labs_core.data.sets.cldr` prints what the test split shares with training.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from babel import Locale, dates, lists, numbers, units

from labs_core.data.composition import (
    Kind,
    compose,
    overlap_table,
    read_phrases,
    write_phrases,
)
from labs_core.data.split import shuffled
from labs_core.paths import data_dir

EN, FR = Locale("en"), Locale("fr")
Said = tuple[str, str] | None

# CLDR's codes.
UNITS = {
    "duration": "second minute hour day week month year decade century night quarter",
    "length": "millimeter centimeter meter kilometer inch foot yard mile nautical-mile light-year "
    "fathom",
    "area": "square-meter square-kilometer square-foot square-mile hectare",
    "volume": "milliliter centiliter liter hectoliter cubic-meter cubic-foot gallon pint barrel "
    "bushel tablespoon teaspoon drop fluid-ounce cup-metric",
    "mass": "milligram gram kilogram tonne ton ounce pound carat",
    "digital": "bit byte kilobyte megabyte gigabyte terabyte",
    "energy": "joule kilojoule calorie kilowatt-hour",
    "power": "watt kilowatt horsepower",
    "electric": "ampere volt ohm",
    "frequency": "hertz megahertz",
    "pressure": "hectopascal millibar millimeter-ofhg inch-ofhg",
    "temperature": "celsius fahrenheit kelvin",
    "angle": "degree arc-minute revolution",
    "speed": "knot beaufort meter-per-second kilometer-per-hour mile-per-hour",
    "graphics": "pixel megapixel dot",
    "light": "lux",
    "force": "newton",
}
DENOMINATORS = {
    "duration": "second minute hour day week month year",
    "length": "meter kilometer mile",
    "area": "square-meter square-kilometer hectare",
    "volume": "liter gallon",
    "mass": "kilogram gram pound",
}
DURATIONS = {"year": 31_536_000, "month": 2_592_000, "week": 604_800, "day": 86_400}
DURATIONS |= {"hour": 3600, "minute": 60, "second": 1}  # seconds, as Babel counts them
CURRENCIES = (  # in use today
    "AED ALL AMD ARS AUD AZN BBD BDT BGN BHD BOB BRL BSD BWP BYN CAD CHF CLP COP CRC CUP CVE CZK "
    "DKK DOP DZD EGP ETB EUR FJD GBP GHS GMD GNF HKD HNL HUF IDR ILS INR IQD ISK JMD JOD JPY KES "
    "KHR KRW KWD KZT LAK LBP LKR LRD LYD MAD MDL MMK MNT MXN MYR NAD NGN NOK NPR NZD OMR PEN PHP "
    "PKR PLN PYG QAR RON RSD RUB RWF SAR SEK SGD SOS SYP THB TND TRY TWD TZS UAH UGX USD UYU UZS "
    "VND YER ZAR ZMW"
)
LEAP_YEAR = 2024  # of dates that are said without their year
ODD = set("()&.,0123456789")  # names with these are left out
NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}  # unions, test locales, unknown


def produce(files: list[Path], folder: Path) -> None:
    """19,500 / 1,000 / 1,000 phrases, with their kinds and parts beside them."""
    for index, (split, phrases) in enumerate(compose(kinds(), seed=0).items()):
        order = shuffled(len(phrases), seed=index)
        write_phrases(folder, split, [phrases[position] for position in order])


def kinds() -> list[Kind]:
    """All families of phrases."""
    number = _axis("number", _numbers())
    small = _axis("number", range(2, 60))
    unit = _axis("unit", _codes(UNITS))
    currency = _axis("currency", CURRENCIES.split())
    day, month = _axis("day", range(1, 32)), _axis("month", range(1, 13))
    year = _axis("year", range(1900, 2050))
    hour, minute = _axis("hour", range(24)), _axis("minute", range(60))
    language, territory, script = names()
    duration = {f"unit:duration-{name}": name for name in DURATIONS}
    both, joined = ("and", "or"), ("and", "or", "unit")
    return [
        Kind("day", (day, month), _day, _counts(180, 40)),
        Kind("date", (day, month, year), _date, _counts(3200, 120), ("long", "full", "medium")),
        Kind("month", (month, year), _month, _counts(600, 30)),
        Kind("quarter", (_axis("quarter", range(1, 5)), year), _quarter, _counts(300, 20)),
        Kind("days", (month, day, day), _days, _counts(700, 40)),
        Kind("months", (year, month, month), _months, _counts(800, 40)),
        Kind("time", (hour, minute), _time, _counts(1200, 60), ("short", "h:mm BBBB")),
        Kind("appointment", (day, month, hour, minute), _appointment, _counts(600, 20)),
        Kind("quantity", (number, unit), _quantity, _counts(3020, 150)),
        Kind(
            "rate",
            (number, unit, _axis("unit", _codes(DENOMINATORS))),
            _rate,
            _counts(1000, 50),
        ),
        Kind("quantities", (number, unit, number, unit), _quantities, _counts(1200, 60), joined),
        Kind("relative", (small, duration), _relative, _counts(400, 50), ("in", "ago")),
        Kind("money", (number, currency), _money, _counts(1800, 90)),
        Kind(
            "magnitude",
            (number, _axis("magnitude", (10**6, 10**9, 10**12))),
            _magnitude,
            _counts(150, 20),
        ),
        Kind(
            "percentages",
            (_axis("percent", range(1, 100)),) * 2,
            _percentages,
            _counts(350, 20),
            both,
        ),
        *(
            Kind(name, (axis,) * members, _listed, _counts(train, held_out), both)
            for name, axis, members, train, held_out in (
                ("languages", language, 2, 500, 25),
                ("languages", language, 3, 900, 40),
                ("territories", territory, 2, 600, 25),
                ("territories", territory, 3, 1100, 40),
                ("scripts", script, 2, 500, 30),
                ("currencies", _currency_names(), 2, 400, 30),
            )
        ),
    ]


def names() -> list[dict[str, object]]:
    """Languages, territories and scripts: part -> name in both languages.

    A name that was taken before is left out: `Greek` is the language, not the script as well.
    """
    taken: set[str] = set()
    found = []
    for kind, english, french in (
        ("language", EN.languages, FR.languages),
        ("territory", EN.territories, FR.territories),
        ("script", EN.scripts, FR.scripts),
    ):
        axis: dict[str, object] = {}
        for code in sorted(set(english) & set(french)):
            pair = english[code], french[code]
            if _is_usual(kind, code) and not taken & set(pair) and not ODD & set("".join(pair)):
                axis[f"{kind}:{code}"] = pair
                taken |= set(pair)
        found.append(axis)
    return found


def _is_usual(kind: str, code: str) -> bool:
    """Whether the code is a language with a short code, a country, a real script."""
    if kind == "script":
        return not code.startswith("Z")  # symbols, unwritten, unknown
    return len(code) == 2 and code not in NO_COUNTRIES


def _counts(train: int, held_out: int) -> dict[str, int]:
    return {"train": train, "val": held_out, "test": held_out}


def _axis(kind: str, values: Iterable[Any]) -> dict[str, object]:
    """Part -> value, such as `number:3` -> 3."""
    return {f"{kind}:{value}": value for value in values}


def _codes(units: dict[str, str]) -> list[str]:
    return [f"{kind}-{name}" for kind, names in units.items() for name in names.split()]


def _numbers() -> list[Decimal]:
    """0 to 99, round ones to a hundred thousand, and some with a fraction."""
    whole = [*range(100), 100, 110, 120, 125, 144, 150, 180, 200, 250, 300, 360, 365, 400, 450, 500]
    whole += [600, 700, 750, 800, 900, 999, 1000, 1200, 1500, 1800, 2000, 2400, 2500, 3000, 3600]
    whole += [4000, 5000, 6000, 7500, 8000, 10_000, 12_000, 15_000, 20_000, 25_000, 50_000, 100_000]
    halves = [Decimal(n) + Decimal("0.5") for n in range(20)]
    quarters = ["0.25", "0.75", "1.25", "1.75", "2.25", "2.75", "1.2", "1.8", "3.4", "4.6"]
    return [*map(Decimal, whole), *halves, *map(Decimal, quarters)]


def _currency_names() -> dict[str, object]:
    return {
        f"currency:{code}": (EN.currencies[code], FR.currencies[code])
        for code in CURRENCIES.split()
    }


def _both(say: Callable[[Locale], str]) -> tuple[str, str]:
    return say(EN), say(FR)


def _date_of(day: int, month: int, year: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:  # February 30
        return None


def _day(day: int, month: int, form: str) -> Said:
    """August 1 → 1 août."""
    date = _date_of(day, month, LEAP_YEAR)
    if not date:
        return None
    return _both(lambda locale: dates.format_skeleton("MMMMd", date, locale=locale))


def _date(day: int, month: int, year: int, form: Literal["full", "long", "medium"]) -> Said:
    """Saturday, August 1, 2015 → samedi 1 août 2015."""
    date = _date_of(day, month, year)
    if not date:
        return None
    return _both(lambda locale: dates.format_date(date, form, locale))


def _month(month: int, year: int, form: str) -> Said:
    """August 2015 → août 2015."""
    date = _date_of(1, month, year)
    return _both(lambda locale: dates.format_skeleton("yMMMM", date, locale=locale))


def _quarter(quarter: int, year: int, form: str) -> Said:
    """3rd quarter 2015 → 3e trimestre 2015."""
    date = _date_of(1, 3 * quarter, year)
    return _both(lambda locale: dates.format_skeleton("yQQQQ", date, locale=locale))


def _days(month: int, first: int, last: int, form: str) -> Said:
    """Aug 1 – 5 → 1–5 août."""
    start, end = _date_of(first, month, LEAP_YEAR), _date_of(last, month, LEAP_YEAR)
    if not start or not end or start >= end:
        return None
    return _both(lambda locale: dates.format_interval(start, end, "MMMd", locale=locale))


def _months(year: int, first: int, last: int, form: str) -> Said:
    """May – August 2015 → mai – août 2015."""
    start, end = _date_of(1, first, year), _date_of(1, last, year)
    if not start or not end or start >= end:
        return None
    return _both(lambda locale: dates.format_interval(start, end, "yMMMM", locale=locale))


def _time(hour: int, minute: int, form: str) -> Said:
    """3:05 PM → 15:05; 3:05 in the afternoon → 3:05 de l’après-midi."""
    time = datetime.time(hour, minute)
    return _both(lambda locale: dates.format_time(time, form, locale=locale))


def _appointment(day: int, month: int, hour: int, minute: int, form: str) -> Said:
    """August 1, 3:05 PM → 1 août, 15:05."""
    date, time = _day(day, month, ""), _time(hour, minute, "short")
    if not date or not time:
        return None
    patterns = _both(lambda locale: str(dates.get_datetime_format("long", locale)))
    return (
        patterns[0].replace("{0}", time[0]).replace("{1}", date[0]),
        patterns[1].replace("{0}", time[1]).replace("{1}", date[1]),
    )


def _quantity(number: Decimal, unit: str, form: str) -> Said:
    """1.5 feet → 1,5 pied."""
    return _both(lambda locale: units.format_unit(number, unit, locale=locale))


def _rate(number: Decimal, unit: str, per: str, form: str) -> Said:
    """2,500 liters per hour → 2 500 litres par heure."""
    return _both(
        lambda locale: str(
            units.format_compound_unit(number, unit, denominator_unit=per, locale=locale)
        )
    )


def _quantities(a: Decimal, unit_a: str, b: Decimal, unit_b: str, form: str) -> Said:
    """3 feet or 12 grams → 3 pieds ou 12 grammes."""
    return _list(form, _quantity(a, unit_a, ""), _quantity(b, unit_b, ""))


def _relative(number: int, unit: str, form: str) -> Said:
    """3 hours ago → il y a 3 heures."""
    seconds = DURATIONS[unit] * (number if form == "in" else -number)
    return _both(
        lambda locale: dates.format_timedelta(
            seconds,
            granularity=unit,  # type: ignore[arg-type]
            threshold=number,  # no larger unit: 90 minutes are not 2 hours
            add_direction=True,
            locale=locale,
        )
    )


def _money(number: Decimal, currency: str, form: str) -> Said:
    """3 US dollars → 3 dollars des États-Unis."""
    return _both(
        lambda locale: numbers.format_currency(
            number, currency, format_type="name", currency_digits=False, locale=locale
        )
    )


def _magnitude(number: Decimal, magnitude: int, form: str) -> Said:
    """3 billion → 3 milliards."""
    if not 1 <= number < 1000:
        return None
    return _both(
        lambda locale: numbers.format_compact_decimal(
            number * magnitude, format_type="long", fraction_digits=2, locale=locale
        )
    )


def _percentages(a: int, b: int, form: str) -> Said:
    """10% and 25% → 10 % et 25 %."""
    return _list(form, _percentage(a), _percentage(b))


def _percentage(percent: int) -> Said:
    return _both(lambda locale: numbers.format_percent(Decimal(percent) / 100, locale=locale))


def _listed(*names: tuple[str, str], form: str) -> Said:
    """French, German, and Dutch → français, allemand et néerlandais."""
    return _list(form, *names)


def _list(form: str, *phrases: Said) -> Said:
    style = {"and": "standard", "or": "or", "unit": "unit"}[form]
    english, french = zip(*filter(None, phrases), strict=True)
    return (
        lists.format_list(english, style, EN),  # type: ignore[arg-type]
        lists.format_list(french, style, FR),  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    folder = data_dir() / "cldr"
    print(overlap_table(read_phrases(folder, "train"), read_phrases(folder, "test")))
