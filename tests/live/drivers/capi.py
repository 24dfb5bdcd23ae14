"""The C interface of the MariaDB client library, called as C programs call it; structures are those of its headers."""

from __future__ import annotations

import ctypes as c
import datetime as dt
from decimal import Decimal
from typing import Any

lib = c.CDLL("libmariadb.so.3")
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
INIT_COMMAND, CHARSET_NAME, LOCAL_INFILE, READ_TIMEOUT, CONNECT_ATTR_ADD = 3, 7, 8, 11, 33
CURSOR_TYPE, PREFETCH_ROWS, READ_ONLY_CURSOR = 1, 2, 1
LONGLONG, DOUBLE, NULL, DATE, TIME, DATETIME, NEWDECIMAL, BLOB, STRING = 8, 5, 6, 10, 11, 12, 246, 252, 254
NO_DATA, TRUNCATED = 100, 101


class Field(c.Structure):
    """MYSQL_FIELD."""

    _fields_ = [
        *((name, c.c_char_p) for name in ("name", "org_name", "table", "org_table", "db", "catalog", "default")),
        ("length", c.c_ulong), ("max_length", c.c_ulong),
        *((f"{name}_length", c.c_uint) for name in ("name", "org_name", "table", "org_table", "db", "catalog", "def")),
        ("flags", c.c_uint), ("decimals", c.c_uint), ("charsetnr", c.c_uint), ("type", c.c_uint),
        ("extension", c.c_void_p),
    ]  # fmt: skip


class Time(c.Structure):
    """MYSQL_TIME."""

    _fields_ = [
        *((name, c.c_uint) for name in ("year", "month", "day", "hour", "minute", "second")),
        ("second_part", c.c_ulong), ("neg", c.c_bool), ("time_type", c.c_int),
    ]  # fmt: skip


class Bind(c.Structure):
    """MYSQL_BIND."""

    _fields_ = [
        ("length", c.POINTER(c.c_ulong)), ("is_null", c.c_void_p), ("buffer", c.c_void_p), ("error", c.c_void_p),
        ("u", c.c_void_p), ("store_param_func", c.c_void_p), ("fetch_result", c.c_void_p), ("skip_result", c.c_void_p),
        ("buffer_length", c.c_ulong), ("offset", c.c_ulong), ("length_value", c.c_ulong), ("flags", c.c_uint),
        ("pack_length", c.c_uint), ("buffer_type", c.c_uint), ("error_value", c.c_ubyte), ("is_unsigned", c.c_ubyte),
        ("long_data_used", c.c_ubyte), ("is_null_value", c.c_ubyte), ("extension", c.c_void_p),
    ]  # fmt: skip


_P, _S, _U, _L, _I, _Q = c.c_void_p, c.c_char_p, c.c_uint, c.c_ulong, c.c_int, c.c_ulonglong
for name, result, arguments in (
    ("init", _P, (_P,)), ("options", _I, (_P, _I, _P)), ("options4", _I, (_P, _I, _S, _S)), ("close", None, (_P,)),
    ("real_connect", _P, (_P, _S, _S, _S, _S, _U, _S, _L)), ("errno", _U, (_P,)), ("error", _S, (_P,)),
    ("sqlstate", _S, (_P,)), ("real_query", _I, (_P, _S, _L)), ("store_result", _P, (_P,)), ("use_result", _P, (_P,)),
    ("free_result", None, (_P,)), ("num_fields", _U, (_P,)), ("fetch_fields", c.POINTER(Field), (_P,)),
    ("fetch_row", c.POINTER(_P), (_P,)), ("fetch_lengths", c.POINTER(_L), (_P,)), ("next_result", _I, (_P,)),
    ("affected_rows", _Q, (_P,)), ("insert_id", _Q, (_P,)), ("warning_count", _U, (_P,)), ("info", _S, (_P,)),
    ("field_count", _U, (_P,)), ("ping", _I, (_P,)), ("select_db", _I, (_P, _S)), ("autocommit", c.c_ubyte, (_P, c.c_ubyte)),
    ("commit", c.c_ubyte, (_P,)), ("rollback", c.c_ubyte, (_P,)), ("reset_connection", _I, (_P,)),
    ("change_user", c.c_ubyte, (_P, _S, _S, _S)), ("thread_id", _L, (_P,)), ("stat", _S, (_P,)), ("kill", _I, (_P, _L)),
    ("get_server_info", _S, (_P,)), ("get_proto_info", _U, (_P,)), ("character_set_name", _S, (_P,)),
    ("set_character_set", _I, (_P, _S)), ("set_server_option", _I, (_P, _I)), ("list_fields", _P, (_P, _S, _S)),
    ("list_tables", _P, (_P, _S)), ("list_processes", _P, (_P,)), ("real_escape_string", _L, (_P, _S, _S, _L)),
    ("num_rows", _Q, (_P,)), ("data_seek", None, (_P, _Q)), ("get_client_info", _S, ()), ("thread_end", None, ()),
    ("send_query", _I, (_P, _S, _L)), ("read_query_result", c.c_ubyte, (_P,)), ("dump_debug_info", _I, (_P,)),
    ("stmt_init", _P, (_P,)), ("stmt_prepare", _I, (_P, _S, _L)), ("stmt_execute", _I, (_P,)), ("stmt_fetch", _I, (_P,)),
    ("stmt_bind_param", c.c_ubyte, (_P, c.POINTER(Bind))), ("stmt_bind_result", c.c_ubyte, (_P, c.POINTER(Bind))),
    ("stmt_fetch_column", _I, (_P, c.POINTER(Bind), _U, _L)), ("stmt_close", c.c_ubyte, (_P,)),
    ("stmt_reset", c.c_ubyte, (_P,)), ("stmt_free_result", c.c_ubyte, (_P,)), ("stmt_store_result", _I, (_P,)),
    ("stmt_send_long_data", c.c_ubyte, (_P, _U, _S, _L)), ("stmt_result_metadata", _P, (_P,)),
    ("stmt_param_count", _L, (_P,)), ("stmt_field_count", _U, (_P,)), ("stmt_errno", _U, (_P,)), ("stmt_error", _S, (_P,)),
    ("stmt_sqlstate", _S, (_P,)), ("stmt_affected_rows", _Q, (_P,)), ("stmt_insert_id", _Q, (_P,)),
    ("stmt_num_rows", _Q, (_P,)), ("stmt_data_seek", None, (_P, _Q)), ("stmt_next_result", _I, (_P,)),
    ("stmt_attr_set", c.c_ubyte, (_P, _I, _P)),
):  # fmt: skip
    function = getattr(lib, f"mysql_{name}")
    function.restype, function.argtypes = result, arguments


