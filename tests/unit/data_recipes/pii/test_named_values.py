"""Keys, passwords and user names known by their names: what is one in any notation, and what never is."""

import random
import sys
from pathlib import Path

import pytest

from data_recipes.pii.find import find_pii
from data_recipes.pii.redaction import redact
from tests.fixtures.key_samples import sample

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench" / "detectors"))

from framework_secrets import KEYS, PASSWORDS  # beside the bench, not installed

ALL = ("KEY", "PASSWORD")
HEX = "".join(random.Random(3).choices("0123456789abcdef", k=64))
WORD = "s0l9mpfujrsvb19hg7tbs7fv"
BODY = "cRiCPXCEbAx0HUAk0YxfFEVLFJxdd60s3Gg1K5QfMW3"


def values(text, types):
    return [text[found.start : found.end] for found in find_pii(text, types)]


def hits(template, types, seeds=5):
    """How often the value of a template is found, by the report's rule of 80 %."""
    right = 0
    for seed in range(seeds):
        text, value = sample(template, seed)
        right += any(
            value in found or (found in value and len(found) > 0.8 * len(value)) for found in values(text, types)
        )
    return right


def test_secrets_are_found_as_frameworks_store_them():
    """At least 90 % of the keys of a hundred kinds are found; a kind that is never found is one of the known two."""
    found = {name: hits(template, ("KEY",)) for name, template in KEYS.items()}
    assert len(KEYS) >= 100
    assert sum(found.values()) >= 0.9 * 5 * len(KEYS)
    assert {name for name, count in found.items() if not count} <= {"magento-crypt-key"}


def test_passwords_are_found_as_programs_store_them():
    """At least 85 % of the passwords of fifty kinds are found."""
    found = {name: hits(template, ALL) for name, template in PASSWORDS.items()}
    assert sum(found.values()) >= 0.85 * 5 * len(PASSWORDS), found


@pytest.mark.parametrize(
    "text",
    [
        "export type GoogleDocsV1Node = GoogleDocsV1DocumentNode;",
        f'betsy = "{WORD}"',
        "ASIAANDPACIFICREGION",
        f'{{"version": "{HEX}", "signature": "{HEX}"}}',
        f'"./a.d.ts": {{"version":"{HEX[:32]}","signature":"{HEX[32:]}","affectsGlobalScope":true}}',
        "getCredentials('shopOAuth2Api')",
        f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{BODY}{BODY} bob@host",
        f'deploy_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{BODY}"',
        f'auth_key: "AAAAC3NzaC1lZDI1NTE5AAAAI{BODY}"',
        "token: string;",
        "const apiKey = process.env.API_KEY2;",
        "password = config.database.password1",
        "this.token = createTokenForUser2And3(user);",
        "key: sha256ToBase64Url,",
        "secret = SecretManagerServiceClient2x1()",
        "  token: ${{ secrets.GITHUB_TOKEN_2024 }}",
        'cache_key = "q7RkX0aPz2LmWc9dq7RkX0aPz2LmWc9d"',
        'password_label = "Password8!x"',
        "LOG('guessed %r container type (pass `asn1Spec` to guide)')",
        "['proxy', 'proxy_user', 'proxy_pass1', 'other_2']",
        "\tCTL_USER = 0x8\n",
        'unitKey="heightOfGeoidAboveWGS84Units"',
        '\t{hexKey: hexPKCS8TestPKCS1Key, errorContains: "use"},\n',
        "        pw = 2.0**self.frac_bits\n",
        "    pwd = 1000*unit.width1\n",
        "USER_CHANGE_PASSWORD = 0x00000040\n",
        "NS_E_LEGACY_PASSWORD = 0xC00D2793\n",
        'ResetPassword = "00299570-246d-11d0-a768-00aa006e0529"',
        "    'Secret',\n    '7f561281-5301-11d1-a9c5-0000f80367c1': 'Private-Key',\n    'a9e84eed-e630-4b67-b4b3-cad2a82d345e': 1",
        'key = f"Fn::{tag[1:]}"',
        "    </SecretAccessKey>\n      <Expiration>\n        2013-05-14T23:00:23Z\n      </Expiration>",
    ],
)
def test_identifiers_hashes_and_public_keys_are_no_secrets(text):
    """A vendor's or a secret's name in front of a program's own words, a hash or a public key finds nothing."""
    assert values(text, ALL) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SECRET_KEY_BASE=" + HEX * 2 + "\n", HEX * 2),
        (f"        - name: DB_TOKEN\n          value: {BODY}\n", BODY),
        ("machine corp.io login bob password maple1999!\n", "maple1999!"),
        ("password = 'maple1999!'\r\n", "maple1999!"),
        ("password='maple1999!'", "maple1999!"),
        ("\ufeffDB_PASSWORD=maple1999!", "maple1999!"),
        ("# 😀\nDB_PASSWORD=maple1999!  # note", "maple1999!"),
        ('x = "{\\"password\\": \\"maple1999!\\"}"', "maple1999!"),
    ],
)
def test_the_value_is_delimited_exactly(text, value):
    """The find is the value from its first to its last character, whatever is around it."""
    assert values(text, ALL) == [value]


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
def test_named_values_are_redacted_once(style):
    """A second run over files with all kinds of secrets changes nothing, and no value is left."""
    for template in [*KEYS.values(), *PASSWORDS.values()]:
        text, value = sample(template, 7)
        once = redact(text, style=style, types=ALL)
        assert redact(once.text, style=style, types=ALL).text == once.text, text
        assert not once.findings or value not in once.text
        assert once.text.count("\n") == text.count("\n")


