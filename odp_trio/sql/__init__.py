"""Text to facts: what routing needs to know about a statement; pure.

facts     the values: kind, tables, hints, key conditions, shapes
grammar   ``odp_sql.lark``: DML and the statements that the proxy answers itself
lexer     one regular expression takes the literals out; tokens for the grammar
cache     shapes by text, bounded
literals  a literal's text to a value
"""
