"""Technical indicators as incremental state machines, one file each; `set.IndicatorSet` holds all of one symbol.

Every indicator has the same five methods: `update(x)` takes in the next value and returns the indicator,
`preview(x)` returns what `update(x)` would and changes nothing, `dump()` gives the state as plain numbers led by a
version, `load(numbers)` takes such a dump over, `copy()` makes an independent one in the same state. Nothing is kept
beyond the windows that the definitions name.
"""
