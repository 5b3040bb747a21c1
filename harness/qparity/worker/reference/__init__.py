"""The reference: Keras on NumPy alone, in float64, in a process of its own. It trains nothing: it says what is right.

It says what circuit a scenario has when no framework is near, and computes predictions, loss and derivatives of a whole
model at weights and batches that a cell has recorded. It shares no tensor library, no automatic differentiation and no
compiler with the variants it speaks about; it does share Keras' layers and PennyLane's function with them.
"""
