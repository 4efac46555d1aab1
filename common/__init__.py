"""What the study, the experiments, the benchmarks and the tests of this repository share; no part of the package."""
