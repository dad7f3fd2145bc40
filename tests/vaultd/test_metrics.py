"""The metrics page."""

from vaultd import metrics


def test_every_metric_has_a_meaning_and_is_on_the_page() -> None:
    page = metrics.render().decode()
    for name, (_, meaning) in metrics.METRICS.items():
        assert name.startswith("vaultd_")
        assert meaning
        assert f"# HELP {name} {meaning}\n" in page


def test_a_counter_shows_what_it_counted() -> None:
    metrics.REQUESTS.labels("test.method", "ok").inc(3)
    assert 'vaultd_requests_total{code="ok",method="test.method"} 3.0\n' in metrics.render().decode()
