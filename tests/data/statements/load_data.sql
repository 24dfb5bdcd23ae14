## Files of the client.
create table loaded (id int primary key, name varchar(100));;
load data local infile 'rows.csv' into table loaded fields terminated by ',';;
select * from loaded order by id;;
load data local infile 'rows.csv' into table loaded fields terminated by ',';;
show warnings;;
load data local infile 'rows.csv' replace into table loaded fields terminated by ',';;
load data local infile 'rows.csv' ignore into table loaded fields terminated by ',';;
load data local infile 'empty.csv' into table loaded fields terminated by ',';;
truncate table loaded;;
load data local infile 'long.csv' into table loaded fields terminated by ',';;
select count(*), sum(length(name)), max(id) from loaded;;
truncate table loaded;;
load data local infile 'bad.csv' into table loaded fields terminated by ',';;
select * from loaded order by id;;
load data local infile 'rows.csv' into table nothing;;
load data local infile 'rows.csv' into table loaded fields terminated by ',' ignore 2 lines (id, @name) set name = upper(@name), id = id + 50;;
select * from loaded order by id;;
select 'after';;
