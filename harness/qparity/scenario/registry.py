"""The shipped circuits by name (a new one: a file in `circuit/library`, a line here), and GPU devices."""

# name -> "module:function"; text, since the parent process must not import PennyLane
CIRCUITS: dict[str, str] = {
    name: f"qparity.circuit.library.{name}:{name}"
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

# PennyLane's own simulators, those that are installed apart included; plugins add theirs
DEVICES = (
    "default.qubit",
    "default.mixed",
    "default.clifford",
    "default.tensor",
    "default.qutrit",
    "default.qutrit.mixed",
    "default.gaussian",
    "null.qubit",
    "reference.qubit",
    "lightning.qubit",
    "lightning.gpu",
    "lightning.kokkos",
    "lightning.tensor",
    "lightning.amdgpu",
)

# PennyLane devices that simulate on a GPU whatever the framework runs on
GPU_DEVICES = ("lightning.gpu",)
