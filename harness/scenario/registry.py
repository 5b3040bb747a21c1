"""The shipped circuits by name. A new one is one file in `harness/circuit/library` and one line here."""

# name -> "module:function"; text, since the parent process must not import PennyLane
CIRCUITS: dict[str, str] = {
    name: f"harness.circuit.library.{name}:{name}"
    for name in (
        "data_reuploading",
        "strongly_entangling",
        "basic_entangler",
        "hardware_efficient",
        "qaoa",
        "iqp",
        "probabilities",
        "vqe",
        "deep",
    )
}
