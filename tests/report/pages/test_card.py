"""The model card holds no HTML but what is shown as text."""

from i2m2_med.report.pages.html import unmarked


def test_html_in_a_value_is_text() -> None:
    assert unmarked("<script>alert(1)</script> & more") == "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"
    assert unmarked(7) == 7
