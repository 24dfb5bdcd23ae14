"""Every sentence of the requirement has a check or a reason."""

from __future__ import annotations

from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import all_checks
from odp_trio.conformance.sentences import proofs, read_sentences, sentence_table


def test_every_sentence_is_proven_or_says_why_it_cannot_be() -> None:
    proven = proofs(all_checks())
    _, sentences = read_sentences()
    neither = [one.id for one in sentences if not proven[one.id] and not one.untestable]
    both = [one.id for one in sentences if proven[one.id] and one.untestable]
    assert neither == []
    assert both == []


def test_what_checks_prove_are_sentences() -> None:
    numbers = {one.id for one in read_sentences()[1]}
    assert set(proofs(all_checks())) - numbers == set()


def test_a_sentence_about_the_proxy_is_not_proven_without_one() -> None:
    assert [check.id for check in all_checks() if check.proves and not check.needs & Needs.PROXY] == []


def test_both_documents_are_there_whole() -> None:
    _, sentences = read_sentences()
    assert [one.id for one in sentences] == [f"HA-{n}" for n in range(1, 41)] + [f"RT-{n}" for n in range(1, 48)]
    assert all(one.text.endswith((".", "?", "!")) for one in sentences)


def test_a_sentence_without_a_check_shows_in_the_table() -> None:
    table = sentence_table([])
    assert "| RT-18 | Tenant routing: sys |" in table
    assert "*not testable here:* It is about the machine below the proxy" in table
