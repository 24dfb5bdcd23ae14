## More than 16 MiB: packets that continue.
create table huge (id int primary key, body longtext);;
insert into huge values (1, '{{0123456789abcdef*1050000}}');;
select id, length(body), md5(body) from huge;;
select body from huge;;
select body, id from huge union all select 'short', 2;;
select length('{{0123456789abcdef*2200000}}');;
select repeat('x', 16777210), 1;;
select repeat('x', 16777206);;
select repeat('x', 16777207);;
select repeat('x', 16777208);;
select repeat('x', 16777215);;
select repeat('x', 33554421);;
select 'after';;
drop table huge;;
