"""The thing under test: the Keras layer, the circuit library, gate programs, model builders. Runs in workers."""
