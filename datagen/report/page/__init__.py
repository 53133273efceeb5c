"""`RUN/report.html`: one file that shows what is in a run, with no network and no library on the page.

`view` reads the tables of a run into small facts, `charts` draws them, `write` puts them into the template.
"""
