"""Does the data help? `datagen probe`: a small student trained on a run and on baselines, and evaluated.

arms       a run            -> the negatives of each arm: the run's own, and those of the baselines
plan       queries and arms -> batches, the same queries in the same order for every arm
judged     a BEIR folder    -> documents, queries and judgements to evaluate on
measures   rankings         -> nDCG@10 and recall@100 of each query, and intervals (pure arrays)
results    one file an arm  -> what a killed probe has done already, and the tables
loop       all of it, arm after arm
"""
