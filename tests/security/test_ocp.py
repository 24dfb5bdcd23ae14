"""A hostile config server."""

from __future__ import annotations

import pytest

from fuzz.figures import CORPUS
from fuzz.harnesses import harness
from odp_trio.errors import MalformedConfigAnswer
from odp_trio.topology.config_answers import read_document
from tests.topology.config_json import DOCUMENT, wrapped


def test_ocp_2_what_was_found_to_be_odd_is_an_answer_or_a_reason() -> None:
    for path in sorted((CORPUS / "ocp").iterdir()):
        harness("ocp").one_input(path.read_bytes())


@pytest.mark.parametrize("name", ["c1\nERROR", "c\x1b[2J", "c\x7f"])
def test_ocp_2_a_name_with_control_characters_is_refused(name: str) -> None:
    urls = [{"ObRegion": name, "ObRootServiceInfoUrl": "http://ocp/rs"}]

    with pytest.raises(MalformedConfigAnswer) as caught:
        read_document(wrapped(DOCUMENT | {"ObRootServiceInfoUrlList": urls}))

    assert str(caught.value).isprintable()
