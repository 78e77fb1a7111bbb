"""OASIS UBL 2.1 Invoice and CreditNote by EN 16931: the XML document beside the PDF.

Element order is that of the UBL 2.1 schemas; BT and BG numbers are those of EN 16931-1.
"""

from __future__ import annotations

from decimal import Decimal

from services.invoice_worker.documents import terms
from services.invoice_worker.documents.texts import texts_for
from services.invoice_worker.documents.xml_tree import Element, Vocabulary, to_bytes
from shared.contracts.invoices import InvoiceIssued, IssuedAdjustment, IssuedLine, VatSubtotal

_SCHEMA = "urn:oasis:names:specification:ubl:schema:xsd:"
_UBL = Vocabulary(
    cac=_SCHEMA + "CommonAggregateComponents-2",
    cbc=_SCHEMA + "CommonBasicComponents-2",
)
_put = _UBL.put
_under = _UBL.under


def ubl_xml(fact: InvoiceIssued) -> bytes:
    """Return the fact as a UBL Invoice or CreditNote; the same fact gives the same bytes."""
    kind = "CreditNote" if fact.type == "credit_note" else "Invoice"
    root = _UBL.unprefixed_root(kind, f"{_SCHEMA}{kind}-2")
    _head(root, fact, kind)
    _references(root, fact)
    _supplier(root, fact)
    _customer(root, fact)
    _delivery(root, fact)
    _payment(root, fact)
    for adjustment in fact.allowances:
        _adjustment(root, adjustment, fact.currency, charge=False)
    for adjustment in fact.charges:
        _adjustment(root, adjustment, fact.currency, charge=True)
    _vat(root, fact)
    _totals(root, fact)
    discount = texts_for(fact.buyer.country).discount
    for line in fact.lines:
        _line(root, line, fact, discount)
    return to_bytes(root)


def _head(root: Element, fact: InvoiceIssued, kind: str) -> None:
    _put(root, "cbc:CustomizationID", terms.GUIDELINE)
    _put(root, "cbc:ID", fact.number)
    _put(root, "cbc:IssueDate", fact.issue_date.isoformat())
    if kind == "Invoice" and fact.due_date:
        _put(root, "cbc:DueDate", fact.due_date.isoformat())
    _put(root, f"cbc:{kind}TypeCode", terms.type_code(fact))
    _put(root, "cbc:Note", fact.note)
    _put(root, "cbc:DocumentCurrencyCode", fact.currency)
    _put(root, "cbc:BuyerReference", fact.buyer.reference)


def _references(root: Element, fact: InvoiceIssued) -> None:
    order = _under(root, "cac:OrderReference")
    # UBL wants the buyer's order id beside the seller's; "NA" is what Peppol prescribes.
    _put(order, "cbc:ID", "NA")
    _put(order, "cbc:SalesOrderID", fact.order_id)
    if fact.preceding_invoice:
        preceding = _under(root, "cac:BillingReference", "cac:InvoiceDocumentReference")
        _put(preceding, "cbc:ID", fact.preceding_invoice)


def _supplier(root: Element, fact: InvoiceIssued) -> None:
    supplier = fact.supplier
    party = _under(root, "cac:AccountingSupplierParty", "cac:Party")
    if supplier.email:
        _put(party, "cbc:EndpointID", supplier.email, schemeID=terms.EMAIL_SCHEME)
    identifier = terms.supplier_id(fact)
    if identifier:
        _put(_under(party, "cac:PartyIdentification"), "cbc:ID", identifier)
    _address(party, supplier.street, supplier.city, supplier.postal_code, supplier.country)
    _tax_id(party, terms.supplier_vat_id(fact), "VAT")
    _tax_id(party, supplier.tax_number, "FC")
    legal = _under(party, "cac:PartyLegalEntity")
    _put(legal, "cbc:RegistrationName", supplier.name)
    _put(legal, "cbc:CompanyID", supplier.registration)
    if supplier.contact or supplier.phone or supplier.email:
        contact = _under(party, "cac:Contact")
        _put(contact, "cbc:Name", supplier.contact)
        _put(contact, "cbc:Telephone", supplier.phone)
        _put(contact, "cbc:ElectronicMail", supplier.email)


def _customer(root: Element, fact: InvoiceIssued) -> None:
    buyer = fact.buyer
    party = _under(root, "cac:AccountingCustomerParty", "cac:Party")
    if buyer.email:
        _put(party, "cbc:EndpointID", buyer.email, schemeID=terms.EMAIL_SCHEME)
    _address(party, buyer.street, buyer.city, buyer.postal_code, buyer.country)
    _tax_id(party, terms.buyer_vat_id(fact), "VAT")
    _put(_under(party, "cac:PartyLegalEntity"), "cbc:RegistrationName", buyer.name)


def _address(
    party: Element, street: str | None, city: str | None, postal_code: str | None, country: str
) -> None:
    address = _under(party, "cac:PostalAddress")
    _put(address, "cbc:StreetName", street)
    _put(address, "cbc:CityName", city)
    _put(address, "cbc:PostalZone", postal_code)
    _put(_under(address, "cac:Country"), "cbc:IdentificationCode", country)


def _tax_id(party: Element, value: str | None, scheme: str) -> None:
    if value:
        tax = _under(party, "cac:PartyTaxScheme")
        _put(tax, "cbc:CompanyID", value)
        _put(_under(tax, "cac:TaxScheme"), "cbc:ID", scheme)


