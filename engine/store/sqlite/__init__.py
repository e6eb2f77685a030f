"""One file, one writer thread, group commit: the store of one machine.

Every write goes through one thread in the order in which it was handed over (`writer`); log rows that wait together
share one statement and one fsync. Reads run on connections of their own and see what is committed. Call
``sys.setswitchinterval(0.0005)`` before opening a store in a busy process: with Python's default of 5 ms the writer
waits that long for the interpreter at every statement, which makes a commit of 100 rows 4 times slower. This is left to
the process's start, since it concerns all threads.
"""
