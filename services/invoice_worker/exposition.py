"""What the invoice worker shows Prometheus beside what every worker shows."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from services.invoice_worker.issuing import Issuer
from services.invoice_worker.ledger import Ledger


class InvoiceCollector:
    """Reads the counters of ledger and issuer when Prometheus asks."""

    def __init__(self, ledger: Ledger, issuer: Issuer) -> None:
        self._ledger = ledger
        self._issuer = issuer

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        ledger = self._ledger
        yield CounterMetricFamily(
            "headrace_ledger_commits", "Batches of invoices committed", value=ledger.commits
        )
        yield CounterMetricFamily(
            "headrace_ledger_invoices", "Invoices committed", value=ledger.committed
        )
        yield CounterMetricFamily(
            "headrace_ledger_fenced",
            "Batches refused because another worker had committed first",
            value=ledger.refused,
        )
        yield CounterMetricFamily(
            "headrace_unknown_fields",
            "Fields of accepted jobs that no struct knows",
            value=self._issuer.unknown_fields,
        )
