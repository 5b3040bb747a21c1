"""`qparity.Recorder`: a training recorded where it runs, in the user's own process, by a Keras callback."""
