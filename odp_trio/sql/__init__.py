"""Text to facts: what routing needs to know about a statement; pure.

facts       the values: kind, tables, hints, key conditions, shapes
lexer       one regular expression takes the literals out; words of a statement
cache       shapes by text, bounded
statement   from a split statement to its facts
kinds       kinds of statements by their first words, marks of words anywhere
effects     whether a statement may run twice without anybody noticing
hints       what hints ask of routing
skim        what routing does not need is taken out; tokens for the grammar
vocabulary  the words that mean something to it
lists       lists of constants, which become one token
grammar     tokens read by the tables of ``grammar/odp_sql.lark``
dml         the grammar's callbacks: tables and conditions
sources     queries put together: which table is the first, what is said of it
conditions  AND, OR and comparisons in disjunctive form
literals    a literal's text to a value; annotations of the first comment
"""