def test_user_names_are_found_where_they_are_asked_for():
    """A user name in a literal, an element or a login file is one; roles and words of programs are none."""
    found = values(
        "username = 'jsmith7'\n<username>deploy42</username>\nmachine x.io login kbrown9 password y\n", ["USERNAME"]
    )
    assert found == ["jsmith7", "deploy42", "kbrown9"]
    for text in (
        "user = 'root'",
        'shape: "User", name: "x1"',
        "username: str",
        "role === `user` ? `user1`",
        "user = get_user()",
    ):
        assert values(text, ["USERNAME"]) == [], text


@pytest.mark.parametrize(
    "text",
    [
        r'{"password": "\u041f\u0430\u0440\u043e\u043b\u044c"}',
        r'{"api_key": "API-n\u00f8gle"}',
        '{"password": "Jelszó"}',
        'RE_API_KEY = re.compile(r"^[a-zA-Z0-9]{16}$")',
        "SensorDescription(key=TYPE_AQI_PM25_IN_24H,)",
        'disk.blkid token="UUID=6a38ee5-7235-44e7-8b22-816a403bad5d"',
        r'_AGENT_KEY = rf"{_SNMP_KEY}\RFC1156Agent"',
        r'delete_key(hive="HKLM", key="SOFTWARE\\MyKey12")',
        'state_key = "cmd_|-{0}_|-{0}_|-run"',
        'venv.install("pycurl==7.43.0.5")',
        '"salt": "3006.0+0na.5b18e86"',
        'a_secret: "NACL[MRN3cc+fmdxyQbz6WMF+jq1hKdU5X5BBI7OjK+atvHo1ll]"',
        "vapid.privateKey, 'aes128gcm'",
        "jwt.sign(payload, 'your-256-bit-secret')",
    ],
)
def test_translations_formats_and_paths_are_no_keys(text):
    """What stands under key-like names in packages and is none: translated words, expressions, constants, paths, versions."""
    assert find_pii(text, ("KEY", "PASSWORD")) == []


@pytest.mark.parametrize(
    "text",
    [
        "SECRET = '1234abcd-1234-abcd-1234-abcd1234adcd'",
        "private_key = '" + 32 * "1a" + "'",
        "options['secret'] = '" + 43 * "A" + "='",
        f"if hash(privateKey) === '0x{HEX}':",
        '"auth_data": "aGVyZSB0aGUgY2xpZW50IHB1dHMgd2hhdCBpdCBoYXMgc2VhbGVkCg=="',
        f'"collateralToken": "0x{HEX[:40]}"',
        f'"tokenId": "0x{HEX[:32]}"',
        "credentialsId: '8c2f0b3e-51d7-4f0a-9b6e-2d7c1e9a4f38'",
        'const nonce = "0x9b3c71d40e85fa26";',
        f'DEFAULT_FUZZ_SEED = "0x{HEX}"',
        f"Release GPG key: {HEX[:40].upper()}",
        f"https://x.corp.io/a?side=BUY&signature={HEX}",
        "dialect+driver://naam:wachtwoord@host:port/bank",
        "https://oauth2:her-token@git.corp.io/x.git",
        "https://deploy:$THE_REGISTRY_WORD@registry.corp.io",
        "secret = unhexlify('000102030405060708090a0b0c0d0e0f')",
        f"peer_psk_id_hex = '{HEX[:44]}'",
        "3b:91:c4:0d:e7:52:a8:6f:1c:d3:74:09:be:45:f0:\n68:2a:97:d1",
        'ct = encrypt(ref, passphrase, "KDF9WithHMAC-SHA512AndTWOFISH256-CTR")',
        'only = {"passphrase": passphrase,\n        "use_pkcs8": None}',
        "types.Password: 'VARCHAR(80)',",
        '("password", "5A1C93E07D2B64F8", 16, 1000, SHA1),',
        'clone_key("add-7d1f0c9a4be25836d07e1c9b3f5a8240", 123)',
        'access: "&#x2303;&#x2325;"',
        'SALT = "\\U0001f9c2"',
        'var gw, pw = "__quota_probe__";',
        'FORBIDDEN = (\n    "password",\n    "argon2",\n    "pbkdf2",\n)',
    ],
)
def test_placeholders_arguments_and_parts_of_pictures_are_no_secrets(text):
    """Kinds that were found in packages nobody had looked at before, each by another writing of it."""
    assert [] == values(text, ALL)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password=bluemoon!tides\n", "bluemoon!tides"),
        ("POSTGRES_PASSWORD: TheNightlyPassword2047!\n", "TheNightlyPassword2047!"),
        ('"Password": "qwzkdsmbvtreLKJ$HGFM"', "qwzkdsmbvtreLKJ$HGFM"),
        ("password = 4GnbR#7*@31%dKw!vLQMsbTz\n", "4GnbR#7*@31%dKw!vLQMsbTz"),
        ("secret_id: 8c2f0b3e-51d7-4f0a-9b6e-2d7c1e9a4f38\n", "8c2f0b3e-51d7-4f0a-9b6e-2d7c1e9a4f38"),
        (f"default,AKIA{'Q4NACSIJMDDNSEDT'},{BODY[:40]}\n", BODY[:40]),
    ],
)
def test_passwords_that_other_tools_were_reported_to_miss_are_found(text, value):
    """Each is one of a public report on another tool, or of the same kind."""
    assert value in values(text, ALL)


