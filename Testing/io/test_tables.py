"""Tables as text."""

from LiverMRISegLib.io.tables import csv_table, markdown_table


def test_csv_quotes_what_needs_it_and_ends_lines_with_a_line_feed():
    text = csv_table(("case", "error"), [("a", 'b, "c"'), ("d", 1)])
    assert text == 'case,error\na,"b, ""c"""\nd,1\n'
    assert csv_table(("a", "b"), [], separator="\t") == "a\tb\n"


def test_markdown():
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
