"""Which statements may run twice: every doubt means no."""

import pytest

from odp_trio.sql.cache import Statements
from odp_trio.sql.lexer import ORACLE

YES = """
select 1
SELECT * FROM t WHERE a = 5
select a, count(*), sum(b) over (partition by c order by d) from t group by a having max(b) > 3 limit 5
select /*+ READ_CONSISTENCY(WEAK) */ x.a from t x join u on x.a = u.a where x.a in (1, 2, 3) and exists (select 1 from v)
select now(), uuid(), rand(), sleep(0.1), database(), concat('a', upper('b'))
select last_insert_id()
(select a from t) union all (select b from u) order by 1
with c(x, y) as (select 1, 2) select * from c
with recursive c as (select 1 as n union all select n + 1 from c where n < 5) select * from c
select * from t partition (p0) use index (a) where (a, b) in ((1, 2), (3, 4))
select cast(a as char(10)), cast(b as decimal(10, 2)), convert(c, signed) from t
select case when (a = 1) then (b) else (c) end from t
select * from t where a between (1) and (2) and not (b like ('x'))
select interval(3, 1, 2), date_add(now(), interval (1) day)
values row(1, 2), row(3, 4)
table t
show tables
show create table t
show variables like 'x%'
desc t
explain update t set a = 1
help 'select'
use db1
begin
start transaction read only
set names utf8mb4
set autocommit = 1
set @a = 5, @@session.sql_mode = ''
set session transaction isolation level read committed
set @a := 5
select @a, @@autocommit
/* a comment */ select 1
select 'insert into t values (1)'
select `insert` from t where `myfunc` = 1
select a.count from a
"""

NO = """
insert into t values (1)
replace into t values (1)
update t set a = 1
delete from t
select * from t for update
select * from t for share
select * from t lock in share mode
select a into @x from t
select a into outfile '/tmp/x' from t
select @a := 5
select myfunc(1)
select `myfunc`(1)
select db.myfunc(1)
select `db`.count(1)
select a, myfunc(b) from t
select * from t where a = other_function(5)
select seq.nextval from dual
select seq.nextval
select get_lock('a', 1)
select release_lock('a')
select found_rows()
select row_count()
select connection_id()
show warnings
select @@warning_count
select 1; select 2
select 1; insert into t values (1)
select /*!40000 myfunc(1), */ 1
explain analyze insert into t values (1)
set global x = 1
set @@global.x = 1
set persist x = 1
set password = 'x'
set @a = myfunc(1)
set @a = (select seq.nextval)
set role r
set default role all to u
call p(1)
do sleep(1)
commit
rollback
savepoint a
xa start 'a'
prepare s from 'select 1'
execute s
deallocate prepare s
create table t (a int)
create temporary table t (a int)
truncate t
lock tables t read
unlock tables
kill 5
load data infile 'x' into table t
handler t open
analyze table t
with c as (select 1) delete from t where a in (select * from c)
flush tables
nonsense
select * from t procedure analyse()
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def repeatable(sql: str, dialect: int = 0, limit: int = 4096) -> bool:
    return Statements(100, text_limit=limit).shape(sql.encode(), dialect)[0].facts.repeatable


@pytest.mark.parametrize("sql", lines(YES))
def test_reads_and_what_only_the_session_knows_may_run_twice(sql: str) -> None:
    assert repeatable(sql)
    assert repeatable(sql.upper().replace("@A", "@a"))


@pytest.mark.parametrize("sql", lines(NO))
def test_what_may_leave_a_trace_may_not(sql: str) -> None:
    assert not repeatable(sql)
    assert not repeatable(f"  {sql.upper()}  ;")


def test_an_explained_function_of_a_user_is_doubtful_too() -> None:
    assert not repeatable("explain select * from t where a = myfunc(1)")


def test_a_text_that_is_cut_is_doubtful() -> None:
    sql = "select * from t where a in (" + ", ".join(map(str, range(1000))) + ")"
    assert repeatable(sql, limit=1 << 20)
    assert not repeatable(sql, limit=4096)


def test_functions_without_parentheses_are_doubtful_in_oracle_mode() -> None:
    assert not repeatable("select myfunc from dual", ORACLE)
