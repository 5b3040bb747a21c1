#!/usr/bin/env bash
# Take qparity to a GPU machine that has no network but a framework (torch or JAX for CUDA, NumPy, SciPy, pandas, typer):
# what is missing there travels as wheels, some 45 MB. Without altair and vl-convert, so reports are written at home.
#
#   here    benchmarks/offline.sh pack FOLDER [PYTHON]     PYTHON is the other machine's version, 3.12 if not given
#   there   benchmarks/offline.sh install FOLDER           into the `python3` that has the framework
#   there   PYTHONPATH=harness python3 -m qparity.cli run scenarios/gpu.toml -v torch -v torch@gpu
#   here    qparity report RUN                             from the run folder, brought back
set -euo pipefail
packages=(
    keras optree namex pennylane pennylane-lightning scipy-openblas32 autograd autoray diastatic-malt
    astunparse gast termcolor rustworkx tomlkit appdirs cachetools pydantic pydantic-core annotated-types typing-inspection
)
case "${1:-}" in
pack)
    platforms=()
    for glibc in 2_28 2_27 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
    # without --no-deps pip would bring NumPy, SciPy and everything else that is there already
    python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version "${3:-3.12}" \
        "${platforms[@]}" --platform manylinux2014_x86_64 -c "$(dirname "$0")/../constraints.txt" -d "$2" "${packages[@]}"
    du -sh "$2"
    ;;
install)
    # with dependencies: what neither the folder nor the machine has is named here, not in the middle of a sweep
    python3 -m pip install --quiet --no-index --find-links "$2" keras pennylane pennylane-lightning pydantic \
        typer rich psutil packaging pandas scipy
    PYTHONPATH="$(dirname "$0")/../harness" python3 -m qparity.cli doctor
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
