"""Writes the documents of every kind of invoice into a folder, to look at and to validate.

Run as `python -m tests.integration.documents.samples FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.invoice_worker.documents import render
from tests.invoice_facts import contract_job, fact_of, sample_facts

SCRIPTS = "Ελληνικά Кириллица Đà Nẵng שלום عربي ไทย ქართული Հայերեն 株式会社 🧾"


def main() -> None:
    """Write `<kind>.pdf` and `<kind>.xml` of each sample into the folder named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    facts = sample_facts() | {"scripts": fact_of(contract_job(note=SCRIPTS))}
    for name, fact in facts.items():
        documents = render(fact)
        (folder / f"{name}.pdf").write_bytes(documents.pdf)
        (folder / f"{name}.xml").write_bytes(documents.xml)


if __name__ == "__main__":
    main()
