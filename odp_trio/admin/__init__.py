"""What operators read and say.

status    one frozen record of everything, read off the tables
metrics   the record as Prometheus exposition
http      /health, /ready, /metrics, /api/status
proxysys  a login to the proxy itself
"""
