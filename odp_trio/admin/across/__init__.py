"""Several workers seen as one: what is asked of one is answered for all.

folding  how values of one thing, one from each worker, become one: sums, the largest, the newest
rows     how rows of commands become one answer, and who is asked: a column of the table of commands
commands a command that is given to one worker, and answered for all
operations an operation that is asked for over HTTP, and answered for all
answers  how answers of operations become one
departed what workers had counted that do not answer any more
answering  what a worker answers to the others
joining    a worker that is started takes the settings of those that serve
records  the same for every record of status, measurements and lists: one table a record
trees    the trees of supervised tasks, and paths in them
frames   what the console shows
"""
