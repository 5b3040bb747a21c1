"""Scenario files: matrix, exclude, entries, inheritance, and what is said of a wrong file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qparity.scenario import shipped
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import ScenarioFile, load_file, load_files, parse
from qparity.scenario.matrix import MAX_SCENARIOS
from qparity.scenario.variant import DEFAULT_VARIANTS, MODES

SHIPPED = Path(__file__).parents[2] / "scenarios"
HERE = Path("scenarios/x.toml")


def read(text: str | bytes) -> ScenarioFile:
    return parse(text.encode() if isinstance(text, str) else text, HERE)


def names(text: str) -> list[str]:
    return [scenario.name for scenario in read(text).scenarios]


def refuse(text: str | bytes) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("scenarios/x.toml: ")
    assert message.isprintable()
    return message.removeprefix("scenarios/x.toml: ")


def test_fourier_is_the_seed_experiment() -> None:
    file = load_file(SHIPPED / "fourier.toml")
    assert file.variants == DEFAULT_VARIANTS
    assert [(each.layers, each.device, each.diff_method) for each in file.scenarios] == [
        (layers, device, method)
        for layers in (1, 2, 4)
        for device, method in (("default.qubit", "backprop"), ("lightning.qubit", "adjoint"))
    ]
    assert file.scenarios[2].name == "fourier-layers2-default.qubit-backprop"
    for each in file.scenarios:
        assert (each.wires, each.dtype, each.training.batch_size, each.training.epochs) == (1, "float64", 32, 30)
        assert (each.training.optimizer.name, each.training.optimizer.learning_rate) == ("adam", 0.03)
        assert (each.data.name, each.data.samples) == ("fourier", 70)


def test_smoke_is_tiny_and_covers_both_precisions_and_devices() -> None:
    scenarios = load_file(SHIPPED / "smoke.toml").scenarios
    assert {each.dtype for each in scenarios} == {"float32", "float64"}
    assert {each.device for each in scenarios} == {"default.qubit", "lightning.qubit"}
    assert {each.wires for each in scenarios} == {1, 2}
    assert max(each.steps for each in scenarios) <= 4


def test_stock_states_its_verdicts() -> None:
    file = load_file(SHIPPED / "stock.toml")
    exact, stock = file.scenarios
    assert (exact.training.numerics, stock.training.numerics) == ("exact", "stock")
    assert exact.expect == "ROUNDING"
    leak = "PRECISION-LEAK"
    assert [stock.expected_verdict(each) for each in file.variants] == ["SETUP-FAULT", leak, leak, leak]


def test_shipped_files_can_run_together() -> None:
    blocks = load_files(sorted(SHIPPED.glob("*.toml")))
    assert len({block.scenario.name for block in blocks}) == len(blocks) >= 12


def test_two_lines_for_a_function_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "my_ansatz.py").write_text("import nothing_such\ndef circuit(weights, inputs): ...\n")
    file = tmp_path / "mine.toml"
    file.write_text('circuit = "my_ansatz:circuit"\nweight_shapes = { weights = [3, 2] }\n')
    (scenario,) = load_file(file).scenarios
    assert (scenario.name, scenario.circuit, scenario.weight_shapes) == (
        "mine",
        "my_ansatz:circuit",
        {"weights": [3, 2]},
    )
    assert scenario.training.epochs == 30
    assert "my_ansatz" not in sys.modules


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('circuit = "my_ansatz:circiut"', "(did you mean circuit?)"),
        ('circuit = "no_such_module:f"', 'circuit = "no_such_module:f": expected a module that can be found'),
        ('model = "broken:build"', "expected a Python module: SyntaxError, line 2"),
        ('model = "pack.inner:missing"', "a name that pack.inner defines"),
        ('model = "null:f"', "expected a Python module"),
    ],
)
def test_missing_function_is_found_without_importing(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "my_ansatz.py").write_text("raise SystemExit\ndef circuit(weights, inputs): ...\n")
    (tmp_path / "broken.py").write_text("x = 1\ndef build(:\n")
    (tmp_path / "null.py").write_bytes(b"x = 1\0")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "inner.py").write_text("build = 3\n")
    file = tmp_path / "x.toml"
    file.write_text(source)
    with pytest.raises(ScenarioError) as caught:
        load_file(file)
    assert message in str(caught.value)


def test_empty_file_is_one_scenario_of_defaults() -> None:
    assert names("") == ["x"]
    assert names('name = "y"\ndescription = "why"') == ["y"]


def test_matrix_multiplies_fields_nested_fields_and_tables() -> None:
    text = """
        data.samples = 8
        [matrix]
        layers = [1, 2]
        "training.numerics" = ["exact", "stock"]
        simulator = [{ device = "lightning.qubit", training.epochs = 3, label = "fast" }, { label = "slow" }]
        """
    file = read(text)
    assert names(text)[:3] == ["x-layers1-exact-fast", "x-layers1-exact-slow", "x-layers1-stock-fast"]
    assert len(file.scenarios) == 8
    fast, slow = file.scenarios[:2]
    assert (fast.device, fast.training.epochs, fast.data.samples) == ("lightning.qubit", 3, 8)
    assert (slow.device, slow.training.epochs, slow.training.numerics) == ("default.qubit", 30, "exact")


def test_tables_of_fields_merge_and_others_are_replaced() -> None:
    text = """
        data.samples = 8
        circuit_options = { a = 1 }
        [matrix]
        data = [{ name = "moons" }, { name = "circles", noise = 0.5 }]
        circuit_options = [{ b = 2 }]
        training.optimizer = [{ name = "sgd" }, { learning_rate = 0.5 }]
        """
    first, second, third, _ = read(text).scenarios
    assert (third.data.name, third.data.samples, third.data.options) == ("circles", 8, {"noise": 0.5})
    assert first.circuit_options == {"b": 2}
    assert (first.training.optimizer.name, second.training.optimizer.learning_rate) == ("sgd", 0.5)
    assert third.name == "x-circles-noise0.5-b2-sgd"


def test_a_key_within_a_free_table_can_be_an_axis() -> None:
    text = "circuit_options.a = 1\n[matrix]\ncircuit_options.b = [1, 2]"
    assert [each.circuit_options for each in read(text).scenarios] == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_exclude_removes_what_matches_all_its_keys_even_the_impossible() -> None:
    text = """
        [matrix]
        device = ["default.qubit", "lightning.qubit"]
        diff_method = ["backprop", "adjoint"]
        [[exclude]]
        device = "lightning.qubit"
        diff_method = "backprop"
        """
    assert names(text) == ["x-default.qubit-backprop", "x-default.qubit-adjoint", "x-lightning.qubit-adjoint"]


def test_exclude_compares_with_defaults_and_generated_names() -> None:
    matrix = "[matrix]\nlayers = [1, 2]\n"
    assert names(matrix + "[[exclude]]\ntraining.epochs = 30\nlayers = 1") == ["x-layers2"]
    assert names(matrix + '[[exclude]]\nname = "x-layers2"') == ["x-layers1"]


def test_entries_inherit_and_are_multiplied() -> None:
    text = """
        training = { epochs = 2, batch_size = 4 }
        [matrix]
        dtype = ["float64", "float32"]
        [[scenarios]]
        name = "a"
        training.epochs = 5
        [[scenarios]]
        wires = 2
        """
    scenarios = read(text).scenarios
    assert [each.name for each in scenarios] == ["a-float64", "a-float32", "x-2-float64", "x-2-float32"]
    assert [(each.training.epochs, each.training.batch_size) for each in scenarios] == [(5, 4), (5, 4), (2, 4), (2, 4)]
    assert [each.wires for each in scenarios] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('training.batch_size = "many"', 'training.batch_size = "many": expected an integer from 1 to 1000000'),
        ("lyers = 2", "lyers = 2: expected a key"),
        ('varients = ["tf"]', "(did you mean variants?)"),
        ("description = 3", "description = 3: expected a string"),
        ("variants = []", "variants = []: expected a list such as"),
        ('device = "defualt.qubit"', "(did you mean default.qubit?)"),
        ('device = "lightnng.qubit"', "(did you mean lightning.qubit?)"),
        ('variants = ["tensorflow"]', '(did you mean "tf"?)'),
        ('variants = ["tf", "tf@cpu"]', "expected each variant once"),
        ("[matrix]", "matrix = {}: expected a table"),
        ("[matrix]\nlayers = []", "matrix.layers = []: expected a list with at least one value"),
        ("[matrix]\nlayers = 3", "matrix.layers = 3: expected a list"),
        ("[matrix]\ntraining.epochs = []", "matrix.training.epochs = []: expected a list"),
        ("[matrix]\nlayrs = [1]", "matrix.layrs = [1]: expected a field of a scenario (did you mean layers?)"),
        ('[matrix]\nlayers = [1, "x"]', 'matrix.layers = "x": expected an integer from 1 to 1000'),
        ("[matrix]\ns = [{ layrs = 1 }]", "matrix.s.layrs = 1: expected a field of a scenario (did you mean layers?)"),
        ('[matrix]\ns = [{ training.epochs = "x" }]', 'matrix.s.training.epochs = "x": expected an integer'),
        ("[matrix]\ns = [{ layers = 1, label = 3 }]", "matrix.s.label = 3: expected a string"),
        ('[matrix]\nname = ["a"]', "expected no name here"),
        (
            "[matrix]\nlayers = [1]\ns = [{ layers = 2 }]",
            "matrix.s.layers: expected another field: matrix.layers sets it",
        ),
        ("[matrix]\nlayers = [1, 1]", "matrix.layers = [1, 1]: expected each value once"),
        (
            "[matrix]\nlayers = [1]\n[[exclude]]\nlayers = 2",
            "exclude[1] = {layers = 2}: expected at least one combination",
        ),
        ("[matrix]\nlayers = [1]\n[[exclude]]\nlayers = true", "exclude[1] = {layers = true}: expected at least one"),
        ("[matrix]\nlayers = [1]\n[[exclude]]\nlayers = 1", "exclude: expected at least one combination left"),
        ("[[exclude]]", "expected non-empty [[exclude]] tables"),
        ("[[exclude]]\nlayrs = 1", "exclude[1].layrs = 1: expected a field"),
        ("scenarios = 3", "scenarios = 3: expected [[scenarios]] tables"),
        ("[[scenarios]]\n[[scenarios]]\nlayers = 0", "scenarios[2].layers = 0: expected an integer"),
        ("[[scenarios]]\nname = 3", "scenarios[1].name = 3: expected a string"),
        ('[[scenarios]]\nname = "a"\n[[scenarios]]\nname = "A"\nlayers = 2', 'name = "A": expected no duplicate name'),
        ('[[scenarios]]\nname = "a"\n[[scenarios]]\nname = "b"', 'name = "b": expected an experiment of its own'),
        (
            'device = "lightning.qubit"\n[matrix]\ndiff_method = ["backprop"]',
            'matrix.diff_method = "backprop": expected adjoint',
        ),
        ('judge = ["methods"]', 'judge = ["methods"]: expected another scenario that differs from x in'),
        (
            'judge = ["methods"]\n[matrix]\nlayers = [1, 2]',
            "differs from x-layers1 in device, device_options, diff_method, diff_options alone",
        ),
        ('layers = "x"\n[matrix]', 'layers = "x"'),
        ('[matrix]\n[training]\nepochs = "x"', "matrix = {}"),
        (f"name = '{'n' * 121}'", "expected letters, digits"),
        (f"[matrix]\ncircuit_options = [{{ a = '{'n' * 121}' }}]", "(give a label)"),
        ("seed = 1979-05-27", "seed = 1979-05-27: expected a finite number"),
        ("x.y = nan", "x.y = nan: expected a finite number"),
        (f"seed = {'9' * 30}", "64-bit integer"),
        (f"seed = {'9' * 5000}", "expected TOML with sane numbers"),
        ("a = " + "[" * 5000, "expected TOML with sane"),
        (".".join("a" * 3000) + " = 1", "expected tables nested at most 12 deep"),
        (f'[matrix]\n"{".".join("a" * 3000)}" = [1]', "expected at most 16 keys deep"),
        ("layers = 1\nlayers = 2", "expected TOML: Cannot overwrite a value"),
        (b"\xff", "expected UTF-8 text, got byte 0xff at offset 0"),
        ("layers = 2".encode("utf-16"), "expected UTF-8 text, got UTF-16"),
        ("layers = 2".encode("utf-16-be"), "expected UTF-8 text, got UTF-16 or UTF-32"),
        (b"#" * 1_000_001, "expected at most 1000000 bytes"),
        ("description = 3 #\n'\\u2028' = 1\n'\u2028' = 2", "description = 3"),
        ("'a\u2028b' = 1", r"a\u2028b = 1: expected a key"),
    ],
)
def test_wrong_file(text: str | bytes, message: str) -> None:
    assert message in refuse(text)


def test_a_byte_order_mark_is_passed_over() -> None:
    (scenario,) = parse("\ufefflayers = 2".encode(), Path("x.toml")).scenarios
    assert scenario.layers == 2


def test_expansion_is_capped_before_it_starts() -> None:
    many = ", ".join(map(str, range(1, 1001)))
    message = refuse(f"[matrix]\nlayers = [{many}]\nseed = [{many}]")
    assert message == f"matrix: expected at most {MAX_SCENARIOS} scenarios, got 1000000"


def test_unreadable_paths(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "expected a scenario file, got a directory"),
        (tmp_path / "none.toml", "expected a scenario file: No such file or directory"),
        (tmp_path / "a\nb.toml", r"a\nb.toml: expected a scenario file"),
        (tmp_path / ("n" * 300), "expected a scenario file: File name too long"),
        (Path("a\0b.toml"), "expected a scenario file: embedded null byte"),
        (Path(os.fsdecode(b"\xff.toml")), r"\udcff.toml: expected a scenario file"),
    ):
        with pytest.raises(ScenarioError) as caught:
            load_file(path)
        assert message in str(caught.value)
        assert str(caught.value).isprintable()


def test_odd_file_names_give_plain_scenario_names(tmp_path: Path) -> None:
    for stem, name in (("my file (1)", "my-file-1"), ("\u03c8", "scenario"), ("..a", "a")):
        file = tmp_path / f"{stem}.toml"
        file.write_text("layers = 2")
        assert [each.name for each in load_file(file).scenarios] == [name]


def test_selection_of_cells(tmp_path: Path) -> None:
    blocks = load_files([SHIPPED / "fourier.toml"], k="layers2 and not jax-jit", variants=["jax", "jax-jit"])
    assert [(each.scenario.layers, list(map(str, each.variants))) for each in blocks] == [(2, ["jax"])] * 2
    with pytest.raises(ScenarioError, match='-k = "nothing": expected an expression that matches'):
        load_files([SHIPPED / "fourier.toml"], k="nothing")
    with pytest.raises(ScenarioError, match="at least one scenario file"):
        load_files([])


def test_all_is_every_mode_and_each_is_there_once() -> None:
    (block, *_) = load_files([SHIPPED / "smoke.toml"], variants=["jax-jit", "all"])
    assert list(map(str, block.variants)) == ["jax-jit", *(name for name in MODES if name != "jax-jit")]
    (block, *_) = load_files([SHIPPED / "smoke.toml"], variants=["all@gpu"])
    assert list(map(str, block.variants)) == [f"{name}@gpu" for name in MODES]
    with pytest.raises(ScenarioError, match='-v = "all@moon": expected a variant'):
        load_files([SHIPPED / "smoke.toml"], variants=["all@moon"])


def test_names_and_experiments_are_unique_across_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('name = "same"')
    second.write_text('name = "same"\nlayers = 2')
    with pytest.raises(ScenarioError, match=r"b.toml: name = \"same\": expected no duplicate name: .*a.toml has one"):
        load_files([first, second])
    second.write_text("")
    with pytest.raises(ScenarioError, match=r"b.toml: name = \"b\": expected an experiment of its own"):
        load_files([first, second])


def test_room_imports_no_framework() -> None:
    code = (
        "import sys, qparity.scenario.load, qparity.scenario.json_schema;"
        "sys.exit(bool({'keras', 'tensorflow', 'torch', 'jax', 'pennylane', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_shipped_file_is_named_as_it_is_typed(tmp_path: Path) -> None:
    assert shipped.short("/else/where/site-packages/qparity/scenarios/smoke.toml") == "smoke"
    assert shipped.short(str(shipped.file_of("smoke"))) == "smoke"
    for own in ("smoke.toml", "/mine/scenarios/smoke.toml", "/x/qparity/scenarios/mine.toml"):
        assert shipped.short(own) == own
