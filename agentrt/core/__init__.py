"""What happens next, without doing it: the state of a run, and the pure function that takes it one event further.

`loop.py` opens with the events and effects and ends with the table of what is legal when; `limits.py` says what a run
may use; `history.py` what the next request carries.
"""
