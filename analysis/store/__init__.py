"""The results store: its format in both directions, on a disk or in S3, with journal, compaction and check; no drawing.

What reads, writes or mends stored trials belongs here. The reader owns the format, and the writer conforms to it.
"""
