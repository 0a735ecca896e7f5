"""What leaves the host holds no secret, and still says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.redact import MASK, redact, redact_all, secret_name

SECRETS = [
    ("python serve.py --api-key S3CRETVALUE99 --port 8000", "S3CRETVALUE99"),
    ("python serve.py --api-key=S3CRETVALUE99", "S3CRETVALUE99"),
    ("python -m vllm --hf-token 'S3CRET VALUE'", "S3CRET VALUE"),
    ("HF_TOKEN=S3CRETVALUE99 python train.py", "S3CRETVALUE99"),
    ("HF_TOKEN=hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345", "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"),
    ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ("AKIAIOSFODNN7EXAMPLE was used", "AKIAIOSFODNN7EXAMPLE"),
    ("PGPASSWORD=hunter2hunter psql -h db", "hunter2hunter"),
    ("MYSQL_PWD=hunter2hunter mysql", "hunter2hunter"),
    ("mysql -u root -phunter2hunter db", "hunter2hunter"),
    ("mysqldump --password=hunter2hunter db", "hunter2hunter"),
    ("sshpass -p hunter2hunter ssh host", "hunter2hunter"),
    ("redis-cli -h r -a hunter2hunter ping", "hunter2hunter"),
    ("curl -u admin:hunter2hunter http://x/", "hunter2hunter"),
    ("curl -H 'Authorization: Bearer abcdef0123456789' http://x/", "abcdef0123456789"),
    ("curl -H 'X-Api-Key: abcdef0123456789' http://x/", "abcdef0123456789"),
    ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
    ("Cookie: session=abcdef0123456789; other=1", "abcdef0123456789"),
    ("postgresql://app:hunter2hunter@db:5432/x", "hunter2hunter"),
    ("redis://:hunter2hunter@cache:6379/0", "hunter2hunter"),
    ("git clone https://ghp_abcdefghijklmnopqrstuvwxyz0123456789@example.org/r.git", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("slack://xoxb-123456789012-abcdefghijkl", "xoxb-123456789012"),
    ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "XXXXXXXXXXXXXXXXXXXXXXXX"),
    ("https://discord.com/api/webhooks/123456/abcdefTOKENabcdef", "abcdefTOKENabcdef"),
    ("https://s3.example.org/b/k?X-Amz-Signature=deadbeefdeadbeef&x=1", "deadbeefdeadbeef"),
    ("https://acc.blob.example.org/c?sv=1&sig=deadbeef%2Fdeadbeef", "deadbeef%2Fdeadbeef"),
    ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9vYmFyYmF6cXV4;", "Zm9vYmFyYmF6cXV4"),
    ('{"password": "hunter2hunter", "user": "ana"}', "hunter2hunter"),
    ("{'client_secret': 'hunter2hunter'}", "hunter2hunter"),
    ("db.password: hunter2hunter", "hunter2hunter"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "dozjgNryP4J3jVmNHl0w5N"),
    ("OPENAI_API_KEY=sk-proj-abcdefghijklmnopqrstuvwx", "sk-proj-abcdefghijklmnopqrstuvwx"),
    ("key sk_live_abcdefghijklmnop given", "sk_live_abcdefghijklmnop"),
    ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567 python t.py", "0123456789abcdef0123456789abcdef01234567"),
    ("NGC_API_KEY=nvapi-abcdefghijklmnopqrstuvwxyz", "nvapi-abcdefghijklmnopqrstuvwxyz"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----", "MIIEabc"),
    ("bot 123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "AAabcdefghijklmnopqrstuvwxyz0123456"),
    ("app --dbPassword hunter2hunter --x 1", "hunter2hunter"),
    ("java -Djavax.net.ssl.keyStorePassword=hunter2hunter -jar a.jar", "hunter2hunter"),
    ("helm install --set auth.rootPassword=hunter2hunter", "hunter2hunter"),
    ("docker login -u me --password hunter2hunter", "hunter2hunter"),
    ("VAULT_TOKEN=hvs.CAESIabcdefabcdef", "hvs.CAESIabcdefabcdef"),
]

HARMLESS = [
    "python train.py --max-tokens 4096 --tokenizer llama --batch-size 8",
    "vllm serve m --max_num_batched_tokens=8192 --token-limit 4096",
    "gunicorn --keyfile /etc/ssl/key.pem --password-file /run/secrets/pw",
    "train.py:88 in decode_image: 61 % of samples in 8 s",
    "commit 3f2a91c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6",
    "GPU-5f3c9a7e-1b2c-3d4e-5f60-718293a4b5c6 lost",
    "author=ana passenger=3 compass=north secretary=bob",
    "avg(process_resident_bytes, 5m) = 1234567 > 1MiB / 1m",
    "http://127.0.0.1:9477/metrics?name=x",
    "token=$HF_TOKEN python x.py",
    "tokens_per_second: 412.5",
    "token_count=33, prompt_tokens: 12",
    "inc-20261123-07 first 14:11:20",
    "",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_does_not_survive(text: str, secret: str) -> None:
    """The corpus of command lines, environments, URLs, headers and dumps."""
    assert secret not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    """Tokens of language models, identifiers and figures are what the message is about."""
    assert redact(text) == text


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_masking_twice_changes_nothing_more(text: str, secret: str) -> None:
    """Text may pass through twice on its way."""
    assert redact(redact(text)) == redact(text)


def test_values_under_secret_keys_are_masked_however_deep() -> None:
    """Environments come as mappings too."""
    masked = redact_all({"env": {"HF_TOKEN": "plainvalue", "PATH": "/bin"}, "args": ["--password", "x", "--password=hunter2"]})
    assert masked["env"] == {"HF_TOKEN": MASK, "PATH": "/bin"}
    assert "hunter2" not in str(masked)


def test_names_are_told_apart_by_their_parts() -> None:
    """A word inside another word is not that word."""
    assert all(map(secret_name, ("HF_TOKEN", "apiKey", "db.password", "clientSecret", "X-Auth-Token", "PGPASSWORD")))
    assert not any(map(secret_name, ("max_tokens", "tokenizer", "token_file", "author", "passenger", "keyboard", "num_token")))


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever a process calls itself."""
    redact(text)
