"""What is left of runs that are gone: their records and logs, in a directory or a bucket.

`record.py` and `logs.py` say what is kept and under which name; `store.py` what a store has to be able to do, and
`objects.py` is one over obstore. Nothing here knows of a cluster.
"""
