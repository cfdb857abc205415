"""The tables of `data stats` and the card."""

from data_recipes.store.tables import funnel_rows, recipe_rows
from tests.fixtures.funnel import FUNNEL, entry, funnel_of


def test_the_funnel_table_has_totals_and_shares():
    """The table gives each language's and the total volume per stage with its change."""
    header, *body = funnel_rows(FUNNEL)
    assert header == ["", "files", "read", "base", "decontaminated", "near_dedup", "files left"]
    assert body[0] == ["Java", "10", "10.0 kB", "8.0 kB (-20.0 %)", "8.0 kB (0.0 %)", "6.0 kB (-25.0 %)", "6"]
    assert body[2][:3] == ["total", "30", "30.0 kB"]


def test_files_of_no_known_language_have_no_row():
    """They are left out while reading: the tables name languages alone."""
    funnel = funnel_of([entry("", [0, 0, 0, 0]), entry("Java", [10, 8, 8, 6])])
    assert [["Java", "total"]] * 2 == [[row[0] for row in rows(funnel)[1:]] for rows in (funnel_rows, recipe_rows)]


def test_the_recipe_table_compares_with_base():
    """As in the report's Table 3 there is a row a language and a column a recipe, with the change against base."""
    assert recipe_rows(FUNNEL)[:2] == [
        ["", "base", "stars", "near_dedup"],
        ["Java", "8.0 kB", "1.0 kB (-87.5 %)", "6.0 kB (-25.0 %)"],
    ]
    assert recipe_rows(FUNNEL)[3] == ["total", "27.0 kB", "2.0 kB (-92.6 %)", "25.0 kB (-7.4 %)"]
