## Results of every shape.
select 1;;
select 1, 'two', 3.0, null, x'00ff', b'101', true, 1e3;;
select 1 as a, 2 as `b c`, 'x' as ``;;
select cast('2020-01-02' as date), cast('2020-01-02 03:04:05.678' as datetime(3)), cast('-12:34:56' as time);;
select cast(18446744073709551615 as unsigned), -9223372036854775808, cast('{"a": [1, 2]}' as json);;
select 'é🦆', length('é🦆'), char_length('é🦆'), hex('é🦆'), _latin1'abc';;
select 1 from dual where 1 = 0;;
select 1 union all select 2 union select 2 order by 1 desc;;
select * from (select 1 as x, 'y' as y) q where x in (select 1);;
select repeat('x', 300), repeat('y', 70000);;
select if(1, 'a', 'b'), coalesce(null, 'c'), case 3 when 1 then 'x' else 'z' end;;
select count(*), sum(x), avg(x), min(x), max(x), group_concat(x order by x) from (select 1 x union all select 2) q;;
select 1; select 2, 3; select 'last';;
select 1; select no_such_column; select 3;;
/* a comment first */ select 1;;
select 1 -- and one behind
;;
/*! select 'in a comment' */;;
select 1 # the end
;;
select "double", 'it''s', 'a\\b', 'c\nd';;
select @@autocommit, @@sql_mode, @@time_zone, @@character_set_client;;
select database() is not null, user() like '%@%', connection_id() > 0;;
(select 1);;
values row(1, 2), row(3, 4);;
explain select 1;;
do 1 + 1;;
