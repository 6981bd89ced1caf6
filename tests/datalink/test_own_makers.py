"""Makers of links that a site has written, and what they may not do to an answer."""

from __future__ import annotations

import sys
import threading

import pytest

from datalink.collect import collect
from datalink.makers.file import FileLinkMaker
from datalink.makers.own import own_makers
from datalink.makers.timed import TimedMaker
from datalink.settings import MakerSettings
from vodal.access.asking import Asking
from vodal.access.identity import Identity
from vodal.access.rules import AccessRule, AccessRules
from vodal.errors import SettingsError, UsageError
from vodal.links import Link

BASE = "http://a.b"
HERE = "tests.datalink.test_own_makers"


class Pages:
    """Makes one row, by its options."""

    def __init__(self, root="http://pages", *, fail=False):
        if fail:
            raise UsageError("there are no pages")
        self._root = root

    def links(self, product, _base_url):
        yield Link(product.did, "#documentation", access_url=f"{self._root}/{product.file_name}")


class Neither:
    pass


class Waiting:
    """Makes a row of the first products; at another it waits until it is told to go on."""

    def __init__(self, waits_at):
        self.waits_at, self.go_on, self.asked = waits_at, threading.Event(), []

    def links(self, product, _base_url):
        self.asked.append(product.did)
        if product.did == self.waits_at:
            self.go_on.wait(60)
        return [Link(product.did, "#proc", access_url="http://slow")]


class Pairs:
    """Tells of each product that another goes with it."""

    def __init__(self, pairs):
        self.pairs, self.batches = pairs, []

    def links_of(self, asked):
        self.batches.append([one.did for one in asked.products])
        return {
            one.did: [Link(one.did, "#progenitor", leads_to=self.pairs[one.did])]
            for one in asked.products
            if one.did in self.pairs
        }


def made(dids, resolver, *makers, asking=None):
    return dict(zip(dids, collect(dids, resolver, makers, BASE, asking), strict=True))


@pytest.fixture
def dids(survey_resolver):
    return list(survey_resolver.products)


def test_makers_are_named_in_the_settings(survey_resolver, dids, monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    settings = MakerSettings.model_validate(
        {"class": f"{HERE}:Pages", "options": {"root": "http://x"}}
    )
    ((link,),) = made(dids[:1], survey_resolver, *own_makers([settings])).values()
    assert link.access_url == f"http://x/{survey_resolver.products[dids[0]].file_name}"


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nowhere.at_all:Pages", {}, "makers[0].class: the module 'nowhere.at_all' cannot be"),
        (f"{HERE}:Page", {}, f"makers[0].class: '{HERE}' has no 'Page'"),
        (f"{HERE}:Pages", {"rot": 1}, "makers[0].options: TypeError"),
        (f"{HERE}:Pages", {"fail": True}, "makers[0]: there are no pages"),
        (f"{HERE}:Neither", {}, "has neither links nor links_of"),
    ],
)
def test_a_wrong_maker_is_told_by_its_key(name, options, told, monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    settings = MakerSettings.model_validate({"class": name, "options": options})
    with pytest.raises(SettingsError) as error:
        own_makers([settings])
    assert told in error.value.message


def test_a_maker_that_is_slow_costs_only_rows_that_are_not_there(survey_resolver, dids):
    slow = Waiting(dids[2])
    found = made(dids[:4], survey_resolver, FileLinkMaker(), TimedMaker(slow, 0.3))
    for did in dids[:2]:
        assert [link.semantics for link in found[did]] == ["#this", "#proc"]
    for did in dids[2:4]:
        this, late = found[did]
        assert this.access_url
        assert late.error_message.startswith("TransientFault: some links could not be made within")
    slow.go_on.set()
    # It is not asked for what nobody waits for any more.
    assert slow.asked == dids[:3]


def test_a_maker_that_hangs_is_left_alone_until_a_call_comes_back(survey_resolver, dids):
    slow = Waiting(dids[0])
    timed = TimedMaker(slow, 0.01)
    for _ in range(20):
        ((link,),) = made(dids[:1], survey_resolver, timed).values()
        assert link.error_message.startswith("TransientFault")
    assert len(slow.asked) == 16
    slow.go_on.set()


def test_links_to_other_products_are_filled_in_from_them(survey_resolver, dids):
    pairs = {dids[0]: dids[1], dids[1]: "ivo://x/gone"}
    maker = Pairs(pairs)
    found = made(dids[:2], survey_resolver, FileLinkMaker(), maker)
    assert maker.batches == [dids[:2]]
    this, other = found[dids[0]]
    (told,) = FileLinkMaker().links(survey_resolver.products[dids[1]], BASE)
    assert (other.did, other.semantics) == (this.did, "#progenitor")
    assert other.access_url == told.access_url
    assert other.content_length == told.content_length
    assert other.content_type == "image/fits"
    # What is not there is not told of.
    assert [link.semantics for link in found[dids[1]]] == ["#this"]


def test_rights_are_those_of_the_product_that_a_link_leads_to(survey_resolver, dids):
    mine, had, known, hidden = dids[:4]
    names = {had: "had", known: "known", hidden: "hidden"}
    for did, name in names.items():
        survey_resolver.add_fits(
            did, survey_resolver.path_of(did), collection=name, obscore={"filter": name}
        )
    rules = AccessRules(
        None,
        {
            "had": AccessRule(data="groups", groups=("team",)),
            "known": AccessRule(data="groups", groups=("others",)),
            "hidden": AccessRule(data="groups", groups=("others",), metadata="hidden"),
        },
    )
    team = Identity("someone", frozenset({"team"}))
    asking = Asking(team, rules.rights(team), rules.rights(Identity()))

    class All:
        def links(self, product, _base_url):
            for did in (had, known, hidden):
                yield Link(product.did, "#counterpart", leads_to=did)
            yield Link(product.did, "#documentation", access_url="http://d", open_to_all=True)

    links = made([mine], survey_resolver, All(), asking=asking)[mine]
    told = [(link.bandpass_name, link.link_auth, link.link_authorized) for link in links]
    assert told == [("had", "true", True), ("known", "true", False), (None, None, None)]
    # What is for everybody is so for images that are not, too.
    (page,) = [one for one in made([had], survey_resolver, All())[had] if one.open_to_all]
    assert page.link_auth is None
