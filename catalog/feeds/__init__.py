"""Product feeds: from the bytes of a file to products that can be stored, or the reasons why not.

Pure: files come as streams of bytes, rows leave one by one, and nothing is kept but the row at hand.
"""
