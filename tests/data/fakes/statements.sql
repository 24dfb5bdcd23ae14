## What a fake OBServer and a real one must answer alike, packet by packet.  One statement a line; each line is sent
## as it is.  Run in an empty database, on a plain connection, a tracking one and one of a proxy.
select 1
select 12345678901, -5, 1.5, 1e3, 'abc', '', null, true, false, 18446744073709551615, x'4142', 0x41
set @a=1,@b='x'
select @a, @b, @never, @a:=5, @a+1
select count(*), sum(1), max(2), min('a'), avg(3)
show variables like 'autocommit'
show warnings
select nothing
selec 1
select * from nothing
use nowhere
drop table nothing
select * from nowhere.nothing
create table fk1 (id int primary key auto_increment, n bigint not null, s varchar(20), d decimal(10,2), t datetime, c char(5), x text, b blob, f double, u int unsigned, e tinyint default 3, dt date, ti time, ts timestamp null, fl float, bi bigint unsigned, si smallint, vb varbinary(10), unique key (n))
insert into fk1 (n,s) values (1,'a')
insert into fk1 (n,s,d,t) values (2,'b',1.5,'2020-01-01 10:00:00'),(3,null,2,null)
insert into fk1 (n) values (3)
insert into fk1 (id,n) values (1,9)
select * from fk1
select id, n+1, d*2, sum(n), count(*), max(s), max(id), avg(n) from fk1
select f.id as i, f.s from fk1 f where id=1
update fk1 set s='z' where id=1
update fk1 set s='z' where id=1
delete from fk1 where id=2
replace into fk1 (id,n) values (1,1)
replace into fk1 (id,n) values (7,70)
insert into fk1 (n) values (8) on duplicate key update s='q'
insert into fk1 (n) values (8) on duplicate key update s='q'
insert into fk1 (n) values (8) on duplicate key update s='r'
insert ignore into fk1 (n) values (8)
insert into fk1 (n) values (null)
insert into fk1 (s) values ('x')
insert into fk1 (n,s) values (99,'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')
insert into fk1 (n,id) values (99,99999999999)
insert into fk1 values (1)
insert into fk1 (zz) values (1)
update fk1 set zz=1
begin
select 1
insert into fk1 (n) values (50)
commit
set autocommit=0
select 1
select * from fk1 where id=0
insert into fk1 (n) values (51)
rollback
set autocommit=1
start transaction
set session transaction isolation level read committed
set transaction isolation level repeatable read
set tx_isolation='SERIALIZABLE'
rollback
set names utf8mb4
set @@ob_query_timeout=5000000
set no_such=1
kill 99999
kill query 99999
truncate table fk1
drop table fk1
prepare p from 'select ? + 1'
set @x=5
execute p using @x
execute nosuch
deallocate prepare p
deallocate prepare p
show variables like 'nosuch%'
select 1;select 2;set @q=1
select 1;selec
set session tx_isolation='READ-COMMITTED', autocommit=1, time_zone='+08:00', sql_mode='STRICT_ALL_TABLES'
set ob_read_consistency='STRONG', @a=null, @b=null
set @z=1
create table t (id int primary key auto_increment, n bigint not null, s varchar(20), unique key uk (n))
insert into t (n,s) values (1,'a')
insert into t (n,s) values (2,'b'),(3,'c')
select * from t
insert into t (n) values (3)
update t set s='z' where id=1
set @a=1, @b='x', autocommit=0
set autocommit=1
set names utf8mb4
set session tx_isolation='REPEATABLE-READ'
begin
commit
set transaction isolation level read committed
begin
select 1
rollback
select 1
select @x:=7
set @s='it''s', @f=1.5, @n=null, @e=1e3
set time_zone='+01:00', sql_mode=''
set ob_query_timeout=20000000, ob_trx_timeout=100000000
prepare p from 'select ? + 1'
execute p using @a
deallocate prepare p
select 1; select 2
select 1; set @q=2
set @q=3; select 1
update t set s='k' where id=2; selec; select 1
drop table nothing
selec 1
use nowhere
truncate table t
drop table t
create table x (a int)
select database()
set @@session.ob_read_consistency='WEAK'
show warnings
set last_insert_id=55
select last_insert_id(), @@identity
set wait_timeout=100
do 1
start transaction read only
commit
set autocommit=0
start transaction
rollback
savepoint s
set session tx_isolation='READ-COMMITTED', autocommit=1, time_zone='+08:00', sql_mode='STRICT_ALL_TABLES'
set ob_read_consistency='STRONG', @a=null, @b=null
create table t (id int primary key auto_increment, n int)
insert into t values (5, 1)
insert into t values (null, 2), (9, 3), (null, 4)
insert ignore into t values (5, 1), (6, 1), (11, 2)
select * from t
insert into t select id + 100, n from t where id < 7
select n, count(*) from t group by n order by n desc
select distinct n from t order by 1
select a.id, b.n from t a join t b on a.id = b.id where a.id < 8 order by a.id
select * from t order by id desc limit 2
select * from t where id in (5, 6, 999) and n < 3
select count(*) from t where id between 5 and 10
select 'a' into @v
select @v
select cast('x' as signed)
show warnings
select 5 & 3, 5 | 3, 1 << 4
delete from t where id > 100 limit 1
update t set n = n + 1 order by id limit 2
update t set id = 6 where id = 5
alter table t add column x int
begin
savepoint a
insert into t (n) values (77)
rollback to a
release savepoint a
rollback to b
commit
set transaction read only
select count(*) from t where n = 77
begin
insert into t (n) values (1)
rollback
select if(1, 'a', 'b'), case 2 when 1 then 'x' when 2 then 'y' end, nullif(1, 1), 'abc' like 'a%', null <=> null
drop table t
set session tx_isolation='READ-COMMITTED', autocommit=1, time_zone='+08:00', sql_mode='STRICT_ALL_TABLES'
set ob_read_consistency='STRONG', @a=null, @b=null
