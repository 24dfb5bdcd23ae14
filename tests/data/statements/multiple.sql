## Several statements in one packet, comments, hints.
select 1; select 2;;
select 1; select 'two', null; select 3 where false;;
create table m (id int primary key, v int); insert into m values (1, 1), (2, 2), (3, 3); select * from m order by id;;
set @a = 1; set @b = 2; select @a + @b;;
update m set v = v + 1; delete from m where id = 3; select count(*) from m;;
begin; insert into m values (4, 4); select * from m order by id; commit;;
begin; insert into m values (5, 5); rollback; select count(*) from m;;
select 1; selec 2; select 3;;
select 1; select * from nothing; select 3;;
insert into m values (9, 9); insert into m values (9, 9); insert into m values (10, 10);;
select id from m order by id;;
use corpus; select database(); set names utf8mb4;;
select 1;
;;
; select 1;;
select ';' as semicolon, "a;b", `v` from m where v = ';' or 1 = 1 limit 1; select 2;;
select 1 -- comment; select 2
;;
select /* one; two */ 1; select 2 # three; four
;;
/* before */ select 1;;
-- a line first
select 1;;
# another kind
select 1;;
/*! select 40000 */;;
/*!40101 set names utf8mb4 */;;
select /*! 1 + */ 1;;
select /*!99999 1 + */ 1;;
select /*+ query_timeout(5000000) */ 1;;
select /*+ index(m primary) parallel(1) */ * from m order by id;;
select /*+ no_such_hint(x) */ 1;;
select /*+ read_consistency(weak) */ count(*) from m;;
insert /*+ append */ into m values (20, 20);;
	select
		1
	;;
select 1 from dual; set @q = 3; select @q; set @q = 4;;
select 'only a string with ; and /* and -- and # inside';;
create procedure in_many() begin select 'p' as a, 1 as b; end; call in_many(); select 'done' as a, 2 as b, 3 as c;;
call in_many(); call in_many(); select 'again' as a, 4 as b, 5 as c, 6 as d;;
select 1; set no_such_variable = 2;;
set autocommit = 0; insert into m values (30, 30); set autocommit = 1; select count(*) from m;;
set @m = 1; update m set v = 0 where id = 1; set @n = 2;;
(select 1);;
(select 1) union (select 2) limit 1;;
SELECT 1 FROM DUAL;;
SeLeCt 'mIxEd' As cAsE;;
--;;
/**/;;
select 1 /* never closed;;
select 'never closed;;
