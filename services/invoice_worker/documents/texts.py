"""Words, numbers and dates of the page in the buyer's language."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

_GERMAN_SPEAKING = frozenset({"DE", "AT", "LI", "CH"})


class Texts(Struct, frozen=True):
    """All words of one language, and how it writes numbers and dates."""

    language: str
    decimal_mark: str
    group_mark: str
    date_format: str
    units: dict[str, str]
    """Names of common units of UN/ECE Recommendation 20; others print as their code."""
    invoice: str
    credit_note: str
    number: str
    date: str
    due: str
    order: str
    reference: str
    preceding: str
    delivered: str
    delivered_as_issued: str
    vat_id: str
    your_vat_id: str
    tax_number: str
    registration: str
    position: str
    description: str
    quantity: str
    unit: str
    unit_price: str
    vat: str
    amount: str
    discount: str
    lines_total: str
    net: str
    gross: str
    credit_total: str
    vat_rate: str
    vat_base: str
    vat_amount: str
    no_vat: str
    pay_by: str
    pay: str
    pay_to: str
    recipient: str
    payment_reference: str
    scan: str
    due_at_once: str
    credited: str
    phone: str
    page: str
    of: str

    def number_text(self, value: Decimal) -> str:
        """Return a decimal with this language's marks, all its decimals kept."""
        text = f"{value:,f}"
        if self.decimal_mark == ".":
            return text
        return text.translate({ord(","): self.group_mark, ord("."): self.decimal_mark})

    def quantity_text(self, value: Decimal) -> str:
        """Return a decimal without needless zeros behind the decimal mark."""
        whole, mark, fraction = self.number_text(value).partition(self.decimal_mark)
        fraction = fraction.rstrip("0")
        return f"{whole}{mark}{fraction}" if fraction else whole

    def date_text(self, date: dt.date) -> str:
        """Return a date as people of this language write it."""
        return date.strftime(self.date_format)


ENGLISH = Texts(
    language="en",
    decimal_mark=".",
    group_mark=",",
    date_format="%Y-%m-%d",
    units={
        "C62": "pcs",
        "H87": "pcs",
        "EA": "each",
        "HUR": "h",
        "MIN": "min",
        "DAY": "days",
        "WEE": "weeks",
        "MON": "months",
        "ANN": "years",
        "LS": "flat",
        "KGM": "kg",
        "GRM": "g",
        "TNE": "t",
        "MTR": "m",
        "KMT": "km",
        "MTK": "m²",
        "MTQ": "m³",
        "LTR": "l",
        "KWH": "kWh",
        "SET": "sets",
        "PR": "pairs",
        "P1": "%",
    },
    invoice="Invoice",
    credit_note="Credit note",
    number="Number",
    date="Date",
    due="Due date",
    order="Order",
    reference="Your reference",
    preceding="For invoice",
    delivered="Delivered on",
    delivered_as_issued="Unless stated otherwise, the date of supply is the date of this invoice.",
    vat_id="VAT ID",
    your_vat_id="Your VAT ID",
    tax_number="Tax no.",
    registration="Reg. no.",
    position="No.",
    description="Description",
    quantity="Quantity",
    unit="Unit",
    unit_price="Unit price",
    vat="VAT",
    amount="Amount",
    discount="Discount",
    lines_total="Subtotal",
    net="Total without VAT",
    gross="Amount due",
    credit_total="Amount credited",
    vat_rate="VAT rate",
    vat_base="Base",
    vat_amount="VAT",
    no_vat="outside VAT",
    pay_by="Please pay {amount} by {date}.",
    pay="Please pay {amount}.",
    pay_to="Payment",
    recipient="Recipient",
    payment_reference="Reference",
    scan="Scan to pay",
    due_at_once="Due on receipt.",
    credited="The amount is offset against open invoices or refunded.",
    phone="Phone",
    page="Page",
    of="of",
)

GERMAN = Texts(
    language="de",
    decimal_mark=",",
    group_mark=".",
    date_format="%d.%m.%Y",
    units={
        "C62": "Stk.",
        "H87": "Stk.",
        "EA": "Stk.",
        "HUR": "Std.",
        "MIN": "Min.",
        "DAY": "Tage",
        "WEE": "Wochen",
        "MON": "Monate",
        "ANN": "Jahre",
        "LS": "pauschal",
        "KGM": "kg",
        "GRM": "g",
        "TNE": "t",
        "MTR": "m",
        "KMT": "km",
        "MTK": "m²",
        "MTQ": "m³",
        "LTR": "l",
        "KWH": "kWh",
        "SET": "Sets",
        "PR": "Paar",
        "P1": "%",
    },
    invoice="Rechnung",
    # "Gutschrift" is self-billing in German VAT law (UStG section 14(2)).
    credit_note="Rechnungskorrektur",
    number="Nummer",
    date="Datum",
    due="Fällig am",
    order="Auftrag",
    reference="Ihr Zeichen",
    preceding="Zu Rechnung",
    delivered="Geliefert am",
    delivered_as_issued="Soweit nicht anders angegeben, entspricht das Leistungsdatum dem "
    "Rechnungsdatum.",
    vat_id="USt-IdNr.",
    your_vat_id="Ihre USt-IdNr.",
    tax_number="Steuernr.",
    registration="Register",
    position="Pos.",
    description="Bezeichnung",
    quantity="Menge",
    unit="Einheit",
    unit_price="Einzelpreis",
    vat="USt.",
    amount="Betrag",
    discount="Rabatt",
    lines_total="Zwischensumme",
    net="Summe netto",
    gross="Gesamtbetrag",
    credit_total="Gutschriftbetrag",
    vat_rate="USt.-Satz",
    vat_base="Netto",
    vat_amount="USt.",
    no_vat="ohne USt.",
    pay_by="Bitte zahlen Sie {amount} bis zum {date}.",
    pay="Bitte zahlen Sie {amount}.",
    pay_to="Zahlung",
    recipient="Empfänger",
    payment_reference="Verwendungszweck",
    scan="Scannen und zahlen",
    due_at_once="Zahlbar sofort nach Erhalt.",
    credited="Der Betrag wird mit offenen Rechnungen verrechnet oder erstattet.",
    phone="Tel.",
    page="Seite",
    of="von",
)


def texts_for(country: str) -> Texts:
    """Return German for buyers in Germany, Austria, Liechtenstein and Switzerland, else English."""
    return GERMAN if country in _GERMAN_SPEAKING else ENGLISH
