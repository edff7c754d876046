"""`gantry.services.query.login.pages`: words are never markup."""

from gantry.services.query.login.pages import POLICY, page_of


def test_page_says_its_words_as_text() -> None:
    page = page_of("Not <you>", "a & <script>alert(1)</script>", ('/login?to="x', "Try <again>"))
    assert "<script" not in page
    assert "a &amp; &lt;script&gt;" in page
    assert 'href="/login?to=&quot;x"' in page


def test_page_may_run_nothing() -> None:
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY
