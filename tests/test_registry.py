"""Registries: looking up, order, and what is said about unknown and repeated names."""

from dataclasses import dataclass

import pytest

from medpeft_core.errors import MedPeftError, UnknownNameError
from medpeft_core.registry import Registry


@dataclass(frozen=True)
class Fruit:
    name: str
    colour: str = "green"


@pytest.fixture
def fruits() -> Registry[Fruit]:
    registry: Registry[Fruit] = Registry("fruit")
    for name in ("pear", "banana", "apple"):
        registry.add(Fruit(name))
    return registry


def test_registry_keeps_the_order_of_registration(fruits: Registry[Fruit]) -> None:
    assert fruits.names() == ["pear", "banana", "apple"]
    assert [fruit.name for fruit in fruits] == fruits.names()
    assert len(fruits) == 3


def test_registry_gives_back_what_was_added(fruits: Registry[Fruit]) -> None:
    plum = Fruit("plum", "blue")
    assert fruits.add(plum) is plum
    assert fruits["plum"] is plum
    assert "plum" in fruits
    assert "cherry" not in fruits


def test_registry_takes_a_hyphen_for_an_underscore(fruits: Registry[Fruit]) -> None:
    lime = fruits.add(Fruit("sweet_lime"))
    assert fruits["sweet-lime"] is lime


def test_registry_suggests_the_nearest_name(fruits: Registry[Fruit]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        fruits["bananna"]
    assert str(caught.value) == (
        "There is no fruit 'bananna'. Did you mean 'banana'? Choose: apple, banana, pear."
    )  # fmt: skip


def test_registry_lists_all_when_nothing_is_near(fruits: Registry[Fruit]) -> None:
    with pytest.raises(MedPeftError) as caught:
        fruits["xyz"]
    assert str(caught.value) == "There is no fruit 'xyz'. Choose: apple, banana, pear."


def test_registry_refuses_a_second_spec_of_one_name(fruits: Registry[Fruit]) -> None:
    with pytest.raises(ValueError, match=r"^The fruit 'pear' is registered twice\.$"):
        fruits.add(Fruit("pear", "yellow"))
    assert fruits["pear"].colour == "green"


def test_registry_changing_the_list_of_names_changes_nothing(fruits: Registry[Fruit]) -> None:
    fruits.names().clear()
    assert len(fruits.names()) == 3
