"""Whether a statement may run a second time, on another server, when nobody knows if it ran the first time.

It may when nothing outside its own server session can notice: reads, and what
changes a session that is gone with its connection.  Everything doubtful is not
repeatable: a function that is not known to be harmless may write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from odp_trio.sql.facts import DML, Kind
from odp_trio.sql.lexer import Word
from odp_trio.sql.vocabulary import words_of

_SESSION_ONLY: Final = frozenset({Kind.SHOW, Kind.DESCRIBE, Kind.HELP, Kind.USE, Kind.BEGIN})
_NOT_CALLS: Final = words_of(
    """SELECT FROM WHERE ON USING AS WITH AND OR XOR NOT IN IS BETWEEN EXISTS ANY SOME ALL DISTINCT CASE WHEN THEN ELSE
    END BY HAVING LIMIT OFFSET UNION INTERSECT EXCEPT MINUS JOIN LEFT RIGHT CROSS INNER OUTER NATURAL STRAIGHT_JOIN OVER
    PARTITION SUBPARTITION INTERVAL LIKE ESCAPE REGEXP RLIKE DIV MOD BINARY COLLATE VALUES VALUE ROW RECURSIVE FILTER
    WITHIN AGAINST SET INDEX KEY FORCE IGNORE USE FOR TABLE DUAL LATERAL ROLLUP SEPARATOR WINDOW PRIOR"""
)
_HARMLESS: Final = words_of(
    """COUNT SUM AVG MIN MAX STD STDDEV STDDEV_POP STDDEV_SAMP VARIANCE VAR_POP VAR_SAMP BIT_AND BIT_OR BIT_XOR
    GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG APPROX_COUNT_DISTINCT ANY_VALUE GROUPING ROW_NUMBER RANK DENSE_RANK
    PERCENT_RANK CUME_DIST NTILE LAG LEAD FIRST_VALUE LAST_VALUE NTH_VALUE LISTAGG ABS ACOS ASIN ATAN ATAN2 CEIL
    CEILING CONV COS COT CRC32 DEGREES EXP FLOOR LN LOG LOG10 LOG2 MOD PI POW POWER RADIANS RAND ROUND SIGN SIN SQRT
    TAN TRUNCATE GREATEST LEAST ASCII BIN BIT_LENGTH CHAR CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS ELT
    EXPORT_SET FIELD FIND_IN_SET FORMAT FROM_BASE64 TO_BASE64 HEX UNHEX INSERT INSTR LCASE LEFT LENGTH LOCATE LOWER
    LPAD LTRIM MAKE_SET MID OCT OCTET_LENGTH ORD POSITION QUOTE REPEAT REPLACE REVERSE RIGHT RPAD RTRIM SOUNDEX
    SPACE STRCMP SUBSTR SUBSTRING SUBSTRING_INDEX TRIM UCASE UPPER WEIGHT_STRING REGEXP_LIKE REGEXP_INSTR
    REGEXP_REPLACE REGEXP_SUBSTR TRANSLATE INITCAP ADDDATE ADDTIME CONVERT_TZ CURDATE CURRENT_DATE CURRENT_TIME
    CURRENT_TIMESTAMP CURTIME DATE DATE_ADD DATE_FORMAT DATE_SUB DATEDIFF DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR
    EXTRACT FROM_DAYS FROM_UNIXTIME GET_FORMAT HOUR LAST_DAY LOCALTIME LOCALTIMESTAMP MAKEDATE MAKETIME MICROSECOND
    MINUTE MONTH MONTHNAME NOW PERIOD_ADD PERIOD_DIFF QUARTER SEC_TO_TIME SECOND STR_TO_DATE SUBDATE SUBTIME SYSDATE
    TIME TIME_FORMAT TIME_TO_SEC TIMEDIFF TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TO_DAYS TO_SECONDS UNIX_TIMESTAMP
    UTC_DATE UTC_TIME UTC_TIMESTAMP WEEK WEEKDAY WEEKOFYEAR YEAR YEARWEEK TO_CHAR TO_DATE TO_NUMBER NVL NVL2 DECODE
    CAST CONVERT COALESCE IF IFNULL NULLIF ISNULL INTERVAL MD5 SHA SHA1 SHA2 AES_ENCRYPT AES_DECRYPT RANDOM_BYTES
    COMPRESS UNCOMPRESS UNCOMPRESSED_LENGTH INET_ATON INET_NTOA INET6_ATON INET6_NTOA IS_IPV4 IS_IPV6 UUID
    UUID_SHORT UUID_TO_BIN BIN_TO_UUID IS_UUID BIT_COUNT CHARSET COLLATION COERCIBILITY DATABASE SCHEMA USER
    CURRENT_USER SESSION_USER SYSTEM_USER VERSION CURRENT_ROLE SLEEP BENCHMARK LAST_INSERT_ID OB_VERSION NAME_CONST
    DEFAULT JSON_ARRAY JSON_OBJECT JSON_QUOTE JSON_CONTAINS JSON_CONTAINS_PATH JSON_EXTRACT JSON_KEYS JSON_OVERLAPS
    JSON_SEARCH JSON_VALUE JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_INSERT JSON_MERGE JSON_MERGE_PATCH
    JSON_MERGE_PRESERVE JSON_REMOVE JSON_REPLACE JSON_SET JSON_UNQUOTE JSON_DEPTH JSON_LENGTH JSON_TYPE JSON_VALID
    JSON_TABLE JSON_PRETTY JSON_STORAGE_SIZE MATCH VARCHAR DECIMAL NUMERIC BINARY VARBINARY NCHAR CHARACTER DATETIME
    UNSIGNED SIGNED"""
)
"""Functions of the server that only compute, and types with a length.  A user's own function cannot have their names
in front of a parenthesis without its database."""
_WRITES: Final = words_of("INTO NEXTVAL CURRVAL OUTFILE DUMPFILE PROCEDURE")
_ELSEWHERE: Final = ("global.", "persist", "password", "role", "default")


def is_repeatable(kind: Kind, every: Sequence[Word], found: Mapping[str, Any]) -> bool:
    """Whether one statement, all of whose words are given, may run twice; ``found`` is what is known of it."""
    if found.get("statements", 1) > 1 or found.get("binds_last") or found.get("table_locks"):
        return False
    if kind is Kind.SET:
        sets: tuple[str, ...] = found.get("sets", ())
        if not sets or any(name.startswith(_ELSEWHERE) for name in sets):
            return False
    elif found.get("explain"):
        if any(word.upper == "ANALYZE" for word in every[:4]):  # that runs what it explains
            return False
    elif kind in DML:
        if kind is not Kind.SELECT or found.get("locking"):
            return False
    elif kind not in _SESSION_ONLY:
        return False
    return _is_harmless(every, assigns=kind is Kind.SET)


def _is_harmless(every: Sequence[Word], *, assigns: bool) -> bool:
    for at, word in enumerate(every):
        if word.kind == "MARK":
            if word.text == ":=" and not assigns:
                return False
            if word.text == "(" and at and not _may_be_called(every, at - 1):
                return False
        elif word.kind == "NAME" and word.upper in _WRITES:
            return False
    return True


def _may_be_called(every: Sequence[Word], at: int) -> bool:
    """Whether what stands before a parenthesis is no function, or a harmless one."""
    word = every[at]
    if word.kind not in ("NAME", "QUOTED"):
        return word.kind != "VARIABLE"
    if at and every[at - 1].text == ".":
        return False
    if word.kind == "QUOTED":
        return at > 0 and every[at - 1].upper in ("AS", "WITH", "RECURSIVE", ",")
    if word.upper in _NOT_CALLS or word.upper in _HARMLESS:
        return True
    return at > 0 and (every[at - 1].upper in ("AS", "WITH", "RECURSIVE"))
