"""Replay validation: a recorded day through the same job, alone, compared value by value with pandas.

inputs      recordings of a day, or a retained range of the input topics as one
isolation   what a replay must not share with production
reference*  the rules computed with pandas; imports nothing of the job's code
compare     two sides into one verdict
report      the verdict as Markdown, with plots
record      the verdict where the next rollout finds it
validate    all of it, in this order
"""
