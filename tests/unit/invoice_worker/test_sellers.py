"""The seller profiles file: what may stand in it, and how it says what is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from services.invoice_worker.domain import Sellers, SellersError
from tests.unit.invoice_worker.samples import seller_other, write_profile


def test_the_demo_profile_is_built_in() -> None:
    demo = Sellers.load(None).get("demo")
    assert (demo.key, demo.prefix, demo.currency) == ("demo", "DEMO", "EUR")
    assert demo.standard_rate == Decimal(19)


def test_a_file_adds_sellers_to_the_demo_profile(tmp_path: Path) -> None:
    sellers = seller_other(tmp_path, standard_rate=20.5, terms="a\nb", vat_id="atu 13585627")
    assert sellers.names() == ["demo", "other"]
    other = sellers.get("other")
    assert (other.standard_rate, other.due_days) == (Decimal("20.5"), 30)
    assert (other.supplier.vat_id, other.payment.terms) == ("ATU13585627", "a\nb")


def test_a_file_may_override_the_demo_profile(tmp_path: Path) -> None:
    demo = Sellers.load(None).get("demo").supplier
    profile: dict[str, object] = {"prefix": "DEMO", "currency": "CHF", "registration": "CH-1"}
    fields = ("street", "postal_code", "city", "country")
    profile |= {field: getattr(demo, field) for field in fields} | {"name": "Mine"}
    sellers = Sellers.load(write_profile(tmp_path, "demo", profile))
    assert sellers.names() == ["demo"]
    assert sellers.get("demo").currency == "CHF"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", None, "Profile missing required field `name`"),
        ("colour", "blue", "Profile contains unknown field `colour`"),
        ("name", 7, "Expected `str`, got `int` - at `name`"),
        ("name", " ", "name: must not be empty"),
        ("street", "a\u202eb", "street: contains U+202E, a mark of text direction"),
        ("country", "Austria", "country: is not an ISO 3166-1"),
        ("prefix", "other", "prefix: must be 1 to 20 of A-Z, 0-9 and '-'"),
        ("prefix", "A.B", "prefix: must be 1 to 20 of A-Z, 0-9 and '-'"),
        ("prefix", "DEMO", "prefix: 'DEMO' is that of 'demo' too, two sellers must not"),
        ("currency", "TND", "currency: TND has 3 decimals, EN 16931 allows two"),
        ("vat_id", "ATU13585628", "vat_id: is not a valid VAT id"),
        ("vat_id", None, "vat_id: is missing, a seller needs vat_id or registration"),
        ("email", "nobody", "email: is not an e-mail address"),
        ("standard_rate", "twenty", "Invalid decimal string - at `standard_rate`"),
        ("standard_rate", 120, "standard_rate: must be at most 100"),
        ("standard_rate", 0, "standard_rate: must be greater than 0, leave it out"),
        ("iban", "AT611904300234573202", "iban: is not a valid IBAN"),
        ("bic", "COBADEFFXXX", "iban: is missing, a bic needs it"),
        ("due_days", -1, "due_days: must be 0 to 365"),
    ],
)
def test_a_bad_profile_is_refused_by_file_profile_and_field(
    field: str, value: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SellersError) as refused:
        seller_other(tmp_path, **{field: value})
    expected = f"{tmp_path / 'sellers.toml'}: profile 'other': {words}"
    assert str(refused.value).startswith(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[other", "cannot be read: "),
        ("other = 3", "profile 'other': Expected `object`, got `int`"),
        ('["a.b"]\nname = "x"', "profile 'a.b': name of the table: must be 1 to 64 letters"),
    ],
)
def test_a_file_that_holds_no_profiles_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sellers.toml"
    path.write_text(text)
    with pytest.raises(SellersError) as refused:
        Sellers.load(path)
    assert str(refused.value).startswith(f"{path}: {words}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SellersError, match=r"nowhere\.toml: cannot be read: "):
        Sellers.load(tmp_path / "nowhere.toml")
