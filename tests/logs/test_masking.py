"""No secret gets into a line, whatever the statement looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.logs.masking import Redactor, masked, masked_message

SECRET = "hunter2secret"

STATEMENTS = [
    "SET PASSWORD = '{}'",
    "SET PASSWORD FOR 'bob'@'%' = '{}'",
    "SET PASSWORD FOR bob = PASSWORD('{}')",
    'set password for bob = OLD_PASSWORD("{}")',
    "CREATE USER bob IDENTIFIED BY '{}'",
    'CREATE USER bob IDENTIFIED BY "{}"',
    "CREATE USER bob IDENTIFIED BY {}",
    "CREATE USER bob IDENTIFIED BY `{}`",
    "CREATE USER IF NOT EXISTS a IDENTIFIED BY 'x', b IDENTIFIED BY '{}'",
    "CREATE USER bob IDENTIFIED BY PASSWORD '{}'",
    "ALTER USER bob IDENTIFIED BY VALUES '{}'",
    "ALTER USER bob IDENTIFIED WITH mysql_native_password BY '{}' REPLACE 'old'",
    "ALTER USER bob IDENTIFIED WITH mysql_native_password AS '{}'",
    "GRANT ALL ON *.* TO bob IDENTIFIED  BY\n\t'{}'",
    "ALTER USER bob /* new */ IDENTIFIED/**/BY/**/'{}'",
    "ALTER USER bob IDENTIFIED BY '\\'{}'",
    "ALTER USER bob IDENTIFIED BY 'a\\' , x='{}'",
    "ALTER USER bob IDENTIFIED BY '''{}'",
    "ALTER USER bob IDENTIFIED BY q'[it's {}]'",
    "ALTER USER bob IDENTIFIED BY 'ünï {}'",
    "ALTER USER bob IDENTIFIED BY '{}",
    "SELECT * FROM users WHERE name = 'x\\' AND password = '{}'",
    "UPDATE users SET password = q'[it's {}]' WHERE id = 1",
    "UPDATE users SET name = '\xfc' , password = '{}'",
    "-- the password is {}\nSELECT 1",
    "SELECT /* token {} */ 1",
    "ALTER PROXYCONFIG SET obproxy_sys_password = '{}'",
    "ALTER PROXYCONFIG SET observer_sys_password={}",
    "CHANGE MASTER TO MASTER_PASSWORD='{}'",
    "UPDATE users SET pwd = '{}' WHERE id = 1",
    "INSERT INTO users (name, password) VALUES ('bob', '{}')",
    "SELECT * FROM api_tokens WHERE token = '{}'",
    "SET ENCRYPTION ON IDENTIFIED BY '{}' ONLY",
    "SELECT AES_ENCRYPT('{}', 'k')",
    "SELECT AES_DECRYPT(c, '{}') FROM t",
    "CREATE EXTERNAL TABLE t (a INT) LOCATION = 'oss://b/?host=h&access_id=a&access_key={}'",
    "ALTER SYSTEM SET log_archive_dest = 'LOCATION=s3://b?access_key={}'",
    "ALTER SYSTEM RESTORE t FROM 's3://x?access_key={}' WITH 'pool_list=p'",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_secret_in_a_statement_is_not_shown(statement: str) -> None:
    shown = masked(statement.format(SECRET).encode())

    assert SECRET not in shown
    assert "***" in shown or "SELECT" in shown


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("cut", [1, 2, 5, 10])
def test_nor_is_the_beginning_of_one_that_was_cut(statement: str, cut: int) -> None:
    whole = statement.format(SECRET)
    end = whole.index(SECRET) + len(SECRET) - cut

    assert SECRET[: len(SECRET) - cut] not in masked(whole[:end].encode()) or len(SECRET) - cut < 4


@given(st.text("'\"\\ab/*-# `\u00fc", max_size=12), st.sampled_from(["'", '"']))
def test_whatever_stands_around_it(around: str, quote: str) -> None:
    for text in (
        f"ALTER USER b IDENTIFIED BY {quote}{SECRET}{quote}{around}",
        f"SET PASSWORD={quote}{around}{SECRET}{quote}",
    ):
        assert SECRET not in masked(text.encode())


@pytest.mark.parametrize(
    "statement", ["SELECT 'abc', 5 FROM t -- hello", "UPDATE t SET a = 'x\\'y' WHERE b = 1", "", "SELECT 'ü'"]
)
def test_other_statements_are_shown_as_they_are(statement: str) -> None:
    assert masked(statement.encode()) == statement


def test_what_is_certain_is_kept() -> None:
    shown = masked(b"CREATE USER bob IDENTIFIED BY 'x' ACCOUNT LOCK")

    assert shown == "CREATE USER bob IDENTIFIED BY ***"
    shown = masked(b"SELECT id FROM users /* why */ WHERE password = 'x' AND id > 5")
    assert shown == "SELECT id FROM users  WHERE password = *** AND id > ***"


def test_bytes_that_are_no_text() -> None:
    assert masked(b"SELECT \xff") == "SELECT �"


def test_an_error_message_that_quotes_the_statement() -> None:
    message = "You have an error in your SQL syntax near 'identifid by 'x'' at line 1"

    assert (
        masked_message(message, b"create user b identified by 'x' foo")
        == "You have an error in your SQL syntax near ***"
    )
    assert masked_message(message, b"select 1") == message


def test_secrets_of_the_configuration_are_taken_out_of_any_text() -> None:
    redact = Redactor(["proxysys-pw", "proxysys-pw-2", "abc", ""])

    assert redact("refused proxysys-pw-2 and proxysys-pw of abc") == "refused *** and *** of abc"
    assert Redactor([])("as it is") == "as it is"
