"""`qparity hunt`: random circuits and what is equivalent to them, trained, judged, and cut down where one is wrong."""
