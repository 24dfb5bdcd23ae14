"""The proxy as a process among others: who starts it, watches it, replaces it.

watch       one supervised parent that keeps a proxy running: one process, or several workers
parent      opens its sockets and runs it
watch_options  how it watches
watch_files  what it writes for others to read
place       where one worker is, or its successor will be
starting    starts processes, and keeps a spare
replacing   a hot upgrade of every place, or of none
probes      kills who is hung
crew        what a worker is to the service: its number, its channel
upgrade     a new version takes over the sockets of a running one that nobody watches
child       one process of the proxy, started with sockets and a link
inherited   listening sockets that were handed down, and how they are handed on
link        what a process and the one that started it tell each other
greeting    does the port answer with a MySQL greeting?
health      is a child hung, or only busy? (pure)
lives       when is a proxy that died started again? (pure)
scheduling  how the kernel schedules this process among others
sd_notify   what systemd is told
"""
