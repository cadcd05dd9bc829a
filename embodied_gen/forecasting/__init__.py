"""Where pedestrians go: recordings, windows by protocol, forecasters, one evaluator for every protocol."""