def _delivery(root: Element, fact: InvoiceIssued) -> None:
    if fact.delivery_date is None and fact.delivery_country is None:
        return
    delivery = _under(root, "cac:Delivery")
    if fact.delivery_date:
        _put(delivery, "cbc:ActualDeliveryDate", fact.delivery_date.isoformat())
    if fact.delivery_country:
        country = _under(delivery, "cac:DeliveryLocation", "cac:Address", "cac:Country")
        _put(country, "cbc:IdentificationCode", fact.delivery_country)


def _payment(root: Element, fact: InvoiceIssued) -> None:
    iban = terms.iban(fact)
    credit_due = fact.due_date if fact.type == "credit_note" else None
    if iban or credit_due:
        means = _under(root, "cac:PaymentMeans")
        _put(means, "cbc:PaymentMeansCode", terms.payment_means(fact))
        if credit_due:  # a CreditNote has no DueDate of its own
            _put(means, "cbc:PaymentDueDate", credit_due.isoformat())
        if iban:
            _put(means, "cbc:PaymentID", fact.number)
            account = _under(means, "cac:PayeeFinancialAccount")
            _put(account, "cbc:ID", iban)
            if fact.payment and fact.payment.bic:
                branch = _under(account, "cac:FinancialInstitutionBranch")
                _put(branch, "cbc:ID", fact.payment.bic)
    words = terms.payment_terms(fact)
    if words:
        _put(_under(root, "cac:PaymentTerms"), "cbc:Note", words)


def _adjustment(
    root: Element, adjustment: IssuedAdjustment, currency: str, *, charge: bool
) -> None:
    element = _under(root, "cac:AllowanceCharge")
    _put(element, "cbc:ChargeIndicator", "true" if charge else "false")
    _put(element, "cbc:AllowanceChargeReason", adjustment.reason)
    _put(element, "cbc:MultiplierFactorNumeric", adjustment.percent)
    _put(element, "cbc:Amount", adjustment.amount, currencyID=currency)
    _put(element, "cbc:BaseAmount", adjustment.base, currencyID=currency)
    _category(element, "cac:TaxCategory", adjustment.vat_category, adjustment.vat_rate)


def _vat(root: Element, fact: InvoiceIssued) -> None:
    total = _under(root, "cac:TaxTotal")
    _put(total, "cbc:TaxAmount", fact.totals.vat, currencyID=fact.currency)
    for row in fact.vat:
        subtotal = _under(total, "cac:TaxSubtotal")
        _put(subtotal, "cbc:TaxableAmount", row.base, currencyID=fact.currency)
        _put(subtotal, "cbc:TaxAmount", row.amount, currencyID=fact.currency)
        _category(subtotal, "cac:TaxCategory", row.category, row.rate, row)


def _category(
    parent: Element, name: str, category: str, rate: Decimal, row: VatSubtotal | None = None
) -> None:
    element = _under(parent, name)
    _put(element, "cbc:ID", category)
    _put(element, "cbc:Percent", terms.rate_of(category, rate))
    if row is not None:
        _put(element, "cbc:TaxExemptionReasonCode", row.exemption_code)
        _put(element, "cbc:TaxExemptionReason", row.exemption_reason)
    _put(_under(element, "cac:TaxScheme"), "cbc:ID", "VAT")


def _totals(root: Element, fact: InvoiceIssued) -> None:
    totals = fact.totals
    element = _under(root, "cac:LegalMonetaryTotal")
    for name, amount in (
        ("cbc:LineExtensionAmount", totals.lines),
        ("cbc:TaxExclusiveAmount", totals.net),
        ("cbc:TaxInclusiveAmount", totals.gross),
        ("cbc:AllowanceTotalAmount", totals.allowances),
        ("cbc:ChargeTotalAmount", totals.charges),
        ("cbc:PayableAmount", totals.due),
    ):
        _put(element, name, amount, currencyID=fact.currency)


def _line(root: Element, line: IssuedLine, fact: InvoiceIssued, discount: str) -> None:
    credit = fact.type == "credit_note"
    element = _under(root, "cac:CreditNoteLine" if credit else "cac:InvoiceLine")
    _put(element, "cbc:ID", str(line.line))
    quantity = "cbc:CreditedQuantity" if credit else "cbc:InvoicedQuantity"
    _put(element, quantity, line.quantity, unitCode=line.unit)
    _put(element, "cbc:LineExtensionAmount", line.net, currencyID=fact.currency)
    if line.discount:
        allowance = _under(element, "cac:AllowanceCharge")
        _put(allowance, "cbc:ChargeIndicator", "false")
        _put(allowance, "cbc:AllowanceChargeReasonCode", terms.DISCOUNT_CODE)
        _put(allowance, "cbc:AllowanceChargeReason", discount)
        _put(allowance, "cbc:MultiplierFactorNumeric", line.discount_percent)
        _put(allowance, "cbc:Amount", line.discount, currencyID=fact.currency)
        _put(allowance, "cbc:BaseAmount", line.net + line.discount, currencyID=fact.currency)
    item = _under(element, "cac:Item")
    _put(item, "cbc:Name", line.description)
    _category(item, "cac:ClassifiedTaxCategory", line.vat_category, line.vat_rate)
    price = _under(element, "cac:Price")
    _put(price, "cbc:PriceAmount", line.unit_price, currencyID=fact.currency)
