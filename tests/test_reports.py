"""What pages share: texts are escaped, a name that a template lacks is told, pictures stand where their numbers say."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import tomllib
from pathlib import Path

import jinja2
import pytest

from fer_fast.reports import parts, pictures
from fer_fast.reports.render import _environment, render

ROOT = Path(__file__).resolve().parent.parent
NASTY = "<b>&\"'\udcff"


def macro(call: str, **given: object) -> str:
    template = "{% import 'macros.html' as page %}{% import 'pictures.html' as pictures %}{{ " + call + " }}"
    return _environment().from_string(template).render(**given)


def test_every_text_of_a_bar_and_a_row_is_escaped() -> None:
    bar = parts.Bar(NASTY, NASTY, 0.5, NASTY, NASTY)
    row = parts.Row([NASTY, NASTY], note=NASTY, reason=NASTY, tail=[NASTY])
    table = parts.Table(NASTY, [NASTY] * 5, 1, [parts.Group([row], NASTY, NASTY)], [(NASTY, 5)], captioned=True)
    for said, times in (
        (macro("page.bar_chart(chart)", chart=parts.BarChart(NASTY, NASTY, [bar], [NASTY], [NASTY])), 8),
        (macro("page.table(table)", table=table), 15),
    ):
        assert "<b>&" not in said and said.count("&lt;b&gt;&amp;&#34;&#39;") == times


def test_a_chart_and_a_table_without_anything_are_nothing() -> None:
    assert macro("page.bar_chart(chart)", chart=parts.BarChart("title", "", [], ["0", "1"], ["line"])).strip() == ""
    assert macro("page.table(table)", table=parts.Table("name", ["a"], 1, [parts.Group([])])).strip() == ""


def test_a_section_without_a_body_is_nothing() -> None:
    template = "{% import 'macros.html' as page %}{% call page.section('Title', 'about') %} {{ body }} {% endcall %}"
    assert _environment().from_string(template).render(body=" ").strip() == ""
    assert "<h2>Title</h2>" in _environment().from_string(template).render(body="text")


def test_what_a_template_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("bench", machine="one name of many")


def test_a_picture_of_no_answers_has_no_shares() -> None:
    picture = pictures.confusion_picture(["a", "b"], [[0, 0], [1, 3]])
    assert [[cell.share for cell in row] for row in picture.rows] == [["", ""], ["25%", "75%"]]
    assert [[cell.right for cell in row] for row in picture.rows] == [[True, False], [False, True]]
    assert picture.rows[0][1].x - picture.rows[0][0].x == pytest.approx(picture.wide)
    assert picture.size == (picture.left + 2 * picture.wide, picture.top + 2 * picture.tall)


def test_bins_stand_at_their_confidence() -> None:
    picture = pictures.reliability_picture([0, 2, 4, 0], [None, 0.4, 0.75, None], [None, 0.5, 1.0, None])
    first, second = picture.bins
    assert (first.x, second.x) == (picture.left + picture.wide, picture.left + 2 * picture.wide)
    assert (first.tall, second.tall) == (picture.side / 2, picture.side)
    assert second.line == picture.top + picture.side / 4
    assert (first.many, second.many) == (picture.strip / 2, picture.strip)
    assert "confidence 25% to 50%: 2 images, mean confidence 40.0%, accuracy 50.0%" in first.said
    assert macro("pictures.reliability(picture)", picture=picture).count('class="bar"') == 2


def test_points_stand_at_their_coverage() -> None:
    picture = pictures.coverage_picture([1.0, 0.9, 0.5], [0.2, 0.4, 0.8], [0.64, 0.7, 1.0])
    assert picture.floor == 60 and [point.value for point in picture.points] == ["64.0", "70.0", "100.0"]
    first, middle, last = picture.points
    assert (last.x, last.y) == (picture.x(50), picture.top) and (middle.x, middle.y) == (picture.x(90), picture.y(70))
    assert picture.left < last.x < middle.x < first.x < picture.left + picture.wide
    assert picture.y(60) == picture.top + picture.tall
    assert first.said == "100.0% answered, confidence 0.200000 or more: accuracy 64.0%"
    said = macro("pictures.coverage(picture)", picture=picture)
    assert said.count("<circle") == 3 and said.count("L") == 2
    assert pictures.coverage_picture([1.0], [0.5], [1.0]).floor == 90, "a curve of no height has a scale"


def test_reports_know_neither_a_benchmark_nor_an_evaluation() -> None:
    for file in (ROOT / "fer_fast" / "reports").glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text()))
        modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not {name for name in modules if name and name.startswith(("fer_fast.bench", "fer_fast.evaluation"))}


def test_every_file_of_the_package_is_installed() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["fer_fast"]
    listed = subprocess.run(["git", "ls-files", "fer_fast"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [name.removeprefix("fer_fast/") for name in listed.stdout.split()] or [
        str(path.relative_to(ROOT / "fer_fast")) for path in (ROOT / "fer_fast" / "reports").rglob("*.*")
    ]
    left = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert [name for name in left if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    assert any(name.startswith("reports/templates/") for name in left)
