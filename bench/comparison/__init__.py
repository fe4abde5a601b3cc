"""Parts of `bench/compare`: contenders, the machine, and what a run says."""