@pytest.mark.parametrize(
    "form",
    [
        'let secret = r#"{key}"#;',
        'std::string token{{"{key}"}};',
        'strncpy(cfg.api_key, "{key}", 64);',
        'token <<- "{key}"',
        'var apiKey by mutableStateOf("{key}")',
        'override val apiKey get() = "{key}"',
        'mapOf("token" to "{key}")',
        "TOKEN=${{TOKEN:-{key}}}",
        "set -gx API_TOKEN {key}",
        "setenv API_TOKEN {key}",
        "aws configure set aws_secret_access_key {key}",
        'gh secret set TOKEN --body "{key}"',
        'buildConfigField "String", "API_KEY", \'"{key}"\'',
        "DECLARE @secret NVARCHAR(50) = '{key}'",
        'new BasicAWSCredentials("x", "{key}")',
        'req.SetBasicAuth("bob", "{key}")',
    ],
)
def test_assignments_of_other_languages_are_read(form):
    """Rust, C, C++, R, Kotlin, shell, Android and SQL give a value its name in ways of their own."""
    assert [WORD] == values(form.format(key=WORD) + "\n", ALL)
    assert [] == values('if (!inputs.password) {\n  log.verbose("09dgsg", id);', ALL)


@pytest.mark.parametrize(
    "form",
    [
        "secrets:\n  peertube: '{key}'\n",
        "secrets:\n  system:\n    - {key}\n",
        "<security>\n  shared_key {key}\n</security>\n",
        "authentication {{\n  auth_pass maple1999!{key}\n}}\n",
        'const SESSION_KEY: &[u8] = b"{key}";',
        'jwtauth.New("HS256", []byte("{key}"), nil)',
        "app.use_sessions('{key}')",
        '"PublicLinkSalt": "{key}",',
        'NEXT_PRIVATE_ENCRYPTION_KEY="{key}"\n',
        "NEO4J_AUTH=neo4j/{key}\n",
        "lftp -u bob,{key} ftp.corp.io",
        "username bob privilege 15 password 0 {key}\n",
        "nmcli dev wifi connect home password {key}\n",
        "cache_peer p.corp.io parent 3128 0 login=bob:{key}\n",
        "signtool sign /f cert.pfx /p {key} app.exe\n",
        'createUser bob SHA "{key}" AES\n',
    ],
)
def test_settings_and_commands_without_an_assignment_are_read(form):
    """A mapping of secrets, a line of a name and a value, a type, a call and an option say what a value is."""
    (found,) = values(form.format(key=WORD), ALL)
    assert found.endswith(WORD)


@pytest.mark.parametrize(
    "text",
    [
        "validate_kms_key_id(kms_key=s3_object.kms_key_id, bucket=s3_bucket)",
        'IS_HEX_KEY = re.compile(r"^[0-9a-f]{64}$", re.I)',
        f"KEY \\`IDX_{HEX[:26]}\\` (\\`chatflowid\\`)",
        f"KEY `IDX_{HEX[:26]}` (`chatflowid`)",
        f'"Signature={HEX[:54]}"',
        "secrets:\n  token: ${{ secrets.TOKEN1 }}\n",
        "secrets:\n  db_password:\n    file: ./password1.txt\n",
        "server\n  shared_key name_of_the_key1\n",
        "type T struct {\n\tapi_key string1\n}\n",
    ],
)
def test_members_expressions_indexes_and_references_are_no_secrets(text):
    """Members of objects, expressions, indexes of tables and what is only referred to stay as they are."""
    assert [] == values(text, ALL)


def test_a_part_of_a_picture_is_no_token():
    """What looks like a vendor's token amid base64 is a part of it; alone, or at the end of a path, it is a token."""
    token = "EAAC" + sample("{w:90}", 3)[0]
    run = sample("{w:60}", 4)[0]
    assert [token] == values(f'x = "{token}"', ("KEY",))
    assert [token] == values(f"https://graph.corp.io/v2/{token}", ("KEY",))
    assert [] == values(f"data:font/woff2;base64,{run}/{token}+{run}", ("KEY",))
