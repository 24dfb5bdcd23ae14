"""What is written down while the proxy runs: lines for people and programs, records of statements, spans.

Modules: ``masking`` (no secrets in a line), ``repeats`` (the same message over and over), ``ring`` (the last warnings,
for SHOW WARNLOG), ``files`` (log files, renamed and removed).
"""
