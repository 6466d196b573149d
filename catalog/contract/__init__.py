"""What others may tell us: events and products as they arrive, judged one by one.

Pure: bytes and plain values in, drafts or refusals out.
"""
