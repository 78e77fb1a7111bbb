"""UN/CEFACT Cross Industry Invoice (D22B), profile EN 16931: the `factur-x.xml` of the PDF.

Element order is that of the Factur-X 1.09 schema; BT and BG numbers are those of EN 16931-1.
"""

from __future__ import annotations

import datetime as dt

from services.invoice_worker.documents import terms
from services.invoice_worker.documents.texts import texts_for
from services.invoice_worker.documents.xml_tree import Element, Vocabulary, to_bytes
from shared.contracts.invoices import InvoiceIssued, IssuedAdjustment, IssuedLine, VatSubtotal

_CII = Vocabulary(
    rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
)
_put = _CII.put
_under = _CII.under


def cii_xml(fact: InvoiceIssued) -> bytes:
    """Return the invoice or credit note as a CII document; the same fact gives the same bytes."""
    root = _CII.root("rsm:CrossIndustryInvoice")
    guideline = _under(
        root,
        "rsm:ExchangedDocumentContext",
        "ram:GuidelineSpecifiedDocumentContextParameter",
    )
    _put(guideline, "ram:ID", terms.GUIDELINE)
    _document(root, fact)
    transaction = _under(root, "rsm:SupplyChainTradeTransaction")
    discount = texts_for(fact.buyer.country).discount
    for line in fact.lines:
        _line(transaction, line, discount)
    _agreement(transaction, fact)
    _delivery(transaction, fact)
    _settlement(transaction, fact)
    return to_bytes(root)


def _document(root: Element, fact: InvoiceIssued) -> None:
    document = _under(root, "rsm:ExchangedDocument")
    _put(document, "ram:ID", fact.number)
    _put(document, "ram:TypeCode", terms.type_code(fact))
    _date(_under(document, "ram:IssueDateTime"), fact.issue_date)
    if fact.note:
        _put(_under(document, "ram:IncludedNote"), "ram:Content", fact.note)


