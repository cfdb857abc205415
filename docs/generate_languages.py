"""Write data_recipes/sources/languages.json from npm's package linguist-languages, unpacked: its folder is the argument.

`npm pack linguist-languages@9.5.0 && tar xzf linguist-languages-9.5.0.tgz && python docs/generate_languages.py package`
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "data_recipes/sources/languages.json"
_FIELDS = ("extensions", "filenames", "interpreters", "aliases")
_EXPORT = """
import * as languages from {address};
const all = {{...languages, ...(languages.default ?? {{}})}};
console.log(JSON.stringify(Object.values(all).filter((language) => language && language.name)));
"""


def table(package: Path) -> dict[str, Any]:
    """Return the table: where it comes from, under which terms, and type, extensions and names of each language."""
    address = json.dumps((package / "index.js").resolve().as_uri())
    command = ["node", "--input-type=module", "--eval", _EXPORT.format(address=address)]
    exported = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    third_party = package / "ThirdPartyNoticeText.txt"
    return {
        "source": f"{about['name']} {about['version']} ({about['license']})",
        "notice": (package / "LICENSE").read_text(encoding="utf-8"),
        "third_party_notice": third_party.read_text(encoding="utf-8") if third_party.is_file() else "",
        "languages": {
            one["name"]: {"type": one["type"], **{name: one[name] for name in _FIELDS if one.get(name)}}
            for one in sorted(exported, key=lambda language: language["name"])
        },
    }


def main() -> None:
    """Write the table, a language a line."""
    made = table(Path(sys.argv[1]))
    languages = made.pop("languages")
    head = json.dumps(made, indent=1, ensure_ascii=False).rstrip("\n}")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(about)}" for name, about in languages.items())
    TABLE.write_text(f'{head},\n "languages": {{\n{lines}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
