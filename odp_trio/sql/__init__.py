"""SQL text and its grammar.

grammar   odp_sql.lark, loaded once, and the statements read with it
"""
