"""What the job computes for one symbol, without Flink: final bars and signals, live previews, revisions.

`engine.SymbolEngine` is the whole; the Flink function around it keeps its state and its timers.
"""
