"""Tags of style starcoder: the file around them still parses."""

import subprocess
from xml.etree import ElementTree as ET

import pytest

from data_recipes.pii.redaction import redact

TYPES = ("EMAIL_ADDRESS", "KEY", "PASSWORD")


def tagged(text):
    once = redact(text, style="starcoder", types=TYPES).text
    assert redact(once, style="starcoder", types=TYPES).text == once
    return once


def test_markup_stays_well_formed():
    """In XML the tags are escaped, in text and in attributes, and read back they are the tags."""
    text = '<?xml version="1.0"?>\n<a mail="bob@corp.io"><b>ann@corp.io</b><password>maple1999!</password></a>'
    root = ET.fromstring(tagged(text))
    assert [root.get("mail"), *(child.text for child in root)] == ["<EMAIL>", "<EMAIL>", "<PASSWORD>"]


def test_text_of_an_element_in_jsx_is_escaped_and_its_attributes_are_not():
    """JSX reads entities in text; a quoted attribute may hold the tag itself."""
    text = 'const A = () => <a href="mailto:bob@corp.io">bob@corp.io</a>;'
    assert tagged(text) == 'const A = () => <a href="mailto:<EMAIL>">&lt;EMAIL&gt;</a>;'


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\necho bob@corp.io\n",
        '#!/bin/bash\necho "bob@corp.io" # bob@corp.io\n',
        "export A=bob@corp.io\necho $A\n",
    ],
)
def test_a_shell_prints_the_tag_and_redirects_nothing(text, tmp_path):
    """Outside quotes the tag is quoted, so that the shell takes it for a word."""
    done = subprocess.run(["/bin/sh", "-c", tagged(text)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (done.stdout, list(tmp_path.iterdir())) == ("<EMAIL>\n", [])


def test_elsewhere_the_tag_is_plain():
    """In other code nothing but the address changes."""
    assert (
        tagged("# Bob <bob@corp.io>\nif (a<b) f('bob@corp.io', x>y)") == "# Bob <<EMAIL>>\nif (a<b) f('<EMAIL>', x>y)"
    )