class ClientError(Exception):
    """What mysql_errno(), mysql_sqlstate() and mysql_error() said."""


def columns(fields: Any, count: int) -> list[list[Any]]:
    """Return what a result tells of its columns."""
    shown = []
    for number in range(count):
        f = fields[number]
        texts = [(text or b"").decode() for text in (f.db, f.table, f.org_table, f.name, f.org_name)]
        shown.append([*texts, f.charsetnr, f.length, f.type, f.flags & 0xFFFF, f.decimals])
    return shown


def value_of(data: bytes | None, field: Any) -> Any:
    """Return a value of the text protocol: bytes where the column is binary and no number or date."""
    if data is None:
        return None
    return (
        data
        if field.charsetnr == 63 and field.type in (16, 249, 250, 251, 252, 253, 254)
        else data.decode("utf-8", "backslashreplace")
    )


class Parameters:
    """An array of MYSQL_BIND for values, and the memory that it points to."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.binds = (Bind * max(1, len(values)))()
        self.kept: list[Any] = []
        for bind, item in zip(self.binds, values, strict=False):
            self._fill(bind, item)

    def _fill(self, bind: Bind, item: Any) -> None:
        kind, memory = _memory(item)
        bind.buffer_type = kind
        if memory is None:
            return
        bind.buffer = c.addressof(memory)
        bind.is_unsigned = isinstance(memory, c.c_ulonglong)
        length = c.c_ulong(c.sizeof(memory) - (1 if kind in (STRING, BLOB, NEWDECIMAL) else 0))
        bind.buffer_length, bind.length = length.value, c.pointer(length)
        self.kept += [memory, length]


def _memory(item: Any) -> tuple[int, Any]:
    """Return the type and the memory of a parameter."""
    match item:
        case None:
            return NULL, None
        case int():
            return LONGLONG, c.c_ulonglong(item) if item >= 1 << 63 else c.c_longlong(item)
        case float():
            return DOUBLE, c.c_double(item)
        case Decimal():
            return STRING, c.create_string_buffer(str(item).encode())
        case str():
            return STRING, c.create_string_buffer(item.encode())
        case bytes():
            return BLOB, c.create_string_buffer(item)
        case dt.datetime():
            moment = (item.year, item.month, item.day, item.hour, item.minute, item.second, item.microsecond)
            return DATETIME, Time(*moment, False, 1)
        case dt.date():
            return DATE, Time(item.year, item.month, item.day, 0, 0, 0, 0, False, 0)
        case dt.timedelta():
            seconds, micro = divmod(abs(item) // dt.timedelta(microseconds=1), 10**6)
            hours, rest = divmod(seconds, 3600)
            # More than a day's hours are days.
            return TIME, Time(0, 0, hours // 24, hours % 24, rest // 60, rest % 60, micro, item < dt.timedelta(), 2)
    raise TypeError(f"no parameter: {item!r}")
