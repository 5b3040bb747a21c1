"""qparity: do the Keras backends train the same PennyLane circuit alike, which one is wrong, how fast is each?"""
