"""`report.html`: one page that says how sure a result is, and on which a person can settle the first doubts.

Everything is in the one file: no server, no network. Marks are made of escaped text only (`markup`), and the page's
content security policy allows the style and the script that were written with it and nothing else.
"""