def _line(transaction: Element, line: IssuedLine, discount: str) -> None:
    item = _under(transaction, "ram:IncludedSupplyChainTradeLineItem")
    _put(_under(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(line.line))
    _put(_under(item, "ram:SpecifiedTradeProduct"), "ram:Name", line.description)
    price = _under(item, "ram:SpecifiedLineTradeAgreement", "ram:NetPriceProductTradePrice")
    _put(price, "ram:ChargeAmount", line.unit_price)
    delivery = _under(item, "ram:SpecifiedLineTradeDelivery")
    _put(delivery, "ram:BilledQuantity", line.quantity, unitCode=line.unit)
    settlement = _under(item, "ram:SpecifiedLineTradeSettlement")
    tax = _under(settlement, "ram:ApplicableTradeTax")
    _put(tax, "ram:TypeCode", "VAT")
    _put(tax, "ram:CategoryCode", line.vat_category)
    _put(tax, "ram:RateApplicablePercent", terms.rate_of(line.vat_category, line.vat_rate))
    if line.discount:
        allowance = _under(settlement, "ram:SpecifiedTradeAllowanceCharge")
        _indicator(allowance, charge=False)
        _put(allowance, "ram:CalculationPercent", line.discount_percent)
        _put(allowance, "ram:BasisAmount", line.net + line.discount)
        _put(allowance, "ram:ActualAmount", line.discount)
        _put(allowance, "ram:ReasonCode", terms.DISCOUNT_CODE)
        _put(allowance, "ram:Reason", discount)
    total = _under(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    _put(total, "ram:LineTotalAmount", line.net)


def _agreement(transaction: Element, fact: InvoiceIssued) -> None:
    agreement = _under(transaction, "ram:ApplicableHeaderTradeAgreement")
    _put(agreement, "ram:BuyerReference", fact.buyer.reference)
    _seller(agreement, fact)
    _buyer(agreement, fact)
    order = _under(agreement, "ram:SellerOrderReferencedDocument")
    _put(order, "ram:IssuerAssignedID", fact.order_id)


def _seller(agreement: Element, fact: InvoiceIssued) -> None:
    supplier = fact.supplier
    party = _under(agreement, "ram:SellerTradeParty")
    _put(party, "ram:ID", terms.supplier_id(fact))
    _put(party, "ram:Name", supplier.name)
    if supplier.registration:
        _put(_under(party, "ram:SpecifiedLegalOrganization"), "ram:ID", supplier.registration)
    if supplier.contact or supplier.phone or supplier.email:
        contact = _under(party, "ram:DefinedTradeContact")
        _put(contact, "ram:PersonName", supplier.contact)
        if supplier.phone:
            phone = _under(contact, "ram:TelephoneUniversalCommunication")
            _put(phone, "ram:CompleteNumber", supplier.phone)
        if supplier.email:
            _put(_under(contact, "ram:EmailURIUniversalCommunication"), "ram:URIID", supplier.email)
    _address(party, supplier.postal_code, supplier.street, supplier.city, supplier.country)
    _email(party, supplier.email)
    _tax_id(party, terms.supplier_vat_id(fact), "VA")
    _tax_id(party, supplier.tax_number, "FC")


def _buyer(agreement: Element, fact: InvoiceIssued) -> None:
    buyer = fact.buyer
    party = _under(agreement, "ram:BuyerTradeParty")
    _put(party, "ram:Name", buyer.name)
    _address(party, buyer.postal_code, buyer.street, buyer.city, buyer.country)
    _email(party, buyer.email)
    _tax_id(party, terms.buyer_vat_id(fact), "VA")


def _address(
    party: Element, postal_code: str | None, street: str | None, city: str | None, country: str
) -> None:
    address = _under(party, "ram:PostalTradeAddress")
    _put(address, "ram:PostcodeCode", postal_code)
    _put(address, "ram:LineOne", street)
    _put(address, "ram:CityName", city)
    _put(address, "ram:CountryID", country)


def _email(party: Element, email: str | None) -> None:
    if email:
        address = _under(party, "ram:URIUniversalCommunication")
        _put(address, "ram:URIID", email, schemeID=terms.EMAIL_SCHEME)


def _tax_id(party: Element, value: str | None, scheme: str) -> None:
    if value:
        _put(_under(party, "ram:SpecifiedTaxRegistration"), "ram:ID", value, schemeID=scheme)


def _delivery(transaction: Element, fact: InvoiceIssued) -> None:
    delivery = _under(transaction, "ram:ApplicableHeaderTradeDelivery")
    if fact.delivery_country:
        ship_to = _under(delivery, "ram:ShipToTradeParty", "ram:PostalTradeAddress")
        _put(ship_to, "ram:CountryID", fact.delivery_country)
    if fact.delivery_date:
        event = _under(delivery, "ram:ActualDeliverySupplyChainEvent", "ram:OccurrenceDateTime")
        _date(event, fact.delivery_date)


def _settlement(transaction: Element, fact: InvoiceIssued) -> None:
    settlement = _under(transaction, "ram:ApplicableHeaderTradeSettlement")
    iban = terms.iban(fact)
    if iban:
        _put(settlement, "ram:PaymentReference", fact.number)
    _put(settlement, "ram:InvoiceCurrencyCode", fact.currency)
    if iban:
        _payment_means(settlement, fact, iban)
    for row in fact.vat:
        _vat(settlement, row)
    for adjustment in fact.allowances:
        _adjustment(settlement, adjustment, charge=False)
    for adjustment in fact.charges:
        _adjustment(settlement, adjustment, charge=True)
    words = terms.payment_terms(fact)
    if words or fact.due_date:
        payment = _under(settlement, "ram:SpecifiedTradePaymentTerms")
        _put(payment, "ram:Description", words)
        if fact.due_date:
            _date(_under(payment, "ram:DueDateDateTime"), fact.due_date)
    _totals(settlement, fact)
    if fact.preceding_invoice:
        preceding = _under(settlement, "ram:InvoiceReferencedDocument")
        _put(preceding, "ram:IssuerAssignedID", fact.preceding_invoice)


def _payment_means(settlement: Element, fact: InvoiceIssued, iban: str) -> None:
    means = _under(settlement, "ram:SpecifiedTradeSettlementPaymentMeans")
    _put(means, "ram:TypeCode", terms.payment_means(fact))
    _put(_under(means, "ram:PayeePartyCreditorFinancialAccount"), "ram:IBANID", iban)
    if fact.payment and fact.payment.bic:
        bank = _under(means, "ram:PayeeSpecifiedCreditorFinancialInstitution")
        _put(bank, "ram:BICID", fact.payment.bic)


def _vat(settlement: Element, row: VatSubtotal) -> None:
    tax = _under(settlement, "ram:ApplicableTradeTax")
    _put(tax, "ram:CalculatedAmount", row.amount)
    _put(tax, "ram:TypeCode", "VAT")
    _put(tax, "ram:ExemptionReason", row.exemption_reason)
    _put(tax, "ram:BasisAmount", row.base)
    _put(tax, "ram:CategoryCode", row.category)
    _put(tax, "ram:ExemptionReasonCode", row.exemption_code)
    _put(tax, "ram:RateApplicablePercent", terms.rate_of(row.category, row.rate))


def _adjustment(settlement: Element, adjustment: IssuedAdjustment, *, charge: bool) -> None:
    element = _under(settlement, "ram:SpecifiedTradeAllowanceCharge")
    _indicator(element, charge=charge)
    _put(element, "ram:CalculationPercent", adjustment.percent)
    _put(element, "ram:BasisAmount", adjustment.base)
    _put(element, "ram:ActualAmount", adjustment.amount)
    _put(element, "ram:Reason", adjustment.reason)
    tax = _under(element, "ram:CategoryTradeTax")
    _put(tax, "ram:TypeCode", "VAT")
    _put(tax, "ram:CategoryCode", adjustment.vat_category)
    rate = terms.rate_of(adjustment.vat_category, adjustment.vat_rate)
    _put(tax, "ram:RateApplicablePercent", rate)


def _totals(settlement: Element, fact: InvoiceIssued) -> None:
    totals = fact.totals
    element = _under(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")
    _put(element, "ram:LineTotalAmount", totals.lines)
    _put(element, "ram:ChargeTotalAmount", totals.charges)
    _put(element, "ram:AllowanceTotalAmount", totals.allowances)
    _put(element, "ram:TaxBasisTotalAmount", totals.net)
    _put(element, "ram:TaxTotalAmount", totals.vat, currencyID=fact.currency)
    _put(element, "ram:GrandTotalAmount", totals.gross)
    _put(element, "ram:DuePayableAmount", totals.due)


def _indicator(parent: Element, *, charge: bool) -> None:
    _put(_under(parent, "ram:ChargeIndicator"), "udt:Indicator", "true" if charge else "false")


def _date(parent: Element, date: dt.date) -> None:
    _put(parent, "udt:DateTimeString", f"{date:%Y%m%d}", format="102")
