"""What is written down while the proxy runs: lines for people and programs, records of statements, spans.

Modules: ``output`` (the handler behind which everything is), ``proxy_logs`` (what one proxy has logged), ``writer``
(the thread), ``sinks`` (where lines go), ``files`` (log files, renamed and removed), ``line`` (of the main log),
``statement`` (digest, slow and error lines), ``diagnosis`` (obproxy_diagnosis.log), ``spans`` (OpenTelemetry),
``masking`` (no secrets in a line), ``repeats`` (the same message over and over), ``ring`` (the last warnings, for
SHOW WARNLOG).
"""
