"""What is wrong with a training set that was made elsewhere, and the set without it.

material    the rows of a data set          -> queries, different passages, uses of passages
copies, doubles, hubs, ranks, doubts, rerank, contamination, labels
            material                        -> findings: which use or row has which fault
leaks       material                        -> what a classifier tells without reading the query
inspect     all of them, in order           -> an `Audit`
repair      rows and findings               -> cleaned rows, and each change with its reason
"""
