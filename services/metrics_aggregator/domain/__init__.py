"""What the aggregator computes, without I/O: samples, rules, series, aggregates, results.

rule_file    YAML to `Rule` and back          samples      bytes to `Sample`, four formats
routing      `Series` to the groups it feeds  aggregate    state of one group and window
closing      a closed window to `Result`s     sketch, buckets, sums   the arithmetic
"""
